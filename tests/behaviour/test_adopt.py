"""Uploads that lie elsewhere are adopted while visitors upload, and plays are killed at it.

ADOPT_CASE     where they are: ``release``, ``static`` or ``container``
ADOPT_UPLOADS  their directory; in the container CONTAINER-app of the last case
ADOPT_URL      the URL prefix that they have
ADOPT_KILLS    number of random moments at which it is killed; 4 if unset
ADOPT_SEED     seed of the moments, to repeat a run that failed
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import random
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import hosts
import play
import pytest
import raw_http
import uploads

CASE = os.environ.get("ADOPT_CASE", "release")
UPLOADS = os.environ.get("ADOPT_UPLOADS", "")
URL = os.environ.get("ADOPT_URL", "/media/")
KILLS = int(os.environ.get("ADOPT_KILLS", "4"))
SEED = int(os.environ.get("ADOPT_SEED", str(random.SystemRandom().randrange(10**6))))
UPLOADS_A_SECOND = 5
# After this long the module is past its first copies and not yet through.
MODULE_SECONDS = 1.5

# Every file, and its SHA-256 and time; not what the app is just writing and renames.
TREE = r"""
import hashlib, json, os, sys
root, found = sys.stdin.read(), {}
for top, _unused, names in os.walk(root):
    for name in names:
        path = os.path.join(top, name)
        if "/." not in path:
            with open(path, "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
                found[os.path.relpath(path, root)] = digest, os.fstat(file.fileno()).st_mtime_ns
json.dump(found, sys.stdout)
"""
# What a deploy tool that copies into place leaves where a link belongs.
REAL_DIRECTORY = """
mkdir -p /opt/gallery/current/uploads && echo kept >> /opt/gallery/current/uploads/picture
"""


@dataclass
class Uploader:
    """A visitor who uploads pictures several times a second, and remembers which were taken."""

    site: hosts.Site
    sent: set[str] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _executor: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _running: Future[None] | None = None

    def __enter__(self) -> Self:
        self._running = self._executor.submit(self._run)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._executor.shutdown()
        if self._running and not error:
            self._running.result()

    def _run(self) -> None:
        begin = time.monotonic()
        for number in range(10**9):
            if self._ended.wait(max(0.0, begin + number / UPLOADS_A_SECOND - time.monotonic())):
                return
            self._upload()

    def _upload(self) -> None:
        """One picture of a new visitor: the restart of the app's own may break a connection."""
        picture = uploads.picture()
        digest = uploads.digest(picture)
        visitor = uploads.Visitor(self.site)
        try:
            form = visitor.page(uploads.UPLOAD_PAGE)
            content_type, body = uploads.multipart(
                form.fields, form.file_field, "picture.png", picture
            )
            headers = {"Accept": "application/json", "Content-Type": content_type}
            self.sent.add(digest)
            target = urljoin(uploads.UPLOAD_PAGE, form.action)
            response = visitor.ask("POST", target, headers, body)
        except (OSError, EOFError, raw_http.ProtocolError, uploads.UploadError) as error:
            self.refused.append(repr(error))
            return
        finally:
            visitor.connection.close()
        if response.status == 201 and json.loads(response.body)["stored"] == 1:
            self.accepted.add(digest)
        else:
            self.refused.append(f"{response.status} {response.body[:80]!r}")


@dataclass
class Place:
    """Where the uploads were, and where they are to be."""

    host: hosts.Host
    site: hosts.Site
    container: str = f"{os.environ.get('BEHAVIOUR_CONTAINER')}-app"

    def former(self) -> dict[str, str]:
        """SHA-256 of what is there, by path."""
        return dict(self._layer()) if CASE == "container" else digests(self._tree(UPLOADS))

    def former_times(self) -> dict[str, int]:
        return times(self._tree(UPLOADS))

    def media(self) -> dict[str, str]:
        return digests(self._tree(self.site.media_root))

    def media_times(self) -> dict[str, int]:
        return times(self._tree(self.site.media_root))

    def _tree(self, root: str) -> dict[str, tuple[str, int]]:
        found: dict[str, tuple[str, int]] = json.loads(self.host.python(TREE, root.encode()))
        return found

    def _layer(self) -> Iterator[tuple[str, str]]:
        argv = ["docker", "cp", f"{self.container}:{UPLOADS}", "-"]
        done = subprocess.run(argv, capture_output=True, check=True)
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file and "/." not in member.name:
                    yield member.name.partition("/")[2], hashlib.sha256(file.read()).hexdigest()


def digests(tree: dict[str, tuple[str, int]]) -> dict[str, str]:
    return {path: digest for path, (digest, _unused) in tree.items()}


def times(tree: dict[str, tuple[str, int]]) -> dict[str, int]:
    return {path: time_ns for path, (_unused, time_ns) in tree.items()}


def require_nothing_lost(
    place: Place, before: dict[str, str], visitor: Uploader | None, moment: str
) -> None:
    """All that there was and all that was taken is whole in one of the two places."""
    accepted, sent = (set(visitor.accepted), visitor.sent) if visitor else (set(), set())
    media, former = place.media(), place.former()
    for path, digest in before.items():
        assert digest in (former.get(path), media.get(path)), f"{moment}: {path} is lost"
    digests = {*former.values(), *media.values()}
    lost = accepted - digests
    assert not lost, f"{moment}: {len(lost)} uploads are lost"
    for path, digest in media.items():
        if path in former:
            assert digest == former[path], f"{moment}: {path} is half a file in media"
        elif path.startswith("originals/"):
            assert digest in sent, f"{moment}: {path} is of nobody"


def answer(site: hosts.Site, url: str) -> str:
    """SHA-256 of what is there for a visitor, whoever serves it."""
    with site.connection() as connection:
        return uploads.digest(connection.request("GET", url).body)


def require_served(site: hosts.Site, files: dict[str, str], prefix: str) -> None:
    wrong = uploads.check(site, {f"{prefix}{path}": digest for path, digest in files.items()})
    assert not wrong, f"{len(wrong)} of {len(files)}: {list(wrong.items())[:5]}"


@pytest.fixture(scope="module")
def place(host: hosts.Host, site: hosts.Site) -> Place:
    return Place(host, site)


def test_a_real_directory_in_the_place_of_current_is_refused(
    control: play.Control, place: Place
) -> None:
    control.shell(REAL_DIRECTORY)
    before = place.former()
    snapshot = control.snapshot()
    done = control.run(
        "site",
        flask_app_service="managed",
        flask_app_source=str(play.GALLERY),
        flask_app_virtualenv="/opt/gallery/current",
        flask_app_bind="unix:/run/gallery/gallery.sock",
        flask_app_directory="/opt/gallery/current",
        flask_media_adopt_restart=[],
    )
    assert done.returncode != 0
    assert "/opt/gallery/current is no link to a release but a real directory" in done.output
    assert control.snapshot() == snapshot
    assert place.former() == before
    control.shell(
        "rm /opt/gallery/current/uploads/picture && rmdir -p /opt/gallery/current/uploads || true"
    )


def test_a_check_run_says_what_would_be_copied_and_changes_nothing(
    control: play.Control, place: Place
) -> None:
    snapshot = control.snapshot()
    done = control.run("adopt_media", "--check", "--diff")
    assert done.returncode == 0, done.output
    assert "+ albums/" in done.output, done.output
    assert control.snapshot() == snapshot
    assert not place.media()


def test_uploads_are_adopted_under_load_and_killed(
    control: play.Control,
    place: Place,
    site: hosts.Site,
    figures: Callable[[str], None],
) -> None:
    killable = dataclasses.replace(control, pipelining=False)
    print(f"ADOPT_SEED={SEED}")
    moments = random.Random(SEED)
    before = place.former()
    before_times = {} if CASE == "container" else place.former_times()
    assert len(before) > 4000
    page = f"{URL}{next(path for path in before if path.startswith('originals/'))}"
    killed = []
    with Uploader(site) as visitor:
        for number in range(KILLS):
            # Of the module that copies, and of the play: with what runs on the host, or without.
            in_module = number % 2 == 0
            seconds = moments.uniform(0, MODULE_SECONDS if in_module else 45)
            moment = f"kill {number}, after {seconds:.2f} s, seed {SEED}"
            result = killable.kill(
                "adopt_media",
                seconds,
                modules=in_module or number % 4 == 1,
                module="media_adopt" if in_module else "",
            )
            killed.append(",".join(result.modules) or ("play" if result.was_running else "late"))
            killable.wait_for_modules()
            require_nothing_lost(place, before, visitor, moment)
            assert answer(site, page) == before[page.removeprefix(URL)], moment
        begin = time.monotonic()
        done = control.run("adopt_media")
        seconds = time.monotonic() - begin
        assert done.returncode == 0, done.output
        require_nothing_lost(place, before, visitor, "after the last run")
        in_former = set(place.former().values())
    assert visitor.accepted, visitor.refused
    media = place.media()
    assert before.items() <= media.items()
    lost = visitor.accepted - set(media.values())
    assert not lost, f"{len(lost)} of {len(visitor.accepted)} uploads are not in media"
    # Both those that the former place took and those that came after the switch.
    assert visitor.accepted & in_former
    assert visitor.accepted - in_former
    assert before_times.items() <= place.media_times().items()
    some = dict(list(media.items())[:: max(1, len(media) // 500)])
    require_served(site, some, URL)
    require_served(site, some, site.media_url)
    figures(
        f"{CASE}: {len(before)} files, {len(visitor.accepted)} uploads taken meanwhile"
        f" ({len(visitor.accepted & in_former)} at the former place), {len(visitor.refused)} refused,"
        f" 0 lost; killed: {', '.join(killed)}; last run {seconds:.0f} s (seed {SEED})"
    )


def test_the_source_is_removed_only_when_asked(
    control: play.Control, place: Place, site: hosts.Site
) -> None:
    before, former = place.media(), place.former()
    assert former, "it was removed without being asked for"
    asked = {"flask_media_adopt_remove_source": True}
    if CASE != "container":
        killable = dataclasses.replace(control, pipelining=False)
        seconds = random.Random(SEED).uniform(20, 40)
        killable.kill("adopt_media", seconds, modules=True, flask_media_adopt_remove_source=True)
        assert place.media() == before
    done = control.run("adopt_media", **asked)
    assert done.returncode == 0, done.output
    assert place.media() == before
    if CASE == "container":
        assert "a container's layer goes with the container" in done.output
        assert place.former() == former
    else:
        assert not place.former()
    require_served(site, dict(list(before.items())[::50]), URL)
    again = control.run("adopt_media", **asked)
    assert again.returncode == 0, again.output
    assert again.changed == 0, again.output
