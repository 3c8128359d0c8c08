"""The same as the C library's glob(3), which Nginx calls."""

from __future__ import annotations

import ctypes
import locale
import os
import re
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _glob
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

NAMES = ["a", "b.conf", ".hidden.conf", "a-b", "[x]", "x]y", "A1", "back\\slash", "é", "-", "!"]


class _Result(ctypes.Structure):
    # glob_t of the C library's glob.h
    _fields_: t.ClassVar = [
        ("gl_pathc", ctypes.c_size_t),
        ("gl_pathv", ctypes.POINTER(ctypes.c_char_p)),
        ("gl_offs", ctypes.c_size_t),
        ("rest", ctypes.c_byte * 256),
    ]


def library_glob(pattern: str) -> list[str]:
    """Ask the library, in the locale in which Nginx asks it."""
    locale.setlocale(locale.LC_ALL, "C")
    library = ctypes.CDLL(None)
    result = _Result()
    library.glob(os.fsencode(pattern), 0, None, ctypes.byref(result))
    found = [os.fsdecode(result.gl_pathv[index]) for index in range(result.gl_pathc)]
    library.globfree(ctypes.byref(result))
    return found


def listed(directory: str) -> list[str]:
    return os.listdir(directory or "/") if os.path.isdir(directory or "/") else []


@pytest.fixture
def own_locale() -> t.Iterator[None]:
    kept = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, kept)


@pytest.fixture
def tree(tmp_path: Path, own_locale: None) -> Path:
    for name in NAMES:
        (tmp_path / name).touch()
        (tmp_path / f"d{name}").mkdir()
        (tmp_path / f"d{name}" / "in.conf").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    return tmp_path


characters = st.sampled_from([*"ab.*?[]!^-\\dx/é", "[a-c]", "[!a]", "[[:alpha:]]", ".conf", "*"])


@settings(max_examples=600, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pattern=st.lists(characters, min_size=1, max_size=7).map("".join))
@example(pattern="*.conf")
@example(pattern="*")
@example(pattern="d*/*")
@example(pattern="[!a]*")
@example(pattern="[]x]*")
@example(pattern="\\[x\\]")
@example(pattern="d*/in.conf")
@example(pattern=".*")
@example(pattern="dangl*")
@example(pattern="a/.")
@example(pattern="d*/.")
def test_finds_what_the_library_finds(tree: Path, pattern: str) -> None:
    if pattern.endswith(("/", "\\")) or "\\/" in pattern:
        # The library's own versions differ on a trailing backslash; a trailing slash is no file.
        return
    if re.search(r"\[[^]]*\[[.=]", pattern):
        # Collating symbols and equivalence classes: glob(7). Nobody includes files by these.
        return
    full = f"{tree}/{pattern.lstrip('/')}"
    full = re.sub("/+", "/", full)
    assert _glob.expand(full, listed) == library_glob(full)


def test_a_view_of_the_directory_is_asked(tmp_path: Path) -> None:
    def view(directory: str) -> list[str]:
        return ["added.conf"] if directory == str(tmp_path) else listed(directory)

    assert _glob.expand(f"{tmp_path}/*.conf", view) == [f"{tmp_path}/added.conf"]
    assert _glob.expand(f"{tmp_path}/other*", view) == []
