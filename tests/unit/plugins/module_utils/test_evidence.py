"""All questions at once: every one has an answer, nothing is left behind, and nothing else is touched."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _bounded,
    _evidence,
    _evidence_accounts,
    _evidence_requests,
    _media_canary,
)
from hypothesis import given
from hypothesis import strategies as st

Facts = dict[str, t.Any]

pytestmark = pytest.mark.usefixtures("as_root")
COLLECTION_PARENT = Path(_as_user.__file__).parents[5]
USER = {"uid": 61001, "gid": 61001, "groups": [61001, 61002]}
CANARY = {"id": "canary", **USER}


@pytest.fixture
def media(open_directory: Path) -> Path:
    media = open_directory / "media"
    media.mkdir()
    os.chown(media, 61001, 61002)
    media.chmod(0o2750)
    return media


@pytest.fixture
def silent() -> t.Iterator[socket.socket]:
    """Somebody who takes requests, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def one(kind: str, question: Facts, **options: t.Any) -> Facts:
    found = _evidence.answer({kind: [{**question, "id": "x"}]}, **options)
    answer: Facts = found["answers"]["x"]
    return answer


def snapshot(directory: Path) -> list[tuple[t.Any, ...]]:
    found = []
    for path in sorted([directory, *directory.rglob("*")]):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        looks = (status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_nlink)
        times = () if path.is_dir() else (status.st_mtime_ns, status.st_ctime_ns)
        found.append((path, *looks, *times, hashlib.sha256(content).hexdigest()))
    return found


# Canaries


def test_a_canary_is_there_for_the_others_and_gone_after(media: Path) -> None:
    path = f"{media}/{{canary:canary}}"
    question = {**CANARY, "directory": str(media), "suffix": ".svg", "content": "<svg/>\n"}
    answers = _evidence.answer(
        {
            "canaries": [question],
            "files": [{"id": "file", "path": path, "hash": True}],
            "paths": [{"id": "path", "path": path, **USER, "want": ["read"]}],
            "trees": [{"id": "tree", "path": str(media)}],
        }
    )["answers"]
    canary = answers["canary"]
    assert (canary["written"], canary["error"], canary["mode"]) == (True, None, "0640")
    assert (canary["owner"], canary["group"]) == ("61001", "61002")
    assert canary["name"].endswith(".svg")
    assert canary["path"] == f"{media}/{canary['name']}"
    assert answers["file"]["sha256"] == canary["sha256"]
    assert answers["file"]["size"] == canary["size"]
    assert answers["path"]["allowed"] is True
    assert answers["tree"]["files"] == 1
    assert list(media.iterdir()) == []


def test_its_content_follows_what_it_is_known_by(media: Path, visitor: _as_user.Account) -> None:
    facts, held = _media_canary.place_held(
        visitor, str(media), umask=0o027, suffix=".html", content="<script>ü</script>"
    )
    assert held is not None
    try:
        text = Path(facts["path"]).read_text("utf-8")
    finally:
        assert held.apply_removal() is None
        held.close()
    assert text.startswith(_media_canary.MARKER)
    assert text.endswith("\n<script>ü</script>")
    assert hashlib.sha256(text.encode()).hexdigest() == facts["sha256"]


def test_one_may_be_hidden(media: Path) -> None:
    canary = {**CANARY, "directory": str(media), "hidden": True}
    questions = {
        "canaries": [canary],
        "trees": [{"id": "tree", "path": str(media)}],
    }
    answers = _evidence.answer(questions)["answers"]
    placed = answers[CANARY["id"]]
    assert placed["name"].startswith(f".{_media_canary.PREFIX}")
    assert answers["tree"]["dotfiles"] == [placed["path"]]
    assert list(media.iterdir()) == []


@pytest.mark.parametrize("suffix", ["/../x", ".a/b", "x", ".x\n", ".", ".a.b.c", ".ä"])
def test_a_suffix_that_leads_elsewhere_is_refused(media: Path, suffix: str) -> None:
    answer = one("canaries", {**CANARY, "directory": str(media), "suffix": suffix})
    assert "suffix is" in answer["unseen"]
    answer = one("canaries", {**CANARY, "directory": str(media), "content": "x" * 70_000})
    assert "content is longer" in answer["unseen"]
    assert list(media.iterdir()) == []


def test_why_one_can_not_be_written_is_an_answer(media: Path) -> None:
    os.chown(media, 0, 0)
    media.chmod(0o755)
    answer = one("canaries", {**CANARY, "directory": str(media)})
    assert answer["written"] is False
    assert (answer["error"]["reason"], answer["error"]["component"]) == ("not-writable", str(media))


def test_what_needs_one_that_is_not_there_says_why(media: Path) -> None:
    media.chmod(0o500)
    answers = _evidence.answer(
        {
            "canaries": [{**CANARY, "directory": str(media)}],
            "requests": [
                {"id": "a", "target": "/media/{canary:canary}"},
                {"id": "b", "target": "/media/{canary:other}"},
                # Not a canary's, though there is an answer of that id.
                {"id": "c", "target": "/media/{canary:a}"},
            ],
        }
    )["answers"]
    assert answers["a"] == {"unseen": "canary canary was not written: Permission denied"}
    assert answers["b"] == {"unseen": "canary other was not written: it was not asked for"}
    assert answers["c"] == {"unseen": "canary a was not written: it was not asked for"}


def test_it_is_removed_wherever_its_path_leads_then(media: Path) -> None:
    """As when a release is switched, or the app closes its directory, in the midst of it."""
    process_answer: list[Facts] = []
    moved = media.with_name("moved")

    def during(*_unused: t.Any) -> Facts:
        process_answer.extend({"name": path.name} for path in media.iterdir())
        media.rename(moved)
        media.mkdir()
        moved.chmod(0o500)
        return {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_evidence._Survey, "_file", during)
        questions = {
            "canaries": [{**CANARY, "directory": str(media)}],
            "files": [{"id": "f", "path": "/"}],
        }
        found = _evidence.answer(questions)
    assert len(process_answer) == 1
    assert found["unseen"] == []
    assert list(moved.iterdir()) == []


def test_another_of_its_name_stays(media: Path) -> None:
    def during(*_unused: t.Any) -> Facts:
        (name,) = media.iterdir()
        name.unlink()
        name.write_text("mine")
        return {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_evidence._Survey, "_file", during)
        _evidence.answer(
            {
                "canaries": [{**CANARY, "directory": str(media)}],
                "files": [{"id": "f", "path": "/"}],
            }
        )
    assert [path.read_text() for path in media.iterdir()] == ["mine"]


def test_it_is_removed_when_something_breaks(media: Path) -> None:
    def during(*_unused: t.Any) -> Facts:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_evidence._Survey, "_file", during)
        with pytest.raises(KeyboardInterrupt):
            _evidence.answer(
                {
                    "canaries": [{**CANARY, "directory": str(media)}],
                    "files": [{"id": "f", "path": "/"}],
                }
            )
    assert list(media.iterdir()) == []


def test_one_that_can_neither_be_listed_nor_read_is_removed(media: Path) -> None:
    media.chmod(0o300)
    question = {**CANARY, "directory": str(media), "umask": "0777"}
    answer = one("canaries", question)
    assert (answer["written"], answer["mode"]) == (True, "0000")
    assert list(media.iterdir()) == []


KILLED = """
import json, sys
from ansible_collections.flaskworks.static_media.plugins.module_utils import _evidence
_evidence.answer(json.loads(sys.argv[1]))
"""


def killed_run(media: Path, silent: socket.socket, suffix: str) -> str:
    """Kill a run between placing and removal; return what it left."""
    questions = {
        "canaries": [{**CANARY, "directory": str(media), "suffix": suffix}],
        "requests": [{"id": "r", "port": silent.getsockname()[1]}],
    }
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, json.dumps(questions)],
        env={**os.environ, "PYTHONPATH": str(COLLECTION_PARENT)},
    ) as process:
        # Its request comes after its canary.
        stream, _unused = silent.accept()
        with stream:
            process.send_signal(signal.SIGKILL)
    (left,) = media.iterdir()
    return left.name


@pytest.mark.parametrize("suffix", [".txt", ".svg"])
def test_what_a_killed_run_left_is_removed_by_the_next(
    media: Path, silent: socket.socket, suffix: str
) -> None:
    upload = media / "photo.png"
    upload.write_text("mine")
    upload.rename(media.parent / "photo.png")
    left = killed_run(media, silent, suffix)
    assert left.endswith(suffix)
    (media.parent / "photo.png").rename(upload)
    answer = one("canaries", {**CANARY, "directory": str(media), "suffix": ".html"})
    assert answer["leftovers_removed"] == [left]
    assert list(media.iterdir()) == [upload]


def test_it_is_removed_where_its_user_cannot_list(media: Path, silent: socket.socket) -> None:
    left = killed_run(media, silent, ".txt")
    media.chmod(0o300)
    answer = one("canaries", {**CANARY, "directory": str(media)})
    assert answer["leftovers_removed"] == [left]
    assert list(media.iterdir()) == []


def test_one_that_another_run_holds_stays(media: Path, visitor: _as_user.Account) -> None:
    facts, held = _media_canary.place_held(visitor, str(media), umask=0o027)
    assert held is not None
    assert one("canaries", {**CANARY, "directory": str(media)})["leftovers_removed"] == []
    assert Path(facts["path"]).exists()
    held.close()
    answer = one("canaries", {**CANARY, "directory": str(media)})
    assert answer["leftovers_removed"] == [facts["name"]]


def test_a_hidden_one_is_removed_likewise(media: Path, visitor: _as_user.Account) -> None:
    facts, held = _media_canary.place_held(visitor, str(media), umask=0o027, is_hidden=True)
    assert held is not None
    held.close()
    answer = one("canaries", {**CANARY, "directory": str(media)})
    assert answer["leftovers_removed"] == [facts["name"]]


def test_an_empty_one_is_known_by_its_name(media: Path) -> None:
    """Its maker was killed before it could write the marker."""
    ours = media / _media_canary.new_name(".html")
    users = media / ("flask-verify-" + "2" * 32 + ".html")
    young = media / _media_canary.new_name()
    for path in (ours, users, young):
        path.touch()
        os.chown(path, 61001, 61002)
    for path in (ours, users):
        os.utime(path, (0, 0))
    answer = one("canaries", {**CANARY, "directory": str(media)})
    assert answer["leftovers_removed"] == [ours.name]
    assert sorted(media.iterdir()) == sorted([users, young])


def test_who_is_left_alone_removes_what_he_wrote(media: Path, visitor: _as_user.Account) -> None:
    """The run was killed while its child wrote: nobody takes the canary over."""
    receiver, sender = socket.socketpair()
    receiver.close()
    facts = _media_canary._place(
        visitor, str(media), _media_canary.new_name(), "x", 0o027, None, sender
    )
    sender.close()
    assert facts["written"] is False
    assert list(media.iterdir()) == []


def test_check_mode_writes_none_and_asks_the_rest(media: Path) -> None:
    before = snapshot(media)
    answers = _evidence.answer(
        {
            "canaries": [{**CANARY, "directory": str(media)}],
            "requests": [
                {"id": "needs", "target": "/{canary:canary}"},
                {"id": "asked", "port": 1},
            ],
            "paths": [{"id": "path", "path": str(media), **USER, "want": ["write"]}],
        },
        check_mode=True,
    )["answers"]
    assert "check mode" in answers["canary"]["unseen"]
    assert "check mode" in answers["needs"]["unseen"]
    assert "Connection refused" in answers["asked"]["error"]
    assert answers["path"]["allowed"] is True
    assert snapshot(media) == before


# A container's or a service's view


@pytest.fixture
def confined(media: Path) -> t.Iterator[int]:
    """A process with a root of its own below, as of a container, and a user that has no name."""
    script = """
import os, sys
os.unshare(0x20000) if hasattr(os, "unshare") else __import__("ctypes").CDLL(None).unshare(0x20000)
root = sys.argv[1]
os.system(f"mount --make-rprivate / && mount -t tmpfs -o mode=0755 none {root}")
os.makedirs(root + "/srv/releases/1/media")
os.symlink("/srv/releases/1", root + "/srv/current")
os.chown(root + "/srv/releases/1/media", 61001, 61002)
os.mkdir(root + "/etc")
open(root + "/etc/passwd", "w").write("app:x:61001:61001::/:/bin/sh\\nbroken\\nroot:x:0:0::/:\\n")
open(root + "/srv/odd\\nname \\udcff", "w").close()
os.chroot(root)
os.chdir("/")
os.umask(0o077)
os.setgroups([61002]); os.setgid(61001); os.setuid(61001)
print("ready", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, media],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout and process.stdout.readline() == b"ready\n"
        yield process.pid
        process.kill()


def test_a_containers_own_files_are_asked_about(confined: int, media: Path) -> None:
    inside = {"process_id": confined}
    path = "/srv/current/media/{canary:c}"
    answers = _evidence.answer(
        {
            # Without a user it is the process's own.
            "canaries": [{"id": "c", "directory": "/srv/current/media", **inside}],
            "files": [{"id": "file", "path": path, "hash": True, **inside}],
            "paths": [
                {"id": "own", "path": path, "want": ["read"], "uid": 61001, **inside},
                {"id": "other", "path": path, "want": ["read"], "uid": 61009, **inside},
            ],
            "trees": [{"id": "tree", "path": "/srv", **inside}],
            "storage": [{"id": "storage", "path": "/srv", **inside}],
        }
    )["answers"]
    canary = answers["c"]
    assert (canary["written"], canary["mode"], canary["umask"]) == (True, "0600", "0077")
    # As the container names them: here 61001 is nobody, and there no group is named.
    assert (canary["owner"], canary["group"]) == ("app", "61001")
    assert (answers["own"]["owner"], answers["own"]["components"][0]["owner"]) == ("app", "root")
    assert answers["other"]["blocked_by"]["owner"] == "app"
    assert answers["file"]["sha256"] == canary["sha256"]
    assert answers["file"]["realpath"] == f"/srv/releases/1/media/{canary['name']}"
    assert answers["own"]["allowed"] is True
    assert answers["other"]["blocked_by"]["reason"] == "not-readable"
    components = [component["path"] for component in answers["own"]["components"]]
    assert components[:4] == ["/", "/srv", "/srv/current", "/srv/releases"]
    assert answers["own"]["components"][0]["fstype"] == "tmpfs"
    # The link, the canary, and a name that is no text
    assert answers["tree"]["files"] == 3
    shown = [entry["path"] for entry in answers["tree"]["entries"]]
    assert "/srv/odd\\nname \\xff" in shown
    assert answers["storage"]["fstype"] == "tmpfs"
    assert os.listdir(f"/proc/{confined}/root/srv/releases/1/media") == []
    assert list(media.iterdir()) == []


def test_a_process_that_is_gone_is_unseen(media: Path) -> None:
    gone = {"process_id": 2**22 + 1}
    for kind, question in (
        ("canaries", {**CANARY, "directory": "/srv"}),
        ("files", {"path": "/"}),
        ("paths", {"path": "/", **USER}),
        ("trees", {"path": "/"}),
        ("storage", {"path": "/"}),
        ("requests", {"unix_socket": "/run/app.sock"}),
    ):
        assert "can't be entered" in one(kind, {**question, **gone})["unseen"]


def test_a_user_is_named_or_numbered(confined: int) -> None:
    account = _evidence_accounts.account
    assert account({"user": "nobody"}) == _as_user.account("nobody")
    assert account({"user": 65534}) == account({"user": "65534"}) == _as_user.account("nobody")
    assert account({"uid": 61009}).groups == (61009,)
    assert account({"uid": 61009, "gid": 7}).groups == (7,)
    of_process = account({"process_id": confined})
    assert (of_process.uid, of_process.gid, of_process.groups) == (61001, 61001, (61002,))
    assert account({"uid": 61001, "process_id": confined}) == of_process
    assert account({"uid": 61002, "process_id": confined}).groups == (61002,)
    for question in ({}, {"user": "no-such-user"}, {"process_id": 2**22 + 1}):
        with pytest.raises(_as_user.AsUserError):
            account(question)


def test_a_network_of_its_own_is_asked_from_within() -> None:
    script = (
        "import fcntl, socket, struct\n"
        # SIOCSIFFLAGS with IFF_UP (netdevice(7))
        'fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 1))\n'
        's = socket.create_server(("127.0.0.1", 0))\n'
        "print(s.getsockname()[1], flush=True)\n"
        "c, _ = s.accept(); c.recv(9999)\n"
        'c.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\ninside")\n'
    )
    with subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c", script], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        port = int(process.stdout.readline())
        question = {"port": port, "process_id": process.pid}
        assert one("requests", question)["head"] == "inside"
    gone = one("requests", question)
    assert "No such file or directory" in gone["unseen"]
    # Ours is the same, which takes no rights.
    assert "refused" in one("requests", {"port": 1, "process_id": os.getpid()})["error"]


# Nothing else is touched


def test_no_file_is_changed(media: Path) -> None:
    for name in ("a.png", "b/c.png", "b/.hidden"):
        (media / name).parent.mkdir(exist_ok=True)
        (media / name).write_text(name)
    (media / "link").symlink_to("b")
    os.mkfifo(media / "fifo")
    before = snapshot(media.parent)
    _evidence.answer(
        {
            "canaries": [{**CANARY, "directory": str(media)}],
            "files": [
                {"id": f"f{path}", "path": str(path), "hash": True} for path in media.iterdir()
            ],
            "paths": [
                {
                    "id": "p",
                    "path": str(media),
                    **USER,
                    "want": ["list", "read", "write"],
                    "unwanted": ["write"],
                    "sample_files": 10,
                }
            ],
            "trees": [{"id": "t", "path": str(media)}],
            "storage": [{"id": "s", "path": str(media)}],
        }
    )
    assert snapshot(media.parent) == before


# Whatever is asked


def test_a_path_that_spoils_the_others_is_alone(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = _evidence._ask_paths

    def ask(looks: t.Sequence[t.Any]) -> list[Facts]:
        if any(look.question.path.endswith("poison") for look in looks):
            raise OSError(5, "Input/output error")
        return real(looks)

    monkeypatch.setattr(_evidence, "_ask_paths", ask)
    paths = [{"id": name, "path": f"/{name}", **USER} for name in ("a", "poison", "b")]
    answers = _evidence.answer({"paths": paths})["answers"]
    assert answers["poison"]["unseen"] == "Input/output error"
    assert answers["a"]["exists"] is False
    assert answers["b"]["exists"] is False


@pytest.mark.parametrize(
    ("kind", "question", "words"),
    [
        ("files", {}, "no 'path'"),
        ("files", {"path": "relative"}, "no path from the root"),
        ("files", {"path": "/\0"}, "no path from the root"),
        ("paths", {"path": "/", "user": "no-such-user"}, "no user 'no-such-user'"),
        ("paths", {"path": "/"}, "names no user"),
        ("paths", {"path": "/", **USER, "want": ["fly"]}, "Nobody can want fly"),
        ("canaries", {"directory": "media", **USER}, "relative path"),
        ("canaries", {"directory": "/", **USER, "umask": "rwx"}, "umask is"),
        ("requests", {"port": 99999}, "port is 99999"),
        ("requests", {"port": "x"}, "can't be read"),
        ("trees", {"path": "/etc/passwd"}, "Not a directory"),
        ("trees", {"path": "/", "limit": "many"}, "can't be asked"),
    ],
)
def test_what_can_not_be_asked_is_said(kind: str, question: Facts, words: str) -> None:
    assert words in one(kind, question)["unseen"]


def test_questions_that_are_none_are_said() -> None:
    found = _evidence.answer(
        {
            "files": [{"id": "a", "path": "/"}, {"id": "a", "path": "/etc"}, {"path": "/"}, 5],
            "paths": "all",
            "guesses": [],
            "trees": None,
        }
    )
    assert found["answers"].keys() == {"a"}
    assert found["answers"]["a"]["realpath"] == "/"
    unseen = "\n".join(found["unseen"])
    for words in ("has the id a", "has no id", "paths is no list", "named guesses"):
        assert words in unseen
    assert _evidence.answer({}) == {"answers": {}, "unseen": []}


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["/", "/etc", "/proc/self/fd", "nobody", "{canary:x}", "//", "\udcff"]),
    st.lists(st.one_of(st.text(max_size=5), st.integers()), max_size=3),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
)
# What would connect to others, or take its time.
FIXED = {"address": "127.0.0.1", "port": 1, "seconds": 0.01, "directory": "/no/such/directory"}
NAMES = st.sampled_from(
    [
        "host",
        "method",
        "target",
        "headers",
        "body_bytes",
        "expect",
        "chunked",
        "unix_socket",
        "process_id",
        "protocol",
        "proxy_protocol",
        "tls",
        "log",
        "user",
        "uid",
        "gid",
        "groups",
        "path",
        "want",
        "unwanted",
        "sample_files",
        "limit",
        "hash",
        "suffix",
        "content",
        "umask",
    ]
)


@given(st.sampled_from(_evidence.KINDS), st.dictionaries(NAMES, VALUES, max_size=5))
def test_no_question_raises(kind: str, question: Facts) -> None:
    answer = one(kind, {**question, **FIXED})
    json.dumps(answer)
    assert answer


def test_the_time_is_kept_and_what_was_not_reached_is_said(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = [0.0]
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + ahead[0])

    def ask(*_unused: t.Any) -> Facts:
        ahead[0] += 1000
        return {"status": 200}

    monkeypatch.setattr(_evidence_requests, "ask", ask)
    answers = _evidence.answer(
        {
            "canaries": [{**CANARY, "directory": str(media)}],
            "requests": [{"id": "first"}, {"id": "second"}],
            "paths": [{"id": "path", "path": "/", **USER}],
            "trees": [{"id": "tree", "path": "/"}],
            "storage": [{"id": "storage", "path": "/"}],
        }
    )["answers"]
    assert answers["canary"]["written"] is True
    assert answers["first"]["status"] == 200
    for id_ in ("second", "path", "tree", "storage"):
        assert answers[id_]["unseen"] == "out of time"
    assert list(media.iterdir()) == []


def test_what_hangs_does_not_stop_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a mount whose server is gone."""
    seconds = iter([0.2, 60.0])
    monkeypatch.setattr(_evidence._Survey, "_seconds", lambda *_unused: next(seconds))
    real = os.stat

    def stat(path: t.Any, *arguments: t.Any, **options: t.Any) -> os.stat_result:
        if path == "/gone":
            signal.pause()
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", stat)
    files = [{"id": "a", "path": "/gone"}, {"id": "b", "path": "/"}]
    answers = _evidence.answer({"files": files})["answers"]
    assert "no answer within" in answers["a"]["unseen"]
    assert answers["b"]["exists"] is True


def test_no_more_requests_are_made_than_are_bearable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_evidence, "REQUESTS_LIMIT", 2)
    requests = [{"id": str(number), "port": 1} for number in range(3)]
    answers = _evidence.answer({"requests": requests})["answers"]
    assert "error" in answers["1"]
    assert answers["2"] == {"unseen": "only 2 are asked at once"}


# Without root


def as_nobody(questions: Facts) -> Facts:
    """Ask as a user who may nothing: in a process, since ids can't be taken back."""
    who = _as_user.account("nobody")

    def ask() -> Facts:
        os.setgroups(who.groups)
        os.setgid(who.gid)
        os.setuid(who.uid)
        return _evidence.answer(questions)

    answers: Facts = _bounded.call(ask, seconds=60)
    return answers


def test_without_root_all_that_can_be_is_asked(media: Path) -> None:
    own = media.parent / "own"
    own.mkdir()
    os.chown(own, 65534, 65534)
    (media / "a").touch()
    found = as_nobody(
        {
            "canaries": [
                {"id": "own", "directory": str(own), "user": "nobody"},
                {**CANARY, "directory": str(media)},
            ],
            "requests": [
                {"id": "request", "port": 1},
                {"id": "socket", "unix_socket": f"{media}/app.sock"},
                {"id": "inside", "unix_socket": "/run/app.sock", "process_id": 1},
            ],
            "paths": [
                {"id": "mine", "path": f"{media}/a", "user": "nobody", "want": ["read"]},
                {"id": "path", "path": f"{media}/a", **USER, "want": ["read"]},
                {"id": "view", "path": "/", "user": "nobody", "process_id": 1},
            ],
            "files": [{"id": "file", "path": f"{media}/a"}, {"id": "open", "path": str(own)}],
            "trees": [{"id": "tree", "path": str(media)}],
            "storage": [{"id": "storage", "path": f"{media}/a"}],
        }
    )
    answers = found["answers"]
    assert answers["own"]["written"] is True
    assert list(own.iterdir()) == []
    assert answers["request"]["error"]
    assert answers["open"]["exists"] is True
    assert answers["mine"]["blocked_by"]["component"] == str(media)
    for id_ in ("canary", "path", "view", "inside"):
        assert "become: true" in answers[id_]["unseen"]
    for id_ in ("file", "tree", "storage", "socket"):
        assert "Permission denied. Set 'become: true'" in answers[id_]["unseen"]
    shown = [component["path"] for component in answers["path"]["components"]]
    assert shown[-2:] == [str(media), f"{media}/a"]
