"""Error logs: the lines of one request, whatever logrotate does meanwhile."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _evidence_logs
from ansible_collections.flaskworks.static_media.plugins.module_utils._evidence_logs import (
    ErrorLogs,
)


def line(target: str = "/a", host: str = "a.example", method: str = "GET", what: str = "x") -> str:
    return (
        f"2026/11/29 09:00:00 [error] 1#1: *1 {what}, client: 127.0.0.1, server: a.example, "
        f'request: "{method} {target} HTTP/1.1", host: "{host}"\n'
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "error.log"
    path.write_text(line(what="before"))
    return path


@pytest.fixture
def logs(log: Path) -> t.Iterator[ErrorLogs]:
    logs = ErrorLogs([str(log), str(log)])
    logs.mark()
    yield logs
    logs.close()


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def told(logs: ErrorLogs, target: str = "/a", host: str | None = "a.example") -> list[str]:
    return [found.split(" *1 ")[1].split(",")[0] for found in logs.gained("GET", target, host)]


def test_only_its_own_lines_are_kept(logs: ErrorLogs, log: Path) -> None:
    append(log, line("/ab") + line("/", what="root") + line(host="b.example") + line(method="HEAD"))
    append(log, line(what="mine") + "2026/11/29 09:00:00 [notice] 1#1: signal\n" + line(what="too"))
    assert told(logs) == ["mine", "too"]
    assert told(logs) == []


def test_a_visitor_who_asks_for_the_same_is_not_told_of(logs: ErrorLogs, log: Path) -> None:
    append(log, line(what="theirs").replace("127.0.0.1", "203.0.113.9") + line(what="mine"))
    assert told(logs) == ["mine"]


def test_the_addresses_of_this_host() -> None:
    found = _evidence_logs.own_addresses()
    assert found is not None
    assert "127.0.0.1" in found
    assert _evidence_logs.own_addresses("/nonexistent") is None


def test_a_line_without_a_host_may_be_its_own(logs: ErrorLogs, log: Path) -> None:
    append(log, line(what="mine").replace(', host: "a.example"', ""))
    assert told(logs) == ["mine"]


def test_a_target_of_any_bytes_and_length_is_found(logs: ErrorLogs, log: Path) -> None:
    append(log, line("/ü"))
    assert told(logs, "/ü") == ["x"]
    with log.open("ab") as file:
        file.write(line("/@").encode().replace(b"@", b"\xff"))
    assert told(logs, "/\udcff") == ["x"]
    # Nginx cuts its lines.
    append(log, line("/" + "l" * 4000)[:2047] + "\n")
    assert told(logs, "/" + "l" * 4000) == ["x"]


def test_a_query_is_not_told(logs: ErrorLogs, log: Path) -> None:
    append(log, line("/a?token=hunter2"))
    (found,) = logs.gained("GET", "/a?token=hunter2", "a.example")
    assert "hunter2" not in found
    assert "/a?***" in found


def test_no_more_is_told_than_is_read(logs: ErrorLogs, log: Path) -> None:
    append(log, line() * (_evidence_logs.LINES + 5) + line(what="y" * 5000))
    found = logs.gained("GET", "/a", "a.example")
    assert len(found) == _evidence_logs.LINES
    append(log, line(what="y" * 5000))
    (long,) = logs.gained("GET", "/a", "a.example")
    assert len(long) == _evidence_logs.LINE_CHARACTERS


def test_a_log_cut_off_is_read_from_its_start(logs: ErrorLogs, log: Path) -> None:
    os.truncate(log, 0)
    append(log, line(what="new"))
    assert told(logs) == ["new"]


def test_a_log_that_was_rotated_is_read_to_its_end_and_the_next_one(
    logs: ErrorLogs, log: Path
) -> None:
    rotated = log.rename(log.with_suffix(".1"))
    append(rotated, line(what="old"))
    assert told(logs) == ["old"]
    append(rotated, line(what="late"))
    append(log, line(what="new"))
    assert told(logs) == ["late", "new"]
    append(log, line(what="newer"))
    assert told(logs) == ["newer"]
    # As it was when nobody looked.
    log.unlink()
    append(log, line(what="between"))
    logs.mark()
    assert told(logs) == []


@pytest.mark.parametrize("path", ["/no/such/error.log", "/dev/null", "/"])
def test_what_is_no_log_is_unseen(path: str) -> None:
    logs = ErrorLogs([path])
    assert path in logs.unseen[0]
    logs.mark()
    assert logs.gained("GET", "/", None) == []


def test_a_log_is_read_where_nginx_sees_it(stranger: int, open_directory: Path) -> None:
    path = f"{open_directory}/error.log"
    inside = Path(f"/proc/{stranger}/root{path}")
    inside.touch()
    assert "No such file" in ErrorLogs([path]).unseen[0]
    logs = ErrorLogs([path], stranger)
    assert logs.unseen == []
    logs.mark()
    append(inside, line(what="inside"))
    assert told(logs) == ["inside"]
    inside.unlink()
    append(inside, line(what="next"))
    assert told(logs) == ["next"]
    logs.close()
