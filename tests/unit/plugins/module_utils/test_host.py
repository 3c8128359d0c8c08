"""Facts of a host, asked of this one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _host


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0100007F", "127.0.0.1"),
        ("00000000", "0.0.0.0"),
        ("00000000000000000000000001000000", "::1"),
    ],
)
def test_addresses_are_decoded(text: str, address: str) -> None:
    # The samples are of a little-endian kernel, as x86 and ARM are.
    assert _host.decode_address(text) == address


def test_a_listener_is_found_with_its_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (found,) = _host.listeners(port)
        assert found["address"] == f"127.0.0.1:{port}"
        assert found["pid"] == os.getpid()
        assert _host.bound_process(f"127.0.0.1:{port}") == os.getpid()
    assert _host.listeners(port) == []
    assert _host.bound_process(f"127.0.0.1:{port}") is None


def test_the_process_behind_a_unix_socket_is_found(tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        assert _host.bound_process(f"unix:{path}") is None, "bound, but not listening"
        server.listen()
        assert _host.bound_process(f"unix:{path}") == os.getpid()


def test_a_host_without_proc_has_no_answers(tmp_path: Path) -> None:
    assert _host.listeners(80, str(tmp_path)) == []
    assert _host.bound_process("unix:/run/x.sock", str(tmp_path)) is None
    assert _host.has_ipv6(str(tmp_path)) is False


def test_users_are_known_or_none() -> None:
    root = _host.user_facts("root")
    assert root is not None
    assert root["uid"] == 0
    assert _host.user_facts("no-such-user") is None


def test_a_directory_knows_what_it_lies_in(tmp_path: Path) -> None:
    (tmp_path / "venv" / "var").mkdir(parents=True)
    (tmp_path / "venv" / "pyvenv.cfg").write_text("")
    (tmp_path / "checkout" / ".git").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "checkout")
    venv = str(tmp_path / "venv")
    assert _host.directory_facts(f"{venv}/var")["virtualenv"] == venv
    assert _host.directory_facts(f"{venv}/var/media/new")["virtualenv"] == venv
    link = _host.directory_facts(str(tmp_path / "link" / "media"))
    assert link["checkout"] == str(tmp_path / "checkout")
    assert link["resolved"] == str(tmp_path / "checkout" / "media")
    assert _host.directory_facts(str(tmp_path))["kind"] == "directory"
    assert _host.directory_facts(str(tmp_path / "file"))["kind"] == "file"
    assert _host.directory_facts(str(tmp_path / "none"))["kind"] == "missing"
    assert _host.directory_facts(str(tmp_path / "file" / "x"))["kind"] == "file above"


def test_whether_acls_are_kept_is_asked_of_the_nearest_directory_there_is(tmp_path: Path) -> None:
    assert _host.directory_facts(str(tmp_path / "no/such"))["keeps_acls"]
    # proc keeps none.
    assert not _host.directory_facts("/proc/no/such")["keeps_acls"]


def held_by(monkeypatch: pytest.MonkeyPatch, holders: set[int], main: int | None) -> None:
    """A host of which these processes hold every socket."""
    monkeypatch.setattr(
        _host,
        "_holders",
        lambda inodes, proc: [(pid, "x", inode) for pid in holders for inode in inodes],
    )
    monkeypatch.setattr(_host, "service_process", lambda name: main)


@pytest.mark.parametrize(
    ("holders", "main", "expected"),
    [
        ({1, 4000, 500, 501}, 4000, 4000),
        ({1, 500, 501}, None, 500),
        ({1, 500}, 700, 500),
        ({1}, 4000, 4000),
        ({1}, None, None),
        (set(), 4000, 4000),
    ],
)
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_systemd_is_not_the_app_whose_socket_it_holds(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    holders: set[int],
    main: int | None,
    expected: int | None,
    kind: str,
) -> None:
    held_by(monkeypatch, holders, main)
    with socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET) as server:
        server.bind(str(tmp_path / "s") if kind == "unix" else ("127.0.0.1", 0))
        server.listen()
        name = server.getsockname()
        bind = f"unix:{name}" if kind == "unix" else f"{name[0]}:{name[1]}"
        assert _host.app_process(bind, "app") == expected


def test_another_address_is_another_services(tmp_path: Path) -> None:
    """The same port of two addresses, of which one is this process's."""
    script = (
        "import socket, sys; s = socket.create_server(('127.0.0.2', int(sys.argv[1])));"
        "print('ready', flush=True); sys.stdin.read()"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = [sys.executable, "-c", script, str(port)]
        with subprocess.Popen(command, stdin=-1, stdout=-1) as other:
            assert other.stdout
            assert other.stdout.readline() == b"ready\n"
            assert _host.bound_processes(f"127.0.0.1:{port}") == {os.getpid()}
            assert _host.bound_processes(f"127.0.0.2:{port}") == {other.pid}
            both = {os.getpid(), other.pid}
            assert _host.bound_processes(f"localhost:{port}") == both
            other.kill()


def test_a_directory_is_in_use_when_marked_or_served_by_a_file_of_ours(tmp_path: Path) -> None:
    root, site = tmp_path / "media", tmp_path / "site.conf"
    root.mkdir()

    def found() -> dict[str, t.Any]:
        facts = _host.directory_facts(str(root), ".flask_media_gallery", [str(site)])
        return {key: facts[key] for key in ("owner_uid", "is_empty", "is_in_use")}

    (root / "lost+found").mkdir()
    new = {"owner_uid": os.getuid(), "is_empty": True, "is_in_use": False}
    assert found() == new
    # Somebody else's, and one of ours that serves what is beside it.
    for text in (f'alias "{root}/";', f'# By flaskworks.static_media\nalias "{root}-2/";'):
        site.write_text(text)
        assert found() == new
    for quote in ("", '"'):
        site.write_text(f"# By flaskworks.static_media\nalias {quote}{root}/{quote};")
        assert found() == {**new, "is_in_use": True}
    site.unlink()
    (root / ".flask_media_gallery").touch()
    assert found() == {**new, "is_empty": False, "is_in_use": True}
    assert _host.directory_facts(str(tmp_path / "none"), "m")["owner_uid"] is None
