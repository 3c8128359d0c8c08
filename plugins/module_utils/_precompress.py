# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.
"""Precompressed siblings: ``app.css.gz`` and ``app.css.br`` beside ``app.css``.

Nginx sends a sibling without comparing it with the file
(https://nginx.org/en/docs/http/ngx_http_gzip_static_module.html), so one that differs is never made
and never accepted.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import subprocess
import typing as t
import zlib

from ansible_collections.flaskworks.static_media.plugins.module_utils import _static_tree

BLOCK_BYTES = 1 << 20
# A response of less fits into the first packets whether compressed or not.
SMALLEST_BYTES = 1024
# The largest part of its size that a compressed file may have.
LARGEST_SHARE = 0.95

GZIP = "gz"
BROTLI = "br"
BROTLI_COMMAND = ("brotli", "--quality=11", "--stdout", "-")
UNBROTLI_COMMAND = ("brotli", "--decompress", "--stdout", "-")
SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"

# Compressed in themselves.
INCOMPRESSIBLE = frozenset([
    "7z", "aac", "apk", "avif", "br", "bz2", "cr2", "deb", "docx", "epub", "flac", "flv", "gif",
    "gz", "heic", "jar", "jfif", "jpeg", "jpg", "jxl", "lz4", "m4a", "m4v", "mkv", "mov", "mp3",
    "mp4", "mpeg", "mpg", "odp", "ods", "odt", "oga", "ogg", "ogv", "opus", "png", "pptx", "rar",
    "rpm", "tgz", "webm", "webp", "whl", "wmv", "woff", "woff2", "xlsx", "xz", "zip", "zst",
    "zstd",
])  # fmt: skip


class CompressError(Exception):
    """A sibling can't be made or compared."""


def may_shrink(path: str, size_bytes: int) -> bool:
    """Return whether compressing a file may be worth while, by what is seen without reading it."""
    suffix = posixpath.splitext(path)[1][1:].lower()
    return size_bytes >= SMALLEST_BYTES and suffix not in INCOMPRESSIBLE


def has_brotli() -> bool:
    """Return whether this host has the command."""
    return _brotli() is not None


def _brotli() -> str | None:
    return shutil.which("brotli", path=SEARCH_PATH)


class Meter:
    """Measures by the fastest level whether a file shrinks; the best one shrinks it no less."""

    def __init__(self) -> None:
        self._compress = zlib.compressobj(1, zlib.DEFLATED, -15)
        self._in_bytes = 0
        self._out_bytes = 0

    def feed(self, block: bytes) -> None:
        """Take the next part of the file."""
        self._in_bytes += len(block)
        self._out_bytes += len(self._compress.compress(block))

    def shrinks(self) -> bool:
        """Return whether it does, after the last part."""
        self._out_bytes += len(self._compress.flush())
        return self._out_bytes <= self._in_bytes * LARGEST_SHARE


def compress(encoding: str, source: int, target: int) -> None:
    """Write a file's sibling. Threads may do this side by side: zlib and brotli leave Python's lock.

    :param encoding: ``gz`` or ``br``.
    :param source: descriptor of the file, read from its beginning.
    :param target: descriptor of the sibling.
    :raises CompressError: when the command fails.
    """
    if encoding == GZIP:
        # 16 makes zlib write a gzip header, which has no time and no name: the same bytes each time.
        compressor = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        for block in _blocks(source):
            write_all(target, compressor.compress(block))
        write_all(target, compressor.flush())
        return
    os.lseek(source, 0, os.SEEK_SET)
    with _started(BROTLI_COMMAND, stdin=source, stdout=target, stderr=subprocess.PIPE) as process:
        _unused, errors = process.communicate()
    if process.returncode:
        raise CompressError(f"brotli failed: {errors.decode('utf-8', 'replace').strip()[-500:]}")


def _blocks(descriptor: int) -> t.Iterator[bytes]:
    offset = 0
    while True:
        block = os.pread(descriptor, BLOCK_BYTES, offset)
        if not block:
            return
        offset += len(block)
        yield block


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of it, however many calls that takes."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _started(command: t.Sequence[str], **pipes: t.Any) -> subprocess.Popen[bytes]:
    path = _brotli()
    if path is None:
        raise CompressError("This host has no command brotli. Install the package 'brotli'.")
    with _static_tree.IDS:
        return subprocess.Popen([path, *command[1:]], **pipes)


def same_content(encoding: str, sibling: t.BinaryIO, file: t.BinaryIO) -> bool:
    """Return whether a sibling gives the file when it is unpacked.

    :param encoding: ``gz`` or ``br``.
    """
    if encoding == GZIP:
        return _compare(_gunzipped(sibling), file)
    with _started(
        UNBROTLI_COMMAND, stdin=sibling.fileno(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        output = t.cast("t.BinaryIO", process.stdout)
        same = _compare(iter(lambda: output.read(BLOCK_BYTES), b""), file)
        if not same:
            process.kill()
    return same and process.returncode == 0


def _gunzipped(sibling: t.BinaryIO) -> t.Iterator[bytes]:
    """Yield what is in a gzip file of one or more members (RFC 1952, section 2.2).

    :raises zlib.error: in the middle of it, when it is none.
    """
    decompressor = zlib.decompressobj(16 + zlib.MAX_WBITS)
    waiting = b""
    while True:
        waiting = waiting or sibling.read(BLOCK_BYTES)
        if not waiting:
            if not decompressor.eof:
                raise zlib.error("the file is cut off")
            return
        if decompressor.eof:
            decompressor = zlib.decompressobj(16 + zlib.MAX_WBITS)
        yield decompressor.decompress(waiting, BLOCK_BYTES)
        waiting = decompressor.unconsumed_tail or decompressor.unused_data


def _compare(unpacked: t.Iterator[bytes], file: t.BinaryIO) -> bool:
    try:
        for block in unpacked:
            if block and file.read(len(block)) != block:
                return False
    except zlib.error:
        return False
    return not file.read(1)
