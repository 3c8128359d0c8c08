"""Where documents are kept, each area of MEDIA_AREAS in its own way.

In an area of the app's (``accel``) a document lies in its owner's directory under a name of our
own, with its real name beside it. Where Nginx answers by itself (``auth_request``, ``signed``) the
URL is the path, so a document keeps its name, in a directory of a name that nobody can guess.
"""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .storage import StorageError, write

DOCUMENT_ID = re.compile(r"[0-9a-f]{32}")
# A directory of shared documents says when its links end.
SHARED = re.compile(r"(\d+)-[0-9a-f]{32}")
NAME_MAX_BYTES = 200


@dataclass(frozen=True)
class Document:
    id: str
    name: str
    size: int


def area_of(config: Mapping[str, Any], access: str) -> tuple[str, Path] | None:
    """The first area of this access: its URL and its directory."""
    for url, area in (config.get("MEDIA_AREAS") or {}).items():
        if area["access"] == access:
            return url, Path(area["root"])
    return None


def safe_name(name: str | None) -> str:
    """A visitor's file name as one that can stand on disk and in a URL."""
    plain = re.sub(r"[\x00-\x1f\x7f-\x9f/\\\ud800-\udfff]", "_", name or "")
    # Of a long name the end says the type. Nginx serves none that begins with a dot.
    plain = plain.encode()[-NAME_MAX_BYTES:].decode(errors="ignore")
    return plain.strip(" .") or "document"


def keep(root: Path, owner: str, stream: IO[bytes], name: str | None) -> str:
    """Keep a document for its owner alone; return its id."""
    document_id = secrets.token_hex(16)
    with _told(root):
        _require(root)
        # The name first: what is listed by its content is then complete.
        label = safe_name(name).encode()
        write(root / owner, f"{document_id}.name", lambda file: file.write(label))
        write(root / owner, document_id, lambda file: shutil.copyfileobj(stream, file))
    return document_id


def documents(root: Path, owner: str) -> list[Document]:
    """An owner's documents, newest first."""
    with _told(root):
        _require(root)
        folder = root / owner
        files = [
            (file.stat().st_mtime_ns, file)
            for file in (folder.iterdir() if folder.is_dir() else ())
            if DOCUMENT_ID.fullmatch(file.name)
        ]
        return [_describe(file) for _, file in sorted(files, reverse=True)]


def find(root: Path, owner: str, document_id: str) -> tuple[Path, Document] | None:
    path = root / owner / document_id
    if not DOCUMENT_ID.fullmatch(document_id) or not path.is_file():
        return None
    return path, _describe(path)


def publish(root: Path, folder: str, stream: IO[bytes], name: str | None) -> str:
    """Keep a document under its own name; return its path within the area."""
    with _told(root):
        _require(root)
        write(root / folder, safe_name(name), lambda file: shutil.copyfileobj(stream, file))
    return f"{folder}/{safe_name(name)}"


def share(root: Path, path: Path, name: str, expires_at: int) -> str:
    """Copy a document to where signed links lead; return its path within the area.

    Copies whose links have ended are taken away.
    """
    with _told(root):
        _require(root)
        for folder in root.iterdir():
            match = SHARED.fullmatch(folder.name)
            if match and int(match[1]) < time.time():
                # Another worker may be at it, too. Nginx sends nothing of it any more.
                shutil.rmtree(folder, ignore_errors=True)
        with open(path, "rb") as stream:
            return publish(root, f"{expires_at}-{secrets.token_hex(16)}", stream, name)


def published(root: Path) -> list[str]:
    """The paths of all documents within an area, by name."""
    with _told(root):
        _require(root)
        found = [f"{file.parent.name}/{file.name}" for file in root.glob("*/[!.]*")]
    return sorted(found, key=lambda path: path.partition("/")[2].casefold())


def _describe(path: Path) -> Document:
    name = path.with_name(f"{path.name}.name").read_text()
    return Document(path.name, name, path.stat().st_size)


def _require(root: Path) -> None:
    # A missing mount is an error, and no empty list.
    root.stat()


@contextmanager
def _told(root: Path) -> Iterator[None]:
    """Tell of a directory that can't be used as the storage of pictures does."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot use {root}: {error}") from error
