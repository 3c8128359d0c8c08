"""Compare ``static_release`` with what is used in its place, on one tree and in one run.

    python benchmarks/static_release [--files 20000] [--directory DIRECTORY] [--json FILE]

Each contender publishes a tree twice, first to an empty directory and then unchanged:

* ``static_release``, as Ansible runs it: the module in a process of its own;
* ``rsync -a`` and then ``gzip -k -9`` of each new file;
* ``ansible.builtin.copy`` of a part of the tree, by a playbook: it takes half a second a file, so
  its seconds are those of ``--copy-files`` files, multiplied;
* ``ansible.posix.synchronize``, by a playbook, where it is installed.

Seconds depend on the machine; the ratios to ``rsync`` and ``gzip`` of the same run say more. Memory
is the peak of the largest process of a contender, as wait4(2) tells it. Nothing is synced to disk.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / ".ansible/collections"
# Every fourth file is an image; the others are text, as in a front end with its dependencies.
IMAGE_EVERY = 4
FILES_A_DIRECTORY = 100


@dataclass(frozen=True)
class Result:
    contender: str
    what: str
    seconds: float
    cpu_seconds: float
    peak_mib: float


def make_tree(directory: Path, files: int) -> int:
    """Write the same files each time; returns their size in bytes."""
    dice = random.Random(20_000)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(dice.choices(letters, k=dice.randint(2, 9))) for _ in range(3000)]
    size = 0
    for number in range(files):
        parent = directory / f"package{number // FILES_A_DIRECTORY:03}"
        parent.mkdir(parents=True, exist_ok=True)
        wanted = min(int(dice.lognormvariate(8.3, 1.2)), 2 << 20)
        if number % IMAGE_EVERY == 0:
            content, name = dice.randbytes(wanted), f"{number}.png"
        else:
            text = " ".join(
                f"{word}{dice.choice('(){};=.')}{dice.randint(0, 999)}"
                for word in dice.choices(words, k=wanted // 10 + 1)
            )
            content, name = text.encode(), f"{number}.js"
        (parent / name).write_bytes(content)
        size += len(content)
    return size


def measure(
    contender: str, what: str, commands: Sequence[Sequence[str]], times: float = 1
) -> Result:
    """Run commands one after another, and add up what they took.

    :param times: by how much the tree is larger than what is published.
    """
    began = time.monotonic()
    cpu_seconds, peak_kib = 0.0, 0
    with tempfile.TemporaryFile() as output:
        for command in commands:
            process = subprocess.Popen(command, stdout=output, stderr=output, env=environment())
            _pid, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                output.seek(0)
                shown = output.read().decode("utf-8", "replace")[-3000:]
                raise SystemExit(f"{' '.join(command)} failed:\n{shown}")
            cpu_seconds += usage.ru_utime + usage.ru_stime
            peak_kib = max(peak_kib, usage.ru_maxrss)
    seconds = time.monotonic() - began
    return Result(contender, what, seconds * times, cpu_seconds * times, peak_kib / 1024)


def environment() -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(COLLECTIONS),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "LC_ALL": "C.UTF-8",
    }


def of_module(source: Path, target: Path, scratch: Path) -> list[list[str]]:
    arguments = {
        "root": str(target),
        "mounts": [{"url": "/static/", "folder": str(source)}],
        "release": "benchmark",
        "precompress": ["gz"],
        "owner": str(_name("u")),
        "group": str(_name("g")),
    }
    file = scratch / "arguments.json"
    file.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    module = "ansible_collections.flaskworks.static_media.plugins.modules.static_release"
    return [[sys.executable, "-m", module, str(file)]]


def _name(kind: str) -> str:
    return subprocess.check_output(["id", f"-{kind}n"], text=True).strip()


def of_rsync(source: Path, target: Path, _scratch: Path) -> list[list[str]]:
    target.mkdir(exist_ok=True)
    # What such scripts do: compress whatever has no sibling yet.
    compress = (
        'find "$0" -type f ! -name "*.gz" ! -name "*.png" -size +1023c -print0 | while read -r -d "" f;'
        ' do [ -e "$f.gz" ] || printf "%s\\0" "$f"; done | xargs -0 -r gzip -k -9 --'
    )
    return [["rsync", "-a", f"{source}/", f"{target}/"], ["bash", "-c", compress, str(target)]]


def of_rsync_alone(source: Path, target: Path, _scratch: Path) -> list[list[str]]:
    target.mkdir(exist_ok=True)
    return [["rsync", "-a", f"{source}/", f"{target}/"]]


def playbook(task: dict[str, object], scratch: Path) -> list[list[str]]:
    file = scratch / "playbook.yml"
    # JSON is YAML.
    play = [{"hosts": "localhost", "gather_facts": False, "tasks": [{"name": "Publish", **task}]}]
    file.write_text(json.dumps(play))
    python = f"ansible_python_interpreter={sys.executable}"
    return [["ansible-playbook", "-i", "localhost,", "-c", "local", "-e", python, str(file)]]


def of_copy(source: Path, target: Path, scratch: Path) -> list[list[str]]:
    target.mkdir(exist_ok=True)
    task = {"src": f"{source}/", "dest": f"{target}/", "mode": "preserve"}
    return playbook({"ansible.builtin.copy": task}, scratch)


def of_synchronize(source: Path, target: Path, scratch: Path) -> list[list[str]]:
    target.mkdir(exist_ok=True)
    task = {"src": f"{source}/", "dest": f"{target}/"}
    return playbook({"ansible.posix.synchronize": task}, scratch)


CONTENDERS: dict[str, Callable[[Path, Path, Path], list[list[str]]]] = {
    "static_release": of_module,
    "rsync -a + gzip -k -9": of_rsync,
    "rsync -a": of_rsync_alone,
    "ansible.posix.synchronize": of_synchronize,
    "ansible.builtin.copy": of_copy,
}
PARTIAL = "ansible.builtin.copy"
BASELINE = "rsync -a + gzip -k -9"


def missing(name: str) -> str | None:
    """Why a contender can't take part."""
    if name.startswith("rsync") and not shutil.which("rsync"):
        return "rsync is not installed"
    if name.startswith("ansible.") and not shutil.which("ansible-playbook"):
        return "ansible-playbook is not in PATH"
    if name == "ansible.posix.synchronize":
        found = subprocess.run(
            ["ansible-doc", "-t", "module", name],
            capture_output=True,
            env=environment(),
            check=False,
        )
        if found.returncode or not shutil.which("rsync"):
            return "the collection ansible.posix is not installed"
    return None


def table(results: Sequence[Result]) -> str:
    of = {(result.contender, result.what): result for result in results}
    lines = [f"{'':28} {'':9} {'seconds':>8} {'ratio':>6} {'CPU s':>7} {'MiB':>6}"]
    for result in results:
        base = of.get((BASELINE, result.what))
        ratio = f"{result.seconds / base.seconds:6.2f}" if base else "     -"
        lines.append(
            f"{result.contender:28} {result.what:9} {result.seconds:8.2f} {ratio}"
            f" {result.cpu_seconds:7.2f} {result.peak_mib:6.0f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--copy-files", type=int, default=100, help=f"files for {PARTIAL}")
    parser.add_argument("--directory", type=Path, help="where to work; on the disk to measure")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    parser.add_argument("--only", action="append", choices=CONTENDERS, help="contender to run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=options.directory) as directory:
        scratch = Path(directory)
        source = scratch / "source"
        size = make_tree(source, options.files)
        print(
            f"{options.files} files, {size / 2**20:.0f} MiB, {len(os.sched_getaffinity(0))} processors,"
            f" load {os.getloadavg()[0]:.1f}\n"
        )
        results: list[Result] = []
        for name, commands in CONTENDERS.items():
            if options.only and name not in options.only:
                continue
            reason = missing(name)
            if reason:
                print(f"{name}: left out, since {reason}.")
                continue
            target = scratch / "target"
            tree, times = source, 1.0
            if name == PARTIAL and options.copy_files < options.files:
                tree, times = scratch / "part", options.files / options.copy_files
                make_tree(tree, options.copy_files)
            for what in ("first", "unchanged"):
                results.append(measure(name, what, commands(tree, target, scratch), times))
                print(table(results[-1:]).splitlines()[1], flush=True)
            shutil.rmtree(target)
    print(f"\nRatios are to {BASELINE}. {PARTIAL}: of {options.copy_files} files, multiplied.")
    print(f"\n{table(results)}")
    if options.json:
        options.json.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")


if __name__ == "__main__":
    main()
