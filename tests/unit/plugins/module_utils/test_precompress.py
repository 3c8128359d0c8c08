"""Siblings: what is made, and what is taken for equal."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
import typing as t
import zlib

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _precompress
from hypothesis import given
from hypothesis import strategies as st


def compressed(encoding: str, content: bytes) -> bytes:
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
        source.write(content)
        source.flush()
        _precompress.compress(encoding, source.fileno(), target.fileno())
        target.seek(0)
        return target.read()


def same(encoding: str, sibling: bytes, file: bytes) -> bool:
    with tempfile.TemporaryFile() as packed:
        packed.write(sibling)
        packed.seek(0)
        return _precompress.same_content(encoding, t.cast("t.BinaryIO", packed), io.BytesIO(file))


@pytest.mark.parametrize(
    ("sibling", "file"),
    [
        (gzip.compress(b"another"), b"content"),
        (gzip.compress(b"conten"), b"content"),
        (gzip.compress(b"content!"), b"content"),
        (gzip.compress(b""), b"content"),
        (gzip.compress(b"content")[:-1], b"content"),
        (gzip.compress(b"content")[:-9], b"content"),
        (gzip.compress(b"content") + b"rubbish", b"content"),
        (zlib.compress(b"content"), b"content"),
        (b"content", b"content"),
        (b"", b""),
    ],
)
def test_a_sibling_that_differs_is_told(sibling: bytes, file: bytes) -> None:
    assert not same("gz", sibling, file)


def test_a_wrong_checksum_is_told() -> None:
    packed = bytearray(gzip.compress(b"content" * 99))
    packed[-6] ^= 1
    assert not same("gz", bytes(packed), b"content" * 99)


def test_a_bomb_is_given_up_at_the_first_difference() -> None:
    """One that unpacks to a gigabyte is compared block by block."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [compressor.compress(bytes(1 << 20)) for _ in range(1024)]
    assert not same("gz", b"".join([*parts, compressor.flush()]), b"content")


@given(st.binary(max_size=4096), st.integers(1, 40))
def test_what_is_made_equals_its_file_and_is_the_same_each_time(part: bytes, times: int) -> None:
    content = part * times
    packed = compressed("gz", content)
    assert gzip.decompress(packed) == content
    assert same("gz", packed, content)
    assert packed == compressed("gz", content)
    # RFC 1952: no flags, so no name; and no time.
    assert packed[3:8] == bytes(5)


def test_several_members_are_read_as_one_file() -> None:
    assert same("gz", gzip.compress(b"one") + gzip.compress(b"two"), b"onetwo")


@pytest.mark.parametrize(
    ("path", "size_bytes", "may"),
    [
        ("a.css", 1023, False),
        ("a.css", 1024, True),
        ("a.PNG", 9999, False),
        ("a.woff2", 9999, False),
        ("a.css.gz", 9999, False),
        ("a.svg", 9999, True),
        ("LICENSE", 9999, True),
        ("png", 9999, True),
    ],
)
def test_small_and_compressed_files_are_left_alone(path: str, size_bytes: int, may: bool) -> None:
    assert _precompress.may_shrink(path, size_bytes) is may


@pytest.mark.parametrize(
    ("content", "shrinks"),
    [
        (os.urandom(5000), False),
        (b"body { color: red }" * 99, True),
        (os.urandom(9000) + bytes(400), False),
    ],
)
def test_the_meter_says_whether_it_is_worth_while(content: bytes, shrinks: bool) -> None:
    meter = _precompress.Meter()
    for start in range(0, len(content), 1000):
        meter.feed(content[start : start + 1000])
    assert meter.shrinks() is shrinks
    assert (len(compressed("gz", content)) <= len(content) * 0.95) is shrinks


# Stands in for brotli(1), which the machine may lack: what matters is how it is called.
FAKE = """#!/bin/sh
case "$*" in
  "--quality=11 --stdout -") exec gzip -9 -n -c ;;
  "--decompress --stdout -") exec gzip -d -c ;;
esac
echo "bad option $*" >&2
exit 1
"""


@pytest.fixture
def brotli(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    directory = tmp_path_factory.mktemp("bin")
    command = directory / "brotli"
    command.write_text(FAKE)
    command.chmod(0o755)
    monkeypatch.setattr(_precompress, "SEARCH_PATH", f"{directory}:/usr/bin:/bin")
    return str(command)


@pytest.mark.usefixtures("brotli")
def test_brotli_is_the_commands_business() -> None:
    packed = compressed("br", b"content" * 999)
    assert same("br", packed, b"content" * 999)
    assert not same("br", packed, b"content" * 998)
    assert not same("br", packed, b"another" * 999)
    assert not same("br", packed[:-1], b"content" * 999)
    assert not same("br", b"rubbish", b"content")


def test_a_failing_command_is_quoted(brotli: str) -> None:
    with open(brotli, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\necho 'no memory' >&2\nexit 1\n")
    with pytest.raises(_precompress.CompressError, match="brotli failed: no memory"):
        compressed("br", b"content")


def test_without_the_command_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_precompress, "SEARCH_PATH", "/no/such/directory")
    assert not _precompress.has_brotli()
    with pytest.raises(_precompress.CompressError, match="Install the package 'brotli'"):
        compressed("br", b"content")
