# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Releases that are images: built or pulled, asked what they are, their static files copied out.

ROOT/releases/ID/              ID is the first 12 digits of the image's id
ROOT/releases/ID/image/PATH/   a static folder of the image's
ROOT/releases/ID/compose.yml   how its container is run
ROOT/releases/ID/release.json  the record, which names the image

An image that a release needs has a tag of ours, flaskworks/APP:ID, so that it is not dangling when
its own tag has gone to the next.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import posixpath
import shutil
import subprocess
import tarfile
import tempfile
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _docker,
    _flask_app,
    _release,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._docker import (
    Engine,
    EngineError,
)

FOLDERS = "image"
# The probe answers on a descriptor that the app's own prints can't reach: all that is handed out of
# a container is its two streams, so the app's prints go to the second.
ASK = """\
import json, os, sys
channel = os.dup(1)
os.dup2(2, 1)
source, request = sys.argv[1:]
sys.argv[1:] = [json.dumps({**json.loads(request), "directory": os.getcwd()}), str(channel)]
exec(compile(source, "<flask_app_info>", "exec"), globals())
"""


class ImageError(EngineError):
    """An image can't be a release. The one in use goes on."""


def repository(app: str) -> str:
    """Return the name under which an app's images are kept."""
    return f"flaskworks/{app}"


def tag_of(app: str, release: str) -> str:
    """Return the tag by which the image of a release is kept."""
    return f"{repository(app)}:{release}"


def source_tag(app: str, fingerprint: str) -> str:
    """Return the tag of the image that was built from a source."""
    return f"{repository(app)}:source-{fingerprint[:12]}"


@dataclasses.dataclass(frozen=True)
class ImageApp(_flask_app.FlaskApp):
    """An app in an image.

    :ivar prefix: the command up to Python's own arguments.
    :ivar cleanup: ends what a question that got no answer has left.
    """

    prefix: t.Sequence[str] = ()
    cleanup: t.Callable[[], None] = lambda: None

    def _require_virtualenv(self) -> None:
        pass

    def _run(self, who: _as_user.Account, own: t.Mapping[str, str]) -> _as_user.Finished:
        request = json.dumps(self.request())
        command = [*self.prefix, "-B", "-c", ASK, _flask_app.probe_source(), request]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=_docker.environment(own),
                timeout=self.timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            self.cleanup()
            output = (error.stderr or b"").decode("utf-8", "replace")
            return _as_user.Finished(b"", output, None)
        return _as_user.Finished(
            done.stdout, done.stderr.decode("utf-8", "replace"), done.returncode
        )


@dataclasses.dataclass(frozen=True)
class Question:
    """How an image is asked what its app is.

    :ivar name: the app's.
    :ivar python: in the image, the Python that has the app.
    :ivar networks: those that its service will have.
    """

    name: str
    callable: str
    user: str
    python: str
    media_root: str
    environment_files: t.Sequence[str]
    networks: t.Sequence[str] = ()
    timeout_seconds: float = 60

    def of_image(self, engine: Engine, image: str) -> _flask_app.Answer:
        """Run the image once, as its service will be, and ask.

        :raises _flask_app.FlaskAppError: when it can't be asked.
        """
        who = _flask_app.account(self.user)
        own = _flask_app.read_environment_files(self.environment_files)
        name = f"{self.name}-asked-{os.getpid()}"
        media = ["--mount", f"type=bind,source={self.media_root},target={self.media_root}"]
        prefix = [
            engine.path,
            "run",
            "--rm",
            "--init",
            f"--name={name}",
            f"--user={who.uid}:{who.gid}",
            "--read-only",
            "--tmpfs=/tmp",
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
            "--pull=never",
            *([f"--network={self.networks[0]}"] if self.networks else []),
            *(media if os.path.isdir(self.media_root) else []),
            # The values are taken from our own environment, so they are in no process's arguments.
            *(f"--env={variable}" for variable in own),
            f"--entrypoint={self.python}",
            image,
        ]
        return self._ask(prefix, lambda: _quietly(engine, "rm", "--force", "--volumes", name))

    def _ask(self, prefix: t.Sequence[str], cleanup: t.Callable[[], None]) -> _flask_app.Answer:
        return ImageApp(
            virtualenv="/",
            callable=_flask_app.Callable.parse(self.callable),
            user=self.user,
            environment_files=self.environment_files,
            timeout_seconds=self.timeout_seconds,
            prefix=prefix,
            cleanup=cleanup,
        ).ask()


def _quietly(engine: Engine, *arguments: str) -> None:
    with contextlib.suppress(EngineError):
        engine.run(*arguments)


def on_host(answer: _flask_app.Answer, directory: str) -> _flask_app.Answer:
    """Return an image's answer with the folders where the host has their copies.

    :param directory: the release's.
    """
    mounts = [
        {
            **mount,
            "folder": copy_of(directory, mount["folder"]),
            "container_folder": mount["folder"],
        }
        for mount in answer["mounts"]
    ]
    return {**answer, "mounts": mounts}


def copy_of(directory: str, folder: str) -> str:
    """Return where a release has its copy of a folder of the image's."""
    return os.path.join(directory, FOLDERS, posixpath.normpath(folder).lstrip("/"))


def image_of(releases: _release.Releases, release: str) -> str:
    """Return the id of the image that a release is.

    :raises ImageError: when it is none.
    """
    image = releases.records().get(release, {}).get("image")
    if not image:
        raise ImageError(
            f"{releases.path(release)} is no release of an image, but a virtualenv. Deploy an image, "
            "or set flask_app_runtime to 'virtualenv'."
        )
    return str(image)


def obtain(engine: Engine, reference: str) -> _docker.Facts:
    """Return the facts of an image, pulled when it isn't there."""
    found = engine.image(reference)
    if found is None:
        engine.run("pull", "--quiet", reference)
        found = engine.image(reference)
    if found is None:
        raise ImageError(f"The image {reference} was pulled and isn't there. Pull it by hand.")
    return found


def build(engine: Engine, archive: str, tag: str) -> None:
    """Build an image from a packed directory that has a Dockerfile.

    :param archive: its members lie in one directory.
    """
    with tempfile.TemporaryDirectory(prefix="flask-image-") as scratch:
        with tarfile.open(archive) as packed:
            # Packed on the control node by our own action plugin
            packed.extractall(scratch)
        (context,) = os.listdir(scratch)
        try:
            engine.run("build", "--quiet", f"--tag={tag}", os.path.join(scratch, context))
        except EngineError as error:
            raise ImageError(f"The image can't be built: {error}") from error


def keep(
    engine: Engine,
    releases: _release.Releases,
    app: str,
    image: _docker.Facts,
    source: str,
) -> str:
    """Make an image a release, and return its id."""
    release = _docker.short_id(image["Id"])
    os.makedirs(os.path.dirname(releases.path(release)), mode=0o755, exist_ok=True)
    with releases.locked():
        engine.run("tag", image["Id"], tag_of(app, release))
        if not releases.is_built(release):
            releases.clean(releases.leftovers())
            os.mkdir(releases.path(release), 0o755)
            releases.write_record(
                release,
                {
                    "id": release,
                    "source": source,
                    "image": image["Id"],
                    "built": _release.now(),
                    "deployed": None,
                },
            )
    return release


def missing_copies(directory: str, answer: _flask_app.Answer) -> list[str]:
    """Return the static folders of an image's that a release has no copy of yet."""
    folders = sorted({mount["folder"] for mount in answer["mounts"] if mount["exists"]})
    return [folder for folder in folders if not os.path.isdir(copy_of(directory, folder))]


def copy_folders(
    engine: Engine, releases: _release.Releases, release: str, image: str, folders: t.Sequence[str]
) -> list[str]:
    """Copy folders out of an image, each at once by a rename.

    :return: what was left out: links that lead out of their folder, and what is no file.
    """
    left_out: list[str] = []
    with releases.locked():
        directory = releases.path(release)
        container = engine.run("create", "--pull=never", image, "true").strip()
        try:
            for folder in folders:
                left_out += _copy_folder(engine, container, folder, copy_of(directory, folder))
        finally:
            _quietly(engine, "rm", "--force", "--volumes", container)
    return left_out


def _copy_folder(engine: Engine, container: str, folder: str, target: str) -> list[str]:
    if os.path.isdir(target):
        # One of these folders lies in another.
        return []
    os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
    scratch = tempfile.mkdtemp(prefix=".copy-", dir=os.path.dirname(target))
    try:
        with subprocess.Popen(
            [engine.path, "cp", f"{container}:{folder}", "-"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_docker.environment(),
        ) as process:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                left_out = extract(archive, scratch)
            words = t.cast("t.IO[bytes]", process.stderr).read().decode("utf-8", "replace").strip()
        if process.returncode:
            raise ImageError(f"{folder} can't be copied out of the image: {words}.")
        os.chmod(scratch, 0o755)
        os.rename(scratch, target)
    except (tarfile.TarError, OSError) as error:
        raise ImageError(f"{folder} can't be copied out of the image: {error}.") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return [posixpath.join(posixpath.dirname(folder), name) for name in left_out]


def extract(archive: tarfile.TarFile, target: str) -> list[str]:
    """Write the files and directories of an archive's one folder, with their times; and links within.

    Nothing is believed: whoever made the image could have it say anything. A link that leads out of
    the folder means another file here than in the image, and nothing is written through one.

    :return: the names of what was left out.
    """
    target = os.path.realpath(target)
    left_out: list[str] = []
    directories: list[tuple[str, float]] = []
    links: list[tuple[str, str]] = []
    for member in archive:
        path = _place_of(member.name, target)
        first = _place_of(member.linkname, target) if member.islnk() else path
        if path is None or first is None:
            left_out.append(member.name)
        elif member.isdir():
            os.makedirs(path, mode=0o755, exist_ok=True)
            directories.append((path, member.mtime))
        elif member.isreg():
            stream = archive.extractfile(member)
            with open(path, "xb") as file:
                shutil.copyfileobj(t.cast("t.IO[bytes]", stream), file)
            os.chmod(path, 0o644)
            os.utime(path, (member.mtime, member.mtime))
        elif member.islnk() and os.path.isfile(first) and not os.path.islink(first):
            os.link(first, path)
        elif member.issym():
            os.symlink(member.linkname, path)
            links.append((path, member.name))
        else:
            left_out.append(member.name)
    # Now that all are there: one link can lead out by way of another.
    leading_out = [
        (path, name) for path, name in links if not _contains(target, os.path.realpath(path))
    ]
    for path, name in leading_out:
        os.unlink(path)
        left_out.append(name)
    for path, mtime in reversed(directories):
        os.utime(path, (mtime, mtime))
    return left_out


def _place_of(name: str, target: str) -> str | None:
    """Return where a member of an archive's one folder belongs; ``None`` if it is by way of a link."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    # The first is the folder's own name.
    path = os.path.join(target, *parts[1:])
    if ".." in parts or not parts or not _contains(target, path):
        return None
    parent = path if path == target else os.path.dirname(path)
    return path if os.path.realpath(parent) == parent else None


def _contains(directory: str, path: str) -> bool:
    return os.path.commonpath([directory, path]) == directory
