from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _process


def start() -> subprocess.Popen[str]:
    """Start a process that is there for certain, and ends with its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    process.stdout.readline()
    return process


def test_a_start_is_told_on_the_clock_of_files(tmp_path: Path) -> None:
    before = time.time_ns()
    with start() as process:
        started = _process.started_at_ns(process.pid)
        process.communicate("")
    # Cut down to the tick, and never late.
    assert before - 11_000_000 <= started <= time.time_ns()


def test_what_was_there_before_a_change_is_always_told(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with start() as process:
        path.touch()
        changed = path.stat().st_ctime_ns
        assert _process.may_predate(_process.started_at_ns(process.pid), changed)
        process.communicate("")


def test_what_starts_after_settling_is_never_taken_for_older(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for _turn in range(20):
        path.write_text("x")
        _process.settle(str(path))
        with start() as process:
            started = _process.started_at_ns(process.pid)
            process.communicate("")
        assert not _process.may_predate(started, path.stat().st_ctime_ns)


def test_settling_waits_only_for_a_change_of_just_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.touch()
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    later = time.time_ns() + 3_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: later)
    _process.settle(str(path))
    assert slept == []


def test_a_change_of_the_future_is_stamped_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.touch(mode=0o640)
    an_hour_ago = path.stat().st_ctime_ns - 3_600_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: an_hour_ago)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    stamped: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "chmod", lambda *arguments: stamped.append(arguments))
    _process.settle(str(path))
    assert stamped == [(str(path), 0o640)]


def test_a_name_with_parentheses_and_spaces_is_read_past(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    fields = ["S", "3", *["0"] * 17, "4711", *["0"] * 10]
    (tmp_path / "7/stat").write_text(f"7 (a) b) ( c) {' '.join(fields)}\n")
    assert _process.stat(7, str(tmp_path)) == _process.Stat(7, "S", 3, 4711)


def test_a_process_that_is_gone() -> None:
    with start() as process:
        process.communicate("")
    with pytest.raises(ProcessLookupError):
        _process.started_at_ns(process.pid)


def test_one_owns_a_parent() -> None:
    assert _process.stat(os.getpid()).parent == os.getppid()
