"""A static root and the app's folders, for tests of publishing and pruning."""

from __future__ import annotations

import hashlib
import os
import typing as t
from pathlib import Path

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _static_prune,
    _static_records,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._static_release import (
    Look,
    Mount,
    Options,
    Plan,
    Wanted,
    apply,
    plan,
)

OWN = Look(os.getuid(), os.getgid(), 0o750, 0o640)
# What hatchling gives every file of every wheel
WHEEL_TIME = 1_580_601_600


class Site:
    """A static root, and the app's folders."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "published"
        self.mounts: list[Mount] = []
        self.options = Options()

    def mount(self, url: str, **files: str) -> Path:
        folder = self.directory / f"folder{len(self.mounts)}"
        folder.mkdir()
        self.mounts.append(Mount(url, str(folder)))
        self.write(folder, {name.replace("_", "."): text for name, text in files.items()})
        return folder

    @staticmethod
    def write(folder: Path, files: t.Mapping[str, str], mtime: int = WHEEL_TIME) -> None:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            os.utime(path, (mtime, mtime))

    def plan(self, look: Look = OWN, reader: _as_user.Account | None = None) -> Plan:
        return plan(str(self.root), self.mounts, look, reader, self.options)

    def publish(self, look: Look = OWN, reader: _as_user.Account | None = None) -> Plan:
        planned = self.plan(look, reader)
        apply(str(self.root), planned, look, reader)
        return planned

    def release(self, release: str, files: t.Mapping[str, str], **options: t.Any) -> Plan:
        """Publish a release of one mount, /static/, whose folder is made anew."""
        self.build(release, files, **options)
        return self.publish()

    def build(self, release: str, files: t.Mapping[str, str], **options: t.Any) -> None:
        """Make the folder of a release, which is published next."""
        folder = self.directory / f"release{len(list(self.directory.iterdir()))}"
        folder.mkdir()
        self.write(folder, files)
        self.mounts = [Mount("/static/", str(folder), "static")]
        self.options = self.options._replace(release=release, **options)

    def prune(
        self, keep: t.Iterable[str] | None = None, keep_releases: int | None = None
    ) -> _static_prune.Prune:
        planned = _static_prune.plan(str(self.root), keep, keep_releases)
        if planned.changed:
            _static_prune.apply(str(self.root), planned)
        return planned

    def records(self) -> list[_static_records.Record]:
        return _static_records.load(str(self.root))

    def published(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.root)): path.read_text()
            for path in self.root.rglob("*")
            if path.is_file() and path.parent != self.root / _static_records.DIRECTORY
        }

    def etag(self, path: str) -> tuple[int, int]:
        """What Nginx makes the ETag of."""
        status = (self.root / path).stat()
        return int(status.st_mtime), status.st_size


def targets(files: t.Iterable[Wanted]) -> list[str]:
    return [wanted.target for wanted in files]


def mtime(text: str) -> int:
    """The time that a content is published with."""
    return _static_records.content_mtime(hashlib.sha256(text.encode()).hexdigest())
