"""Run the tests: ``run_tests.py all | lint | unit | diagnosis | scenario NAME``.

Each part is a process with a log of its own under .build/logs; parts that do not need each other run
side by side. A part that can't run, or a test that is skipped, is a failure. The last line is the sum.
Runs in the control environment that control_env.py made.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"
LOGS = BUILD / "logs"
# Whoever runs pytest within a part leaves its result in a directory of the part's name here.
JUNIT = BUILD / "junit"
COLLECTIONS = BUILD / "collections"
BIN = Path(sys.executable).parent
DIAGNOSIS = ROOT / "tests" / "diagnosis"
CHECKOUT_LINKS = ROOT / ".ansible/collections"

PART_SECONDS = 45 * 60
TAIL_LINES = 100
SIDE_BY_SIDE = max(2, min(4, os.cpu_count() or 1))

# What a scenario repeats, among all the others; run alone it does all that it was made for.
FEWER_TIMES = {
    "adopt": {"ADOPT_KILLS": "1"},
    "killed": {"KILLED_MOMENTS": "2"},
    "redeploy": {
        "REDEPLOY_DEPLOYS": "2",
        "REDEPLOY_ROLLBACKS": "1",
        "DEPLOY_KILLED_MOMENTS": "1",
    },
}

Command = Sequence[str]


@dataclass(frozen=True)
class Part:
    name: str
    kind: str
    commands: Sequence[Command]
    needs: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    directory: Path = ROOT


@dataclass
class Outcome:
    seconds: float = 0.0
    passed: int = 0
    failed: int = 0
    reason: str = ""
    # What tests measured, one line each.
    figures: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.reason


def python(script: str, *arguments: str) -> Command:
    return [sys.executable, str(ROOT / "scripts" / script), *arguments]


def pytest(part: str, *arguments: str) -> Command:
    return [sys.executable, "-m", "pytest", f"--junitxml={JUNIT / part / 'pytest.xml'}", *arguments]


def lint_parts() -> list[Part]:
    return [
        Part("ansible-lint", "check", [["ansible-lint", "--offline"]]),
        Part("yamllint", "check", [["yamllint", "--strict", "."]]),
        Part("ruff", "check", [["ruff", "check"], ["ruff", "format", "--diff"]]),
        mypy_part("plugins", CHECKOUT_LINKS, "ansible_collections/flaskworks/static_media/plugins"),
        mypy_part("scripts", ROOT / "scripts", "."),
        mypy_part("unit", ROOT, "tests/unit"),
        mypy_part("behaviour", ROOT / "tests/behaviour", "."),
        mypy_part("differential", ROOT / "tests/differential", ".", ROOT / "tests/behaviour"),
        mypy_part("diagnosis", DIAGNOSIS, ".", DIAGNOSIS / "app", ROOT),
        mypy_part("gallery", ROOT / "examples/gallery", "src"),
        Part(
            "antsibull-docs",
            "check",
            [["antsibull-docs", "lint-collection-docs", "--plugin-docs", "."]],
        ),
        Part("antsibull-changelog", "check", [["antsibull-changelog", "lint"]]),
    ]


def mypy_part(name: str, directory: Path, target: str, *others: Path) -> Part:
    """Checked from the directory that its imports are relative to; else a module has two names.

    :param others: directories that some of its imports are relative to.
    """
    own = directory / "pyproject.toml"
    config = f"--config-file={own if own.is_file() else ROOT / 'pyproject.toml'}"
    cache = f"--cache-dir={BUILD / 'mypy' / name}"
    env = {"MYPYPATH": os.pathsep.join(map(str, (CHECKOUT_LINKS, *others)))}
    return Part(f"mypy-{name}", "check", [["mypy", config, cache, target]], (), env, directory)


def unit_part(installed: bool) -> Part:
    needs = ("machine", "tarball") if installed else ("machine",)
    env = {"COLLECTION_PARENT": str(COLLECTIONS)} if installed else {}
    return Part("unit", "unit", [pytest("unit", "tests/unit")], needs, env)


def self_test_parts() -> list[Part]:
    """Tests of what the scenarios use: the example app, and that behaviour tests can fail."""
    gallery = ROOT / "examples/gallery"
    names = (
        "test_rig.py",
        "test_raw_http.py",
        "test_load.py",
        "test_mutations.py",
        "test_hostile_mutations.py",
    )
    behaviour = [f"tests/behaviour/{name}" for name in names]
    return [
        Part(
            "gallery",
            "unit",
            [pytest("gallery", "-p", "no:cacheprovider")],
            env={"PYTHONPATH": str(gallery / "src")},
            directory=gallery,
        ),
        Part("behaviour", "unit", [pytest("behaviour", *behaviour)], ("machine",)),
    ]


def differential_part() -> Part:
    """Predicted routes against the Nginx of both releases; the one's comes out of an image."""
    return Part("differential", "unit", [pytest("differential", "tests/differential")], ("images",))


def diagnosis_part() -> Part:
    """Other people's hosts, healthy and broken; their containers run side by side by themselves."""
    return Part("diagnosis", "unit", [pytest("diagnosis", str(DIAGNOSIS))], ("images",))


def machine_part() -> Part:
    return Part("machine", "set-up", [python("test_machine.py")])


def images_part() -> Part:
    return Part("images", "set-up", [python("build_images.py")], ("machine",))


def tarball_part() -> Part:
    dist = BUILD / "dist"
    return Part(
        "tarball",
        "check",
        [
            ["ansible-galaxy", "collection", "build", "--force", "--output-path", str(dist)],
            [
                *("ansible-galaxy", "collection", "install", "--force", "--offline"),
                *("--collections-path", str(COLLECTIONS)),
                str(dist / f"flaskworks-static_media-{version()}.tar.gz"),
            ],
        ],
        env={"ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)},
    )


def version() -> str:
    for line in (ROOT / "galaxy.yml").read_text().splitlines():
        if line.startswith("version:"):
            return line.partition(":")[2].strip()
    raise SystemExit("galaxy.yml names no version")


def sanity_part() -> Part:
    return Part("sanity", "check", [python("sanity.py")], ("machine", "tarball"))


def scenario_names() -> list[str]:
    found = [path.parent for path in ROOT.glob("molecule/*/molecule.yml")]
    # `default`, which `molecule test` takes when it is told none, leads to one of the others.
    return sorted(path.name for path in found if not path.is_symlink())


def scenario_part(name: str, fewer_times: bool = False) -> Part:
    times = FEWER_TIMES.get(name, {}) if fewer_times else {}
    return Part(
        name,
        "scenario",
        [["molecule", "test", "--scenario-name", name]],
        ("images", "tarball"),
        {
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            # Else Molecule suggests another directory for scenarios.
            "MOLECULE_GLOB": "molecule/*/molecule.yml",
            **{variable: os.environ.get(variable, value) for variable, value in times.items()},
        },
    )


def all_parts() -> list[Part]:
    """Ready parts start in this order: first what the long ones wait for."""
    scenarios = [scenario_part(name, fewer_times=True) for name in scenario_names()]
    if not scenarios:
        raise SystemExit("No Molecule scenario found: that can't be right.")
    set_up = [machine_part(), tarball_part(), images_part()]
    static = [sanity_part(), unit_part(installed=True), *self_test_parts(), *lint_parts()]
    static.append(differential_part())
    # Last: it has work for all that is left of the machine when the scenarios end.
    return [*set_up, *static, *scenarios, diagnosis_part()]


def choose(arguments: list[str]) -> list[Part]:
    match arguments:
        case ["all"]:
            return all_parts()
        case ["lint"]:
            return lint_parts()
        case ["unit"]:
            return [machine_part(), unit_part(installed=False), *self_test_parts()]
        case ["diagnosis"]:
            return [machine_part(), images_part(), diagnosis_part()]
        case ["scenario", name] if name in scenario_names():
            return [machine_part(), tarball_part(), images_part(), scenario_part(name)]
        case ["scenario", *_]:
            raise SystemExit(f"Write SCENARIO=NAME, one of: {', '.join(scenario_names())}")
    raise SystemExit(__doc__)


def environment(part: Part) -> dict[str, str]:
    # Nginx and friends are in directories that users' PATH often lacks.
    path = f"{BIN}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    own = {
        "PATH": path,
        # Colour is noise in a log.
        "NO_COLOR": "1",
        "ANSIBLE_NOCOLOR": "1",
        "PYTHONUNBUFFERED": "1",
        # What tools would else put into the user's home, or beside the sources
        "ANSIBLE_HOME": str(BUILD / "ansible"),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(BUILD / "hypothesis"),
    }
    return {**os.environ, **own, **part.env}


def read_junit(part: Part, outcome: Outcome) -> None:
    skipped = 0
    for path in sorted((JUNIT / part.name).glob("*.xml")):
        root = ElementTree.parse(path).getroot()
        found = root.iterfind(".//property[@name='figures']")
        outcome.figures += [element.get("value", "") for element in found]
        for suite in root.iter("testsuite"):
            counts = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors")}
            failed = counts["failures"] + counts["errors"]
            skips = int(suite.get("skipped", 0))
            outcome.failed += failed
            outcome.passed += counts["tests"] - failed - skips
            skipped += skips
    if skipped:
        outcome.failed += skipped
        outcome.reason = outcome.reason or f"{skipped} tests were skipped"
    elif outcome.failed:
        outcome.reason = outcome.reason or f"{outcome.failed} tests failed"


def execute(part: Part, log_path: Path) -> str:
    """Run the part's commands one after another; say why it failed, or nothing."""
    deadline = time.monotonic() + PART_SECONDS
    with log_path.open("wb") as log:
        for command in part.commands:
            log.write(f"$ {' '.join(command)}\n".encode())
            log.flush()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=part.directory,
                env=environment(part),
                start_new_session=True,
            )
            RUNNING.add(process)
            try:
                status = process.wait(max(1.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                end(process)
                return f"not finished after {PART_SECONDS} s"
            finally:
                RUNNING.discard(process)
            if status:
                return f"`{Path(command[0]).name} {' '.join(command[1:3])}` ended with {status}"
    return ""


RUNNING: set[subprocess.Popen[bytes]] = set()


def end(process: subprocess.Popen[bytes]) -> None:
    """End a command and whatever it started in its session."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(20)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def run(part: Part) -> Outcome:
    shutil.rmtree(JUNIT / part.name, ignore_errors=True)
    begin = time.monotonic()
    outcome = Outcome()
    try:
        outcome.reason = execute(part, LOGS / f"{part.name}.log")
    except OSError as error:
        outcome.reason = str(error)
    outcome.seconds = time.monotonic() - begin
    read_junit(part, outcome)
    count_itself(part, outcome)
    return outcome


def count_itself(part: Part, outcome: Outcome) -> None:
    """A check or a scenario is a test besides those within it; unit tests are counted one by one."""
    if part.kind in ("check", "scenario"):
        outcome.passed += outcome.ok
        outcome.failed += not outcome.ok
    elif not outcome.ok:
        outcome.failed = max(1, outcome.failed)
    elif part.kind == "unit" and not outcome.passed:
        outcome.reason, outcome.failed = "no test ran", 1


def report(part: Part, outcome: Outcome) -> None:
    word = "ok    " if outcome.ok else "FAILED"
    tests = f"  {outcome.passed} tests" if outcome.passed > 1 else ""
    print(f"{word} {part.name:<22}{outcome.seconds:6.0f} s{tests}  {outcome.reason}".rstrip())
    for line in outcome.figures:
        print(f"       {line}")
    log = LOGS / f"{part.name}.log"
    if not outcome.ok and outcome.seconds:
        lines = log.read_text(errors="replace").splitlines()
        print(f"------ the end of {log.relative_to(ROOT)}")
        print("\n".join(lines[-TAIL_LINES:]))
        print("------")
    sys.stdout.flush()


def run_all(parts: list[Part]) -> dict[str, Outcome]:
    """Run each part when what it needs has passed, and not at all where that failed."""
    chosen = {part.name for part in parts}
    waiting = list(parts)
    running: dict[Future[Outcome], Part] = {}
    outcomes: dict[str, Outcome] = {}
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        while waiting or running:
            for part in list(waiting):
                needs = [name for name in part.needs if name in chosen]
                broken = [name for name in needs if name in outcomes and not outcomes[name].ok]
                if broken:
                    waiting.remove(part)
                    outcomes[part.name] = Outcome(failed=1, reason=f"not run: {broken[0]} failed")
                    report(part, outcomes[part.name])
                elif len(running) < SIDE_BY_SIDE and all(name in outcomes for name in needs):
                    waiting.remove(part)
                    print(f"       {part.name}", flush=True)
                    running[pool.submit(run, part)] = part
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                part = running.pop(future)
                outcomes[part.name] = future.result()
                report(part, outcomes[part.name])
    return outcomes


def summarise(parts: Iterable[Part], outcomes: dict[str, Outcome], seconds: float) -> int:
    kinds = [part.kind for part in parts if part.name in outcomes]
    passed = sum(outcome.passed for outcome in outcomes.values())
    failed = sum(outcome.failed for outcome in outcomes.values())
    scenarios, checks = kinds.count("scenario"), kinds.count("check")
    print(
        f"\n{passed + failed - scenarios - checks} tests, {scenarios} scenarios, {checks} checks"
        f" in {seconds // 60:.0f} min {seconds % 60:.0f} s"
    )
    broken = [name for name, outcome in outcomes.items() if not outcome.ok]
    if broken:
        print(f"failed: {', '.join(broken)}; logs in {LOGS.relative_to(ROOT)}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def main(arguments: list[str]) -> int:
    begin = time.monotonic()
    parts = choose(arguments)
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    try:
        outcomes = run_all(parts)
    except KeyboardInterrupt:
        return 130
    finally:
        for process in list(RUNNING):
            end(process)
    return summarise(parts, outcomes, time.monotonic() - begin)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
