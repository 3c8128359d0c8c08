# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.
"""Which files have names that change with their content, by proof and not by a guess.

A pattern can't tell ``photo-20240131.jpg`` from a fingerprint, and ``immutable`` can't be taken
back for a year. So a manifest that a build tool wrote has to name the file, or the user's own
expression has to match it.
"""

from __future__ import annotations

import json
import posixpath
import re
import typing as t

# What a mount is searched for, at the top and in every directory that is published.
DIGEST_MANIFEST = "cache_manifest.json"
VITE_MANIFEST = "manifest.json"
MANIFEST_LIMIT_BYTES = 32 << 20

# What Flask-Static-Digest appends: flask_static_digest/digester.py
_DIGEST_NAME = re.compile(r"-[0-9a-f]{32}(?:\.[^/]*)?\Z")
# Rollup's [hash] has eight characters of base64url or more. One may write names without it, and
# the manifest looks the same then.
_VITE_NAME = re.compile(r"(?P<stem>.+)[-.][A-Za-z0-9_-]{8,}\.[A-Za-z0-9.]+\Z")

NAME_DIGITS = 16


def is_manifest(path: str) -> bool:
    """Return whether a file's name is that of a manifest."""
    return posixpath.basename(path) in (DIGEST_MANIFEST, VITE_MANIFEST)


def proven(path: str, content: bytes) -> t.Iterator[str]:
    """Yield the fingerprinted files that a manifest names, below the folder it describes.

    What is no such manifest proves nothing; a web app's own is called manifest.json too.

    :param path: of the manifest, below the mount's folder.
    """
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        return
    if not isinstance(values, dict):
        return
    directory = posixpath.dirname(path)
    if posixpath.basename(path) == DIGEST_MANIFEST:
        names = _of_digest(values)
    else:
        names = _of_vite(values)
        if posixpath.basename(directory) == ".vite":
            directory = posixpath.dirname(directory)
    for name in names:
        found = posixpath.normpath(posixpath.join(directory, name))
        if not found.startswith(("../", "/")):
            yield found


def _of_digest(values: dict[str, t.Any]) -> t.Iterator[str]:
    for fingerprinted in _strings(list(values.values())):
        if _DIGEST_NAME.search(fingerprinted):
            yield fingerprinted


def _of_vite(values: dict[str, t.Any]) -> t.Iterator[str]:
    chunks = [chunk for chunk in values.values() if isinstance(chunk, dict)]
    if len(chunks) < len(values) or not all(isinstance(c.get("file"), str) for c in chunks):
        return
    named = [
        *values,
        *(str(chunk.get(key)) for chunk in chunks for key in ("src", "name") if chunk.get(key)),
    ]
    plain = {posixpath.basename(name) for name in named}
    plain |= {posixpath.splitext(name)[0] for name in plain}
    for chunk in chunks:
        for name in (chunk["file"], *_strings(chunk.get("css")), *_strings(chunk.get("assets"))):
            base = posixpath.basename(name)
            if _VITE_NAME.match(base) and not {base, posixpath.splitext(base)[0]} & plain:
                yield name


def _strings(value: t.Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def fingerprinted_name(path: str, sha256: str) -> str:
    """Return a path whose name changes with the content; the type stays that of the file."""
    stem, suffix = posixpath.splitext(path)
    return f"{stem}-{sha256[:NAME_DIGITS]}{suffix}"
