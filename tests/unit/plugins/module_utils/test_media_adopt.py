"""Uploads come over whole, nothing is overwritten, and a kill at any moment loses nothing."""

from __future__ import annotations

import io
import os
import shutil
import signal
import stat
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _media_adopt,
    _media_source,
    _names,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._media_adopt import (
    TEMPORARY,
    AdoptError,
    Adoption,
    Look,
    Outcome,
    Record,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LOOK = Look(os.getuid(), os.getgid(), 0o2750, 0o640)
LONG_AGO_S = 1_600_000_000
LONG_AGO_NS = LONG_AGO_S * 10**9 + 123_456_789


def copy(adoption: Adoption) -> Outcome:
    """Without waiting until the files are old enough."""
    return adoption.copy(young_ns=0)


def copy_old(adoption: Adoption) -> Outcome:
    return adoption.copy(young_ns=3600 * 10**9)


class Host:
    """A source, a media root and a record."""

    def __init__(self, directory: Path) -> None:
        self.source = directory / "uploads"
        self.media = directory / "media"
        self.record = directory / "state" / "record.sqlite"
        self.source.mkdir()
        self.media.mkdir()

    def put(self, path: str, content: str) -> Path:
        file = self.source / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        os.utime(file, ns=(LONG_AGO_NS, LONG_AGO_NS))
        return file

    def run(
        self,
        *steps: Callable[[Adoption], Outcome],
        texts: list[str] | None = None,
        is_dry: bool = False,
        reader: _as_user.Account | None = None,
    ) -> Outcome:
        record = Record(str(self.record), is_dry=is_dry)
        try:
            sources = [str(self.source)] if texts is None else texts
            adoption = Adoption(str(self.media), LOOK, record, sources, reader)
            try:
                for step in steps:
                    step(adoption)
                return adoption.outcome
            finally:
                adoption.close()
        finally:
            record.close()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def tree_of(root: Path) -> dict[str, str]:
    """Content by path of every file, hidden ones too."""
    return {
        path.relative_to(root).as_posix(): path.read_text()
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


# What is refused


def test_a_file_of_another_content_is_not_overwritten(host: Host) -> None:
    host.put("a.png", "theirs")
    host.put("b.png", "new")
    (host.media / "a.png").write_text("mine")
    with pytest.raises(AdoptError, match=r"a\.png: other bytes"):
        host.run(copy)
    assert tree_of(host.media) == {"a.png": "mine", "b.png": "new"}
    assert tree_of(host.source) == {"a.png": "theirs", "b.png": "new"}


def test_a_conflict_is_found_by_a_dry_run_too(host: Host) -> None:
    host.put("a.png", "theirs")
    (host.media / "a.png").write_text("mine")
    with pytest.raises(AdoptError, match=r"Nothing was changed"):
        host.run(Adoption.plan, is_dry=True)


@pytest.mark.parametrize("step", [Adoption.verify, copy])
def test_a_directory_and_a_file_of_one_name_conflict(
    host: Host, step: Callable[[Adoption], Outcome]
) -> None:
    host.put("a/b.png", "theirs")
    (host.media / "a").write_text("mine")
    with pytest.raises(AdoptError, match="none in the media root"):
        host.run(step)
    assert (host.media / "a").read_text() == "mine"


def test_a_link_in_the_media_root_leads_nowhere(host: Host, tmp_path: Path) -> None:
    host.put("a/b.png", "theirs")
    (tmp_path / "elsewhere").mkdir()
    (host.media / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AdoptError):
        host.run(copy)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_the_mark_of_a_mount_is_no_upload(host: Host) -> None:
    host.put("a.png", "a")
    host.put(".flask_media_gallery", "whose this was")
    (host.media / ".flask_media_gallery").write_text("whose this is")
    host.run(copy, Adoption.verify)
    assert tree_of(host.media) == {"a.png": "a", ".flask_media_gallery": "whose this is"}


def test_links_and_special_files_are_reported_and_not_followed(host: Host) -> None:
    (host.source / "link").symlink_to("/etc/passwd")
    (host.source / "links").symlink_to("/etc")
    os.mkfifo(host.source / "pipe")
    outcome = host.run(copy, Adoption.verify)
    assert sorted(outcome.skipped.first) == ["link: link", "links: link", "pipe: pipe"]
    assert not list(host.media.iterdir())


def test_a_link_above_the_source_is_not_followed_as_root(host: Host, tmp_path: Path) -> None:
    host.put("a.png", "a")
    (tmp_path / "current").symlink_to(host.source)
    with pytest.raises(AdoptError, match=f"Write {host.source}, if that"):
        host.run(copy, texts=[str(tmp_path / "current")])


@pytest.mark.parametrize("place", ["media", "media/inner", "."])
def test_the_media_root_is_no_source(host: Host, tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    with pytest.raises(AdoptError, match="lies in the other"):
        host.run(copy, texts=[str((tmp_path / place).resolve())])


def test_a_source_that_never_was_there_is_an_error(host: Host, tmp_path: Path) -> None:
    with pytest.raises(AdoptError, match="is no directory of this host"):
        host.run(copy, texts=[str(tmp_path / "missing")])


def test_a_source_that_is_gone_since_is_reported(host: Host) -> None:
    host.put("a.png", "a")
    host.run(copy)
    shutil.rmtree(host.source)
    assert host.run(copy).gone == [str(host.source)]
    assert tree_of(host.media) == {"a.png": "a"}


def test_two_runs_at_once_are_refused(host: Host) -> None:
    record = Record(str(host.record))
    with pytest.raises(AdoptError, match="Another run is at work"):
        host.run(copy)
    record.close()
    host.run(copy)


def test_a_damaged_copy_is_found_and_the_source_kept(host: Host) -> None:
    host.put("a.png", "whole")
    host.run(copy)
    damaged = host.media / "a.png"
    status = damaged.stat()
    with damaged.open("r+") as file:
        file.write("wrong")
    os.utime(damaged, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(AdoptError, match="other bytes than were copied"):
        host.run(Adoption.verify, Adoption.remove)
    assert tree_of(host.source) == {"a.png": "whole"}


def test_a_full_file_system_is_left_with_room(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.put("a.png", "a")
    monkeypatch.setattr(_media_adopt, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(AdoptError, match="nearly full"):
        host.run(copy)
    assert not list(host.media.iterdir())


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be another user")
def test_what_an_app_names_is_read_with_its_rights_only(host: Host, tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    for parent in list(tmp_path.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    host.put("secret", "of root's").chmod(0o600)
    with pytest.raises(AdoptError, match="nobody can't read"):
        host.run(copy, reader=_as_user.account("nobody"))
    assert tree_of(host.media) == {}
    (host.source / "secret").chmod(0o644)
    host.run(copy, Adoption.verify, reader=_as_user.account("nobody"))
    with pytest.raises(AdoptError, match="can't remove"):
        host.run(Adoption.verify, Adoption.remove, texts=[])
    assert tree_of(host.source) == tree_of(host.media) == {"secret": "of root's"}


# What is done


def test_owner_modes_and_times(host: Host) -> None:
    file = host.put("a/b.png", "b")
    file.chmod(0o777)
    host.run(copy)
    status = (host.media / "a" / "b.png").stat()
    assert stat.S_IMODE(status.st_mode) == 0o640
    assert (status.st_uid, status.st_gid) == (LOOK.uid, LOOK.gid)
    assert status.st_mtime_ns == LONG_AGO_NS
    assert status.st_nlink == 1
    assert stat.S_IMODE((host.media / "a").stat().st_mode) == 0o2750
    assert not (host.media / TEMPORARY).exists()


def test_a_second_run_reads_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.put("a.png", "a")
    time.sleep(_media_source.CTIME_LAG_NS / 1e9)
    host.run(copy)

    def read(*_unused: object) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr(_media_source.Directory, "file", read)
    outcome = host.run(copy)
    assert outcome.unchanged == 1
    assert not outcome.changed


def test_a_dry_run_changes_nothing(host: Host) -> None:
    host.put("a/b.png", "b")
    outcome = host.run(Adoption.plan, is_dry=True)
    assert outcome.copied.first == ["a/b.png"]
    assert outcome.changed
    assert not list(host.media.iterdir())
    assert not host.record.exists()
    host.run(copy)
    assert not host.run(Adoption.plan, is_dry=True).changed


def test_what_the_app_writes_meanwhile_comes_with_the_next_run(host: Host) -> None:
    host.put("a.png", "a")
    host.put("b.png", "b")
    host.run(copy)
    host.put("a.png", "longer")
    host.put("c.png", "c")
    outcome = host.run(copy)
    assert (outcome.renewed.first, outcome.copied.first) == (["a.png"], ["c.png"])
    assert tree_of(host.media) == {"a.png": "longer", "b.png": "b", "c.png": "c"}


def test_what_is_being_written_is_left_until_the_last_pass(host: Host) -> None:
    host.put(".a.png.part", "half")
    assert host.run(copy_old).young == 1
    assert tree_of(host.media) == {}
    (host.source / ".a.png.part").rename(host.source / "a.png")
    assert host.run(Adoption.verify).verified == 1
    assert tree_of(host.media) == {"a.png": "half"}


def test_what_the_app_does_in_the_media_root_is_left_as_it_is(host: Host) -> None:
    for name in ("kept", "changed", "removed"):
        host.put(name, name)
    host.run(copy, Adoption.verify)
    (host.media / "changed").write_text("by the app")
    (host.media / "removed").unlink()
    outcome = host.run(Adoption.verify, Adoption.remove)
    assert tree_of(host.media) == {"kept": "kept", "changed": "by the app"}
    assert tree_of(host.source) == {"changed": "changed", "removed": "removed"}
    assert outcome.removed == 1
    assert sorted(outcome.diverged.first) == ["changed", "removed"]
    assert outcome.kept.count == 2


def test_a_copy_that_was_never_verified_is_made_again(host: Host) -> None:
    host.put("a.png", "a")
    host.run(copy)
    (host.media / "a.png").unlink()
    host.run(copy)
    assert tree_of(host.media) == {"a.png": "a"}


def test_removal_leaves_what_is_no_file_and_what_came_since(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.put("a/b.png", "b")
    host.put("c/d.png", "d")
    (host.source / "c" / "link").symlink_to("d.png")

    def late(adoption: Adoption) -> Outcome:
        host.put("late.png", "late")
        return adoption.remove()

    outcome = host.run(copy, Adoption.verify, late)
    assert tree_of(host.source) == {"late.png": "late"}
    assert sorted(path.name for path in host.source.rglob("*")) == ["c", "late.png", "link"]
    assert outcome.kept.first == ["late.png: it has changed since it was verified"]
    # It is still known, without being named.
    outcome = host.run(Adoption.verify, Adoption.remove, texts=[])
    assert tree_of(host.media) == {"a/b.png": "b", "c/d.png": "d", "late.png": "late"}
    assert tree_of(host.source) == {}


def test_a_file_of_equal_content_is_no_conflict(host: Host) -> None:
    host.put("a.png", "a")
    (host.media / "a.png").write_text("a")
    outcome = host.run(copy, Adoption.verify, Adoption.remove)
    assert (outcome.copied.count, outcome.verified, outcome.removed) == (0, 1, 1)


def test_a_place_that_a_link_led_to_is_the_one_gone_on_with(host: Host, tmp_path: Path) -> None:
    host.put("a.png", "a")
    link = tmp_path / "current"
    link.symlink_to(host.source)
    me = _as_user.account(_names.user_name(os.geteuid()))
    host.run(copy, texts=[str(link)], reader=me)
    (tmp_path / "next").mkdir()
    link.unlink()
    link.symlink_to(tmp_path / "next")
    host.put("b.png", "b")
    host.run(copy, texts=[str(link), str(link)], reader=me)
    assert tree_of(host.media) == {"a.png": "a", "b.png": "b"}


def test_what_was_verified_once_needs_no_further_restart(host: Host) -> None:
    host.put("a.png", "a")
    seen = []

    def note(adoption: Adoption) -> Outcome:
        seen.append(adoption.is_verified())
        return adoption.outcome

    host.run(copy, note)
    host.run(Adoption.verify)
    host.run(copy, note)
    host.put("b.png", "b")
    host.run(copy, note)
    assert seen == [False, True, False]


def test_names_of_any_bytes(host: Host) -> None:
    name = os.fsdecode(b"\xff\n\x1b[31m'\"")
    host.put(name, "a")
    outcome = host.run(copy, Adoption.verify, Adoption.remove)
    assert tree_of(host.media) == {name: "a"}
    assert outcome.copied.first[0].isprintable()


def test_a_source_that_never_rests_is_not_called_verified(host: Host) -> None:
    host.put("a.png", "a")
    numbers = iter(range(1000))
    original: Callable[[Adoption], bool] = Adoption._compare

    def compare(adoption: Adoption) -> bool:
        host.put(f"{next(numbers)}.png", "more")
        return original(adoption)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(AdoptError, match="Files still come"):
        patch.setattr(Adoption, "_compare", compare)
        host.run(Adoption.verify, Adoption.remove)
    assert len(tree_of(host.source)) > 1


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8)
PATHS = st.lists(NAMES.filter(lambda n: n not in (".", "..", TEMPORARY)), min_size=1, max_size=4)
TREES = st.dictionaries(PATHS.map(tuple), st.binary(max_size=64), max_size=8)


@given(first=TREES, second=TREES)
@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_any_tree_comes_over_whole(
    tmp_path_factory: pytest.TempPathFactory,
    first: dict[tuple[str, ...], bytes],
    second: dict[tuple[str, ...], bytes],
) -> None:
    """And so does what is added to it; what was there stays."""
    host = Host(tmp_path_factory.mktemp("host"))
    wanted: dict[Path, bytes] = {}
    for tree in (first, second):
        for parts, content in tree.items():
            path = Path(*parts)
            if any(parent in wanted for parent in path.parents) or (host.source / path).is_dir():
                continue
            (host.source / path).parent.mkdir(parents=True, exist_ok=True)
            (host.source / path).write_bytes(content)
            wanted[path] = content
        host.run(copy)
    outcome = host.run(Adoption.verify)
    assert outcome.verified == len(wanted)
    host.run(Adoption.verify, Adoption.remove)
    found = {p.relative_to(host.media): p for p in host.media.rglob("*") if p.is_file()}
    assert {path: p.read_bytes() for path, p in found.items()} == wanted
    assert not list(host.source.iterdir())


# Killed at each moment


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Do the work in another process, killed before its nth change of a file; whether it was."""
    pid = os.fork()
    if pid == 0:
        left = number

        def count(event: str, _unused: object) -> None:
            nonlocal left
            if event.startswith(("os.", "open", "sqlite3")):
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)

        status = 1
        try:
            sys.addaudithook(count)
            work()
            status = 0
        finally:
            os._exit(status)
    _unused, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def moments(limit: int = 400) -> Iterator[int]:
    yield from range(1, limit)
    raise AssertionError("it never came to an end")


def test_a_copy_killed_at_any_moment(tmp_path: Path) -> None:
    for number in moments():
        (tmp_path / str(number)).mkdir()
        host = Host(tmp_path / str(number))
        host.put("a/b.png", "b" * 3000)
        host.put("c.png", "before")
        host.run(copy)
        host.put("c.png", "afterwards")
        host.put("d/e/f.png", "f")
        wanted = tree_of(host.source)
        was_killed = killed_at(number, lambda host=host: host.run(copy))  # type: ignore[misc]
        whole = {k: v for k, v in tree_of(host.media).items() if not k.startswith(TEMPORARY)}
        assert whole.items() <= {**wanted, "c.png": whole["c.png"]}.items()
        assert whole["c.png"] in ("before", "afterwards")
        assert tree_of(host.source) == wanted
        assert host.run(copy, Adoption.verify).verified == 3
        assert tree_of(host.media) == wanted
        assert not (host.media / TEMPORARY).exists()
        if not was_killed:
            assert number > 20
            return


def test_a_removal_killed_at_any_moment(tmp_path: Path) -> None:
    for number in moments():
        (tmp_path / str(number)).mkdir()
        host = Host(tmp_path / str(number))
        host.put("a/b.png", "b")
        host.put("c.png", "c")
        host.run(copy)
        wanted = tree_of(host.source)

        def work(host: Host = host) -> None:
            host.run(Adoption.verify, Adoption.remove)

        was_killed = killed_at(number, work)
        assert tree_of(host.source).items() <= wanted.items()
        assert tree_of(host.media).items() >= wanted.items()
        host.run(Adoption.verify, Adoption.remove)
        assert tree_of(host.media) == wanted
        assert not list(host.source.iterdir())
        if not was_killed:
            assert number > 20
            return


# Containers, whose engine is a program of that name


ENGINE = """#!{python}
import json, os, sys, tarfile
layers = {layers!r}
if sys.argv[1] == "inspect":
    name = sys.argv[-1]
    path = os.path.join(layers, name)
    if not os.path.exists(path):
        sys.exit(f"Error: No such container: {{name}}")
    state = {{"Running": os.path.exists(os.path.join(path, "running"))}}
    print(json.dumps([{{"Id": os.path.basename(os.path.realpath(path)), "State": state}}]))
elif sys.argv[1] == "cp":
    name, _colon, path = sys.argv[2].partition(":")
    source = os.path.join(layers, name) + path
    if not os.path.exists(source):
        sys.exit(f"Error response from daemon: Could not find the file {{path}} in container {{name}}")
    if os.path.exists(os.path.join(layers, name, "broken")):
        sys.stdout.write("x" * 512)
        sys.exit("archive/tar: write too long")
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as tar:
        tar.add(source, arcname=os.path.basename(source))
"""


class Engine:
    def __init__(self, directory: Path) -> None:
        self.layers = directory / "layers"
        (self.layers / "0123456789abcdef" / "app" / "uploads").mkdir(parents=True)
        (self.layers / "gallery").symlink_to("0123456789abcdef")
        self.uploads = self.layers / "gallery" / "app" / "uploads"
        self.text = "container:gallery:/app/uploads"
        program = directory / "bin" / "docker"
        program.parent.mkdir()
        program.write_text(ENGINE.format(python=sys.executable, layers=str(self.layers)))
        program.chmod(0o755)

    def put(self, path: str, content: str) -> None:
        file = self.uploads / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        os.utime(file, (LONG_AGO_S, LONG_AGO_S))


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    found = Engine(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("container:nobody:/app/uploads", "is no directory of this host, nor of a container"),
        ("container:gallery:/nowhere", "the container has no /nowhere"),
        ("container:gallery:relative", "names no directory of a container"),
        ("container:-v:/app", "names no directory of a container"),
    ],
)
def test_a_container_that_is_not_there(host: Host, engine: Engine, text: str, words: str) -> None:
    with pytest.raises(AdoptError, match=words):
        host.run(copy, texts=[text])


def test_no_engine(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(AdoptError, match="no command docker or podman"):
        host.run(copy, texts=["container:gallery:/app/uploads"])


def test_a_stream_that_breaks_off_is_not_verified(host: Host, engine: Engine) -> None:
    engine.put("a.png", "a")
    (engine.layers / "gallery" / "broken").touch()
    with pytest.raises(AdoptError, match="Nothing was removed"):
        host.run(copy, Adoption.verify, texts=[engine.text])


def test_a_running_container_is_copied_and_not_verified(host: Host, engine: Engine) -> None:
    engine.put("a.png", "a")
    (engine.layers / "gallery" / "running").touch()
    with pytest.raises(AdoptError, match="docker stop 0123456789ab"):
        host.run(copy, Adoption.verify, texts=[engine.text])
    assert tree_of(host.media) == {"a.png": "a"}


def test_a_container_of_the_same_name_is_another_one(host: Host, engine: Engine) -> None:
    engine.put("a.png", "a")
    host.run(copy, texts=[engine.text])
    engine.put("late.png", "late")
    (engine.layers / "gallery").unlink()
    (engine.layers / "gallery" / "app" / "uploads").mkdir(parents=True)
    outcome = host.run(copy, Adoption.verify, texts=[engine.text])
    assert outcome.verified == 2
    assert tree_of(host.media) == {"a.png": "a", "late.png": "late"}
    shutil.rmtree(engine.layers / "0123456789abcdef")
    assert host.run(Adoption.verify, texts=[engine.text]).gone == [engine.text]


def test_a_container_s_layer_comes_over_whole(host: Host, engine: Engine) -> None:
    engine.put("a/b.png", "b")
    engine.put("c.png", "c")
    os.link(engine.uploads / "c.png", engine.uploads / "d.png")
    (engine.uploads / "link").symlink_to("c.png")
    outcome = host.run(copy, copy, texts=[engine.text])
    assert outcome.copied.count == 3
    assert outcome.skipped.first == ["link: link"]
    engine.put("a/b.png", "changed")
    engine.put("e.png", "e")
    outcome = host.run(Adoption.verify, Adoption.remove, texts=[engine.text])
    wanted = {"a/b.png": "changed", "c.png": "c", "d.png": "c", "e.png": "e"}
    assert tree_of(host.media) == wanted
    assert (host.media / "a" / "b.png").stat().st_mtime == LONG_AGO_S
    assert outcome.verified == 4
    assert outcome.removed == 0
    assert "goes with the container" in outcome.kept.first[0]


def test_a_change_without_a_trace_in_the_times_is_found_by_its_bytes(
    host: Host, engine: Engine
) -> None:
    engine.put("a.png", "one")
    host.run(copy, texts=[engine.text])
    engine.put("a.png", "two")
    host.run(copy, texts=[engine.text])
    assert tree_of(host.media) == {"a.png": "one"}
    host.run(Adoption.verify, texts=[engine.text])
    assert tree_of(host.media) == {"a.png": "two"}


def test_names_that_lead_out_of_the_stream_are_refused() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("uploads/../../etc/cron.d/a"))
    stream.seek(0)
    container = object.__new__(_media_source.Container)
    container.text = "container:gallery:/app/uploads"
    with (
        tarfile.open(fileobj=stream, mode="r|") as tar,
        pytest.raises(_media_source.SourceError, match="sent the name"),
    ):
        list(container._members(tar))
