"""Releases: built whole or not at all, switched to by one rename, pruned but for what is in use."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import shutil
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _release_build
from ansible_collections.flaskworks.static_media.plugins.module_utils._release import (
    MARKER,
    ReleaseError,
    Releases,
    built_ids,
    current_id,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._release_build import Build
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without requirements, whose build backend is its own and needs no download."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "tiny"\nversion = "1.0"\n'
    )
    (directory / "backend.py").write_text(
        "import os, zipfile\n"
        "def build_wheel(directory, config_settings=None, metadata_directory=None):\n"
        "    name = 'tiny-1.0-py3-none-any.whl'\n"
        "    with zipfile.ZipFile(os.path.join(directory, name), 'w') as wheel:\n"
        "        wheel.writestr('tiny.py', f'BUILT_BY = {os.getuid()}\\n')\n"
        "        wheel.writestr('tiny-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n')\n"
        "        wheel.writestr('tiny-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n"
        "        wheel.writestr('tiny-1.0.dist-info/RECORD', '')\n"
        "    return name\n"
    )
    return directory


@pytest.fixture
def make_archive(project: Path, tmp_path: Path) -> t.Callable[[], str]:
    """Pack the project as it is by then."""

    def make() -> str:
        target = tmp_path / "source.tar.gz"
        subprocess.run(
            ["tar", "--create", "--gzip", f"--file={target}", "--transform=s,^.,source,", "."],
            cwd=project,
            check=True,
        )
        return str(target)

    return make


@pytest.fixture
def archive(make_archive: t.Callable[[], str]) -> str:
    return make_archive()


@pytest.fixture
def root() -> t.Iterator[Path]:
    """A root that another user can pass through, as /opt/APP is and pytest's own is not."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


# Not the tests' own, which may lie in a home that the builder has no way into.
PYTHON = "/usr/bin/python3"
BUILDER = "nobody" if os.geteuid() == 0 else getpass.getuser()


def build(root: Path, target: str, release: str = "one", **changes: t.Any) -> tuple[str, str]:
    how = {"source": "test", "extra_requirements": [], "python": PYTHON, "user": BUILDER, **changes}
    return _release_build.build(Releases(str(root)), release, Build(target=target, **how))


@pytest.fixture(autouse=True)
def without_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host has none, whatever the machine has."""
    monkeypatch.setattr(_release_build, "UV_PATH", "/nowhere")


def deployed(root: Path, *releases: str) -> Releases:
    """Releases that were deployed in this order; the last is in use."""
    found = Releases(str(root))
    for release in releases:
        made(root, release)
        found.switch(release, is_deploy=True)
    return found


def made(root: Path, release: str, **record: t.Any) -> None:
    """A release that is there, and was not deployed."""
    (root / "releases" / release).mkdir(parents=True, exist_ok=True)
    Releases(str(root)).write_record(release, {"id": release, "deployed": None, **record})


def files(root: Path) -> list[str]:
    return sorted(name for name in os.listdir(root) if name != ".lock")


def test_a_release_is_built_as_its_user_and_installed_by_root(root: Path, archive: str) -> None:
    releases = Releases(str(root))
    assert not releases.is_built("one")
    assert build(root, archive) == ("pip", "")
    assert releases.is_built("one")
    answer = subprocess.run(
        [
            f"{root}/releases/one/bin/python",
            "-c",
            "import tiny; print(tiny.BUILT_BY, tiny.__file__)",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert answer[0] != str(os.geteuid()) or os.geteuid() != 0
    assert os.stat(answer[1]).st_uid == os.geteuid()
    assert files(root) == ["releases"]
    assert releases.records()["one"]["deployed"] is None


def test_a_failed_build_leaves_nothing_and_says_why(root: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(b"no archive")
    with pytest.raises(ReleaseError, match="could not build"):
        build(root, str(broken))
    assert os.listdir(root / "releases") == []
    assert files(root) == ["releases"]


def test_a_python_that_is_not_there_is_named(root: Path, archive: str) -> None:
    with pytest.raises(ReleaseError, match="/nowhere/python"):
        build(root, archive, python="/nowhere/python")


def test_what_a_killed_build_left_is_taken_away(root: Path, archive: str) -> None:
    for path in ("releases/one", "releases/other", ".build-x1"):
        (root / path).mkdir(parents=True)
        (root / path / "leftover").write_text("")
    deployed(root, "whole")
    (root / "releases" / "whole" / f"{MARKER}.new").write_text("{")
    (root / "current.bak").mkdir()
    build(root, archive)
    assert not (root / "releases" / "one" / "leftover").exists()
    assert sorted(os.listdir(root / "releases")) == ["one", "whole"]
    assert os.listdir(root / "releases" / "whole") == [MARKER]
    assert files(root) == ["current", "current.bak", "releases"]


def test_a_release_that_another_run_has_built_meanwhile_is_left(root: Path) -> None:
    made(root, "one", source="other")
    assert build(root, "/no/such/archive") == ("", "")


# What a hostile backend leaves where root might work: in the directory that it is built in, in its
# home, and around both.
PLANT = """
import os, pathlib
home = pathlib.Path.home()
for place in (home, pathlib.Path.cwd(), home / "wheels"):
    for name in ("pip", "uv", "venv", "compileall"):
        (place / name).mkdir(parents=True, exist_ok=True)
        for file in ("__init__.py", "__main__.py"):
            (place / name / file).write_text("raise SystemExit('planted')")
    for name in (".config/pip/pip.conf", ".pip/pip.conf", "pip.conf"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("[install]\\nno-such-option = planted\\ntarget = /planted\\n")
    for name in (".config/uv/uv.toml", "uv.toml"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("planted = true\\n")
"""


def test_nothing_that_a_build_plants_is_run_or_read_by_root(
    root: Path, project: Path, make_archive: t.Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = project / "backend.py"
    backend.write_text(PLANT + backend.read_text())
    # As with sudo -E, and with a module's environment: both are a directory that somebody wrote to.
    with tempfile.TemporaryDirectory() as planted:
        subprocess.run([PYTHON, "-c", PLANT], check=True, cwd=planted, env={"HOME": planted})
        monkeypatch.setenv("HOME", planted)
        monkeypatch.setenv("PYTHONPATH", planted)
        monkeypatch.chdir(planted)
        assert build(root, make_archive()) == ("pip", "")
    assert Releases(str(root)).is_built("one")
    assert list((root / "releases" / "one" / "lib").glob("*/site-packages/tiny.py"))


def test_the_hosts_own_configuration_of_pip_goes_on_working(
    root: Path, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/etc/pip.conf")
    monkeypatch.setenv("PIP_INDEX_URL", "file:///nowhere/mirror")
    with pytest.raises(ReleaseError, match="could not build") as failure:
        build(root, archive, extra_requirements=["no-such-requirement"])
    assert "file:///nowhere/mirror" in str(failure.value)


@pytest.mark.parametrize(
    "how", ["os.symlink('/etc/hostname', {})", "os.mkfifo({})", "os.mkdir({})"]
)
def test_what_is_no_file_is_not_installed(
    root: Path, project: Path, make_archive: t.Callable[[], str], how: str
) -> None:
    # pip's own directory for wheels is not the one that the backend is told.
    backend = project / "backend.py"
    where = "os.path.join(os.path.expanduser('~'), 'wheels')"
    planted = how.format(f"os.path.join({where}, 'planted-1.0-py3-none-any.whl')")
    backend.write_text(
        f"import os\nos.makedirs({where}, exist_ok=True)\n"
        f"os.path.lexists(os.path.join({where}, 'planted-1.0-py3-none-any.whl')) or {planted}\n"
        + backend.read_text()
    )
    with pytest.raises(
        ReleaseError, match=r"made planted-1\.0-py3-none-any\.whl, which is no wheel"
    ):
        build(root, make_archive())
    assert os.listdir(root / "releases") == []
    assert files(root) == ["releases"]


@pytest.mark.usefixtures("as_root")
def test_root_installs_from_where_the_user_never_wrote(
    root: Path, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def run(command: list[str], *_unused: t.Any, **options: t.Any) -> None:
        if "install" in command:
            for path in (each for each in command if each.endswith(".whl")):
                directory = os.stat(os.path.dirname(path))
                seen.append((directory.st_uid, directory.st_mode & 0o777, os.stat(path).st_uid))
                assert (options["cwd"], options["env"]["HOME"]) == ("/", "/root")
                assert command[1:4] == ["-I", "-m", "pip"]
        real(command, *_unused, **options)

    real = _release_build._run
    monkeypatch.setattr(_release_build, "_run", run)
    build(root, archive)
    assert seen == [(0, 0o700, 0)]


@pytest.mark.usefixtures("as_root")
def test_after_the_installation_root_runs_nothing_of_the_virtualenv(
    root: Path, archive: str, open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Stands for uv, with a .pth file among what it installs: any start of that Python runs it.
    uv = open_directory / "uv"
    uv.write_text(
        f"""#!/bin/sh
case "$1 $2" in
venv*) exec {PYTHON} -m venv --without-pip "$6" ;;
build*) mkdir "$7" && touch "$7/tiny-1.0-py3-none-any.whl" ;;
"pip install")
    lib=$(echo {root}/releases/one/lib/*/site-packages)
    echo "import os; os.getuid() or open('{open_directory}/ran', 'w')" >"$lib/planted.pth"
    echo "ANSWER = 42" >"$lib/tiny.py"
    echo "{{{{ no python }}}}" >"$lib/template.py"
    for option; do
        test "$option" != --compile-bytecode || {root}/releases/one/bin/python -I -c pass
    done ;;
esac
"""
    )
    uv.chmod(0o755)
    monkeypatch.setattr(_release_build, "UV_PATH", str(open_directory))
    assert build(root, archive) == ("uv", "")
    assert not (open_directory / "ran").exists()
    assert list(root.glob("releases/one/lib/*/site-packages/__pycache__/tiny.*.pyc"))


def test_a_build_that_is_killed_is_made_good_by_the_next(root: Path, archive: str) -> None:
    script = (
        "import sys, os, signal, json; from ansible_collections.flaskworks.static_media.plugins"
        ".module_utils import _release, _release_build as b\n"
        "real, left = b._run, int(sys.argv[2])\n"
        "def run(*a, **k):\n"
        "    global left\n"
        "    left -= 1\n"
        "    real(*a, **k)\n"
        "    left or os.kill(os.getpid(), signal.SIGKILL)\n"
        "b._run = run\n"
        "b.UV_PATH = '/nowhere'\n"
        "b.build(_release.Releases(sys.argv[1]), 'one', b.Build(**json.loads(sys.argv[3])))\n"
    )
    how = {
        "source": "test",
        "target": archive,
        "extra_requirements": [],
        "python": PYTHON,
        "user": BUILDER,
    }
    releases = Releases(str(root))
    environ = {**os.environ, "PYTHONPATH": str(Path(_release_build.__file__).parents[5])}
    for step in ("1", "2", "3"):
        command = [sys.executable, "-c", script, str(root), step, json.dumps(how)]
        assert subprocess.run(command, check=False, env=environ).returncode == -9
        assert not releases.is_built("one")
        assert len(files(root)) == 2, "nothing was left, so nothing is tested"
    planned = releases.plan_pruning(3).leftovers
    assert [os.path.basename(path)[:7] for path in planned] == [".build-", "one"]
    assert build(root, archive) == ("pip", "")
    assert releases.is_built("one")
    assert files(root) == ["releases"]
    assert releases.plan_pruning(3).leftovers == []


def test_uv_that_fails_is_replaced_by_pip_and_named(
    root: Path, archive: str, open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = open_directory / "uv"
    uv.write_text("#!/bin/sh\nmkdir -p $(eval echo \\${$#})/half\necho no index; exit 2\n")
    uv.chmod(0o755)
    monkeypatch.setattr(_release_build, "UV_PATH", str(open_directory))
    installer, refused = build(root, archive)
    assert installer == "pip"
    assert "no index" in refused
    assert not (root / "releases" / "one" / "half").exists()
    assert Releases(str(root)).records()["one"]["installer"] == "pip"


def test_uv_installs_what_the_user_has_built(
    root: Path, archive: str, open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Stands for uv: what it is told, as whom.
    log = open_directory / "log"
    log.touch(mode=0o666)
    log.chmod(0o666)
    uv = open_directory / "uv"
    uv.write_text(
        f"""#!/bin/sh
echo "$(id -u) $*" >>{log}
case "$1" in
venv) exec {PYTHON} -m venv --without-pip "$6" ;;
build) mkdir "$7" && touch "$7/tiny-1.0-py3-none-any.whl" ;;
esac
"""
    )
    uv.chmod(0o755)
    monkeypatch.setattr(_release_build, "UV_PATH", str(open_directory))
    assert build(root, archive, extra_requirements=["gunicorn"]) == ("uv", "")
    venv, built, installed = (line.split() for line in log.read_text().splitlines())
    assert (venv[0], installed[0]) == (str(os.geteuid()), str(os.geteuid()))
    assert built[0] != "0"
    assert built[-1].endswith("/unpacked/source")
    assert "--no-build" in installed
    assert installed[-2].endswith(".whl")
    assert installed[-1] == "gunicorn"


def test_uv_is_told_where_pip_finds_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CERT", "SSL_CERT_FILE", "UV_INDEX"):
        monkeypatch.delenv(name, raising=False)
    configuration = tmp_path / "pip.conf"
    configuration.write_text(
        "[global]\nindex-url = http://mirror/simple\nextra-index-url =\n  http://a\n  http://b\n"
    )
    found = _release_build._uv_environment(str(configuration))
    assert found == {"UV_DEFAULT_INDEX": "http://mirror/simple", "UV_INDEX": "http://a http://b"}
    monkeypatch.setenv("UV_INDEX", "http://own")
    assert "UV_INDEX" not in _release_build._uv_environment(str(configuration))
    configuration.write_text("index-url without a section")
    assert _release_build._uv_environment(str(configuration)) == {}


def test_switching_names_the_release_in_use(root: Path) -> None:
    for name in ("one", "two", "two"):
        assert deployed(root, name).current_id() == name
    assert os.readlink(root / "current") == "releases/two"
    assert files(root) == ["current", "releases"]


def test_switching_heals_a_killed_switch(root: Path) -> None:
    (root / "current.one").symlink_to("releases/one")
    deployed(root, "one")
    assert files(root) == ["current", "releases"]


def test_a_release_that_is_not_there_is_not_switched_to(root: Path) -> None:
    releases = deployed(root, "one")
    (root / "releases" / "half").mkdir()
    for name in ("half", "gone"):
        with pytest.raises(ReleaseError, match=rf"{name} is not there.*\n  one  deployed 2"):
            releases.switch(name, is_deploy=True)
    assert releases.current_id() == "one"


def test_a_real_directory_named_current_is_never_replaced(root: Path) -> None:
    (root / "current").mkdir()
    (root / "current" / "upload.jpg").write_text("precious")
    made(root, "one")
    releases = Releases(str(root))
    with pytest.raises(ReleaseError, match="real directory"):
        releases.current_id()
    with pytest.raises(ReleaseError, match="real directory"):
        releases.switch("one", is_deploy=True)
    with pytest.raises(ReleaseError, match="real directory"):
        releases.prune(0)
    assert (root / "current" / "upload.jpg").read_text() == "precious"
    assert sorted(os.listdir(root / "current")) == ["upload.jpg"]


def test_a_release_without_its_marker_is_not_built(root: Path) -> None:
    releases = Releases(str(root))
    os.makedirs(releases.path("one"))
    assert not releases.is_built("one")
    Path(releases.path("one"), MARKER).write_text("{}")
    assert releases.is_built("one")


def test_previous_is_what_was_deployed_before_the_one_in_use(root: Path) -> None:
    releases = deployed(root, "one", "two", "three")
    made(root, "never")
    assert releases.find("previous") == "two"
    releases.switch("two", is_deploy=False)
    assert releases.find("previous") == "one"
    releases.switch("one", is_deploy=False)
    with pytest.raises(ReleaseError, match=r"No release was deployed before one.*\n  three  "):
        releases.find("previous")
    releases.switch("two", is_deploy=True)
    assert releases.find("previous") == "one"


def test_what_was_gone_back_from_is_not_gone_back_to(root: Path) -> None:
    releases = deployed(root, "good", "bad")
    releases.switch("good", is_deploy=False)
    releases = deployed(root, "next")
    assert releases.find("previous") == "good"
    assert releases.prune(1).kept == ["good", "next"]


def test_deploys_to_and_fro_end_at_the_first(root: Path) -> None:
    releases = deployed(root, "one", "two", "one")
    assert releases.find("previous") == "two"
    releases.switch("two", is_deploy=False)
    with pytest.raises(ReleaseError, match="No release was deployed before two"):
        releases.find("previous")


def test_nothing_is_before_nothing(root: Path) -> None:
    with pytest.raises(ReleaseError, match="leads to no release"):
        Releases(str(root)).find("previous")


def test_a_release_is_found_by_its_name_or_all_are_listed(root: Path) -> None:
    releases = deployed(root, "one")
    assert releases.find("one") == "one"
    with pytest.raises(ReleaseError, match=r"There are:\n  one  deployed 20"):
        releases.find("two")


@pytest.fixture
def running(root: Path) -> t.Iterator[t.Callable[[str], int]]:
    """Start a process that runs in a release."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(release: str) -> int:
        processes.append(subprocess.Popen(["cat"], cwd=root / "releases" / release, stdin=-1))
        return processes[-1].pid

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_a_killed_rollback_goes_no_further_back(
    root: Path, running: t.Callable[[str], int]
) -> None:
    releases = deployed(root, "one", "two", "three")
    process = running("three")
    releases.switch("two", is_deploy=False)
    assert releases.find("previous", process) == "two"


def test_after_a_killed_deploy_previous_is_what_runs(
    root: Path, running: t.Callable[[str], int]
) -> None:
    releases = deployed(root, "one", "two", "three")
    assert releases.find("previous", running("two")) == "two"


def test_the_order_of_deploys_outlives_a_clock_that_is_set_back(root: Path) -> None:
    made(root, "future", deployed="2999-01-01T00:00:00.000000+00:00")
    releases = deployed(root, "one")
    assert list(releases.records()) == ["future", "one"]
    assert releases.find("previous") == "future"


def test_pruning_keeps_the_current_and_those_before(root: Path) -> None:
    releases = deployed(root, "a", "b", "c", "d", "e")
    made(root, "never")
    assert releases.plan_pruning(2).removed == ["a", "b", "never"]
    plan = releases.prune(2)
    assert (plan.kept, plan.removed) == (["c", "d", "e"], ["a", "b", "never"])
    assert sorted(os.listdir(root / "releases")) == ["c", "d", "e"]
    assert releases.plan_pruning(2).removed == []


def test_after_a_rollback_those_deployed_after_it_are_kept_too(root: Path) -> None:
    releases = deployed(root, "a", "b", "c", "d")
    releases.switch("b", is_deploy=False)
    assert releases.prune(1).kept == ["a", "b", "c"]


def test_what_runs_is_never_pruned(root: Path, running: t.Callable[[str], int]) -> None:
    releases = deployed(root, "a", "b", "c")
    running("a")
    assert releases.prune(0).kept == ["a", "c"]
    # By its command, where its directory is another.
    shutil.copy("/bin/cat", root / "releases" / "a" / "cat")
    command = [root / "releases" / "a" / "cat"]
    with subprocess.Popen(command, stdin=-1, stdout=-1) as process:
        # Its command is there only some time after its start.
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"ready\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"ready\n"
        assert releases.running_in([process.pid]) == {"a"}
        process.kill()


def test_the_neighbour_is_not_what_runs(root: Path, running: t.Callable[[str], int]) -> None:
    deployed(root, "a", "ab")
    assert Releases(str(root)).running_in([running("ab")]) == {"ab"}
    (root / "releases" / "x").mkdir()
    assert Releases(str(root / "releases")).running_in([running("ab")]) == set()


def test_a_pruning_that_is_killed_leaves_a_half_made_release(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = deployed(root, "a", "b")
    (root / "releases" / "a" / "lib").mkdir()

    def killed(path: str) -> t.NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            releases.prune(0)
    assert not releases.is_built("a")
    assert releases.prune(0).leftovers == [str(root / "releases" / "a")]
    assert os.listdir(root / "releases") == ["b"]


@given(
    order=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=12),
    back=st.sampled_from("abcdef"),
    keep=st.integers(0, 4),
)
def test_pruning_never_takes_the_current_and_is_bounded(
    order: list[str], back: str, keep: int
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        releases = deployed(root, *order)
        if back in order:
            releases.switch(back, is_deploy=False)
        current = releases.current_id()
        before = set(built_ids(directory))
        plan = releases.prune(keep)
        assert current in plan.kept
        assert set(plan.kept) | set(plan.removed) == before
        assert not set(plan.kept) & set(plan.removed)
        assert len(plan.kept) <= 1 + 2 * keep
        assert built_ids(directory) == plan.kept
        assert releases.prune(keep).removed == []


def test_whoever_changes_something_waits_for_the_lock(root: Path) -> None:
    deployed(root, "one")
    script = (
        "import sys; from ansible_collections.flaskworks.static_media.plugins.module_utils"
        "._release import Releases; Releases(sys.argv[1]).prune(0); print('pruned')"
    )
    with Releases(str(root)).locked() as lock:
        process = subprocess.Popen(
            [sys.executable, "-c", script, root],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(_release_build.__file__).parents[5])},
        )
        # What it waits for: https://man7.org/linux/man-pages/man5/proc_locks.5.html
        inode = os.fstat(lock).st_ino
        while f":{inode} " not in "".join(
            line for line in Path("/proc/locks").read_text().splitlines(True) if "->" in line
        ):
            assert process.poll() is None
    output, _unused = process.communicate()
    assert output == b"pruned\n"


def test_a_child_of_a_killed_build_holds_the_lock(root: Path) -> None:
    releases = Releases(str(root))
    with releases.locked() as lock:
        child = subprocess.Popen(["cat"], stdin=-1, pass_fds=(lock,))
    with open(root / ".lock") as other:
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        child.kill()
        child.wait()
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_record_that_cannot_be_read_is_no_reason_to_fail(root: Path) -> None:
    deployed(root, "one")
    made(root, "two")
    (root / "releases" / "two" / MARKER).write_text("{")
    (root / "releases" / "two" / MARKER).write_text(json.dumps(["list"]))
    assert Releases(str(root)).records()["two"] == {}
    assert Releases(str(root)).plan_pruning(3).removed == ["two"]


def test_only_whole_releases_are_listed(root: Path) -> None:
    assert (current_id(str(root)), built_ids(str(root))) == (None, [])
    for name in ("two", "one", "half"):
        (root / "releases" / name).mkdir(parents=True)
    for name in ("two", "one"):
        (root / "releases" / name / MARKER).write_text("{}")
    (root / "current").symlink_to("releases/two")
    assert (current_id(str(root)), built_ids(str(root))) == ("two", ["one", "two"])


def test_a_real_directory_is_no_current_release(root: Path) -> None:
    (root / "current").mkdir()
    assert current_id(str(root)) is None


def test_the_record_names_the_python(root: Path, archive: str) -> None:
    build(root, archive)
    version = subprocess.run(
        [PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    assert Releases(str(root)).records()["one"]["python"] == f"cpython {version}"
    assert _release_build.release_id(Releases(str(root)), "one", PYTHON) == "one"


def test_a_release_of_another_python_is_built_anew_beside_it(root: Path) -> None:
    releases = deployed(root, "abcdef")
    assert _release_build.release_id(releases, "abcdef", PYTHON) == "abcdef", "not known"
    made(root, "abcdef", python="cpython 2.7")
    anew = _release_build.release_id(releases, "abcdef", PYTHON)
    assert (anew != "abcdef", len(anew)) == (True, 6)
    made(root, anew, python=_release_build.python_version(PYTHON))
    assert _release_build.release_id(releases, "abcdef", PYTHON) == anew
    # The old one is pruned some time: the same is still not built again.
    shutil.rmtree(root / "releases" / "abcdef")
    assert _release_build.release_id(releases, "abcdef", PYTHON) == anew
    assert _release_build.release_id(releases, "other1", PYTHON) == "other1"
    assert _release_build.release_id(releases, "abcdef", "/nowhere/python") == "abcdef"
