"""Where pictures are kept: ``originals`` as they were sent, and ``thumbnails`` of them.

The directory is the app's to write and Nginx's to read, so nothing here sets a mode: files
and directories come out as the process umask and the setgid bit of the upload folder say.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import IO

from PIL import Image, ImageOps

ORIGINALS = "originals"
THUMBNAILS = "thumbnails"

# MPO is what Pillow calls a JPEG that carries a second picture, as many cameras write.
EXTENSIONS = {"GIF": "gif", "JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}
DECODERS = ("GIF", "JPEG", "PNG", "WEBP")

THUMBNAIL_BOX = (1200, 720)
STORED_NAME = re.compile(r"([0-9a-f]{32})\.(?:gif|jpg|png|webp)")


class BadPictureError(ValueError):
    """The file is not a picture that the gallery takes; the text is for the visitor."""


class StorageError(RuntimeError):
    """The upload folder can't be read or written."""


@dataclass(frozen=True)
class Picture:
    original: str
    thumbnail: str
    width: int
    height: int
    uploaded: datetime


def store(upload_folder: Path, stream: IO[bytes], max_pixels: int) -> str:
    """Keep one picture and its thumbnail; return the original's name."""
    extension, thumbnail = _examine(stream, max_pixels)
    stem = uuid.uuid4().hex
    name = f"{stem}.{extension}"

    def copy(file: IO[bytes]) -> None:
        stream.seek(0)
        shutil.copyfileobj(stream, file)

    try:
        # The thumbnail first: what the gallery lists by its original is then complete.
        write(upload_folder / THUMBNAILS, f"{stem}.webp", lambda file: file.write(thumbnail))
        write(upload_folder / ORIGINALS, name, copy)
    except OSError as error:
        raise StorageError(f"cannot write to {upload_folder}: {error}") from error
    return name


def names(upload_folder: Path) -> list[str]:
    """The names of all originals, newest first."""
    try:
        # Asked first, so that a missing mount is an error and not an empty gallery.
        upload_folder.stat()
        with os.scandir(upload_folder / ORIGINALS) as entries:
            found = [
                (entry.stat().st_mtime_ns, entry.name)
                for entry in entries
                if STORED_NAME.fullmatch(entry.name)
            ]
    except FileNotFoundError as error:
        if error.filename == str(upload_folder / ORIGINALS):
            return []
        raise StorageError(f"cannot read {upload_folder}: {error}") from error
    except OSError as error:
        raise StorageError(f"cannot read {upload_folder}: {error}") from error
    return [name for _, name in sorted(found, reverse=True)]


def describe(upload_folder: Path, name: str) -> Picture:
    original = upload_folder / ORIGINALS / name
    thumbnail = upload_folder / THUMBNAILS / f"{original.stem}.webp"
    try:
        uploaded = original.stat().st_mtime
    except OSError as error:
        raise StorageError(f"cannot read {original}: {error}") from error
    width, height = _size(thumbnail)
    return Picture(
        original=f"{ORIGINALS}/{name}",
        thumbnail=f"{THUMBNAILS}/{thumbnail.name}",
        width=width,
        height=height,
        uploaded=datetime.fromtimestamp(uploaded, timezone.utc),
    )


@lru_cache(maxsize=4096)
def _size(thumbnail: Path) -> tuple[int, int]:
    try:
        with Image.open(thumbnail, formats=("WEBP",)) as image:
            return image.size
    except OSError:
        # A thumbnail that is gone must not take the whole page with it.
        return (4, 3)


def _examine(stream: IO[bytes], max_pixels: int) -> tuple[str, bytes]:
    """Decode the picture in full: a header that looks right proves nothing."""
    try:
        with Image.open(stream, formats=DECODERS) as image:
            extension = EXTENSIONS[image.format or ""]
            width, height = image.size
            # From the header alone, before a small file can unfold to gigabytes.
            if width * height > max_pixels:
                raise BadPictureError(
                    f"has {width} by {height} pixels; {max_pixels // 1_000_000} million"
                    " at most are taken."
                )
            image.verify()
        stream.seek(0)
        with Image.open(stream, formats=DECODERS) as image:
            return extension, _thumbnail(image)
    except BadPictureError:
        raise
    except Exception as error:  # Decoders raise nearly anything at a damaged file.
        raise BadPictureError(
            "is not a picture that can be read. PNG, JPEG, WebP and GIF are taken."
        ) from error


def _thumbnail(image: Image.Image) -> bytes:
    image.draft("RGB", THUMBNAIL_BOX)
    image.load()
    upright = ImageOps.exif_transpose(image)
    profile = upright.info.get("icc_profile") if upright.mode in ("RGB", "RGBA") else None
    upright = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    upright.thumbnail(THUMBNAIL_BOX)
    output = io.BytesIO()
    upright.save(output, "WEBP", quality=82, method=4, icc_profile=profile)
    return output.getvalue()


def write(directory: Path, name: str, fill: Callable[[IO[bytes]], object]) -> None:
    """Make the file appear whole or not at all.

    open() and not tempfile: mkstemp() makes files of mode 0600, which Nginx can't read.
    """
    # Not the upload folder itself: if that is missing, a volume is not mounted.
    directory.mkdir(exist_ok=True)
    temporary = directory / f".{name}.part"
    try:
        with open(temporary, "xb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, directory / name)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
