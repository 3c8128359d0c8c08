"""What is free, and where Nginx writes request bodies, by its configuration on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _media_storage,
    _nginx_tree,
)


def build(directory: Path) -> _nginx_tree.Build:
    text = (
        "nginx version: nginx/1.26.3\n"
        f"configure arguments: --prefix={directory}/share --conf-path={directory}/nginx.conf"
        f" --http-client-body-temp-path={directory}/compiled"
    )
    return _nginx_tree.parse_build("nginx", text)


@pytest.mark.parametrize(
    ("http", "expected"),
    [
        ("", ["compiled"]),
        ("client_body_temp_path {0}/body 1 2;", ["body"]),
        ("client_body_temp_path body;", ["share/body"]),
        ("server { client_body_temp_path {0}/own; }", ["own", "compiled"]),
        (
            "client_body_temp_path {0}/body; server { location /up { client_body_temp_path {0}/up; } }",
            ["body", "up"],
        ),
        ("# client_body_temp_path {0}/body;", ["compiled"]),
        ("include conf.d/*.conf;", ["included"]),
        ("include conf.d/*.conf; client_body_temp_path", ["included"]),
    ],
)
def test_the_paths_are_those_of_the_configuration(
    tmp_path: Path, http: str, expected: list[str]
) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/a.conf").write_text(f"client_body_temp_path {tmp_path}/included;\n")
    body = http.replace("{0}", str(tmp_path))
    (tmp_path / "nginx.conf").write_text(f"user www-data;\nhttp {{ {body} }}\n")
    found = _media_storage.body_temp_paths(build(tmp_path))
    assert found == [f"{tmp_path}/{name}" for name in expected]


def test_what_was_not_set_is_below_the_prefix() -> None:
    text = "nginx version: nginx/1.26.3\nconfigure arguments: --prefix=/opt/nginx"
    built = _nginx_tree.parse_build("nginx", text)
    assert _media_storage.body_temp_paths(built) == ["/opt/nginx/client_body_temp"]


def test_workers_are_asked_for_as_themselves(
    open_directory: Path, visitor: _as_user.Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_nginx_tree, "find_binary", lambda _given: "nginx")
    monkeypatch.setattr(_nginx_tree, "read_build", lambda _binary: build(open_directory))
    monkeypatch.setattr(_as_user, "exists", lambda _name: True)
    monkeypatch.setattr(_as_user, "account", lambda _name: visitor)
    (missing,) = _media_storage.body_temp("visitor")
    assert (missing["exists"], missing["allowed"], missing["room"]) == (False, False, None)

    (open_directory / "compiled").mkdir(mode=0o700)
    (closed,) = _media_storage.body_temp("visitor")
    assert closed["blocked_by"]["component"] == f"{open_directory}/compiled"

    os.chown(open_directory / "compiled", visitor.uid, visitor.gid)
    (allowed,) = _media_storage.body_temp("visitor")
    assert allowed["allowed"]
    assert allowed["room"]["free_bytes"] > 0


def test_a_host_without_nginx_has_nothing_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_nginx_tree, "find_binary", lambda _given: None)
    assert _media_storage.body_temp("root") == []


def test_roots_of_one_file_system_are_told_together(tmp_path: Path) -> None:
    roots = [str(tmp_path), str(tmp_path / "missing"), "/proc", str(tmp_path / "b")]
    (tmp_path / "b").mkdir()
    first, second = _media_storage.filesystems(roots)
    assert first["roots"] == [str(tmp_path), f"{tmp_path}/b"]
    assert second["mount_point"] == "/proc"
    # What only root may take is not free.
    numbers = os.statvfs(tmp_path)
    assert first["total_bytes"] == numbers.f_blocks * numbers.f_frsize
    assert first["free_bytes"] <= numbers.f_bfree * numbers.f_frsize
