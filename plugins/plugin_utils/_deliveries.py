# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""What the public should get below each prefix of the app's, and what is known of the files for it."""

from __future__ import annotations

import dataclasses
import posixpath
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _diagnosis_case,
    _diagnosis_sites,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import Findings

if t.TYPE_CHECKING:
    from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _nginx_config

Case = _diagnosis_case.Case
Answer = t.Mapping[str, t.Any]
Question = dict[str, t.Any]

# What a page loads. Others, such as source maps, are kept from visitors for good reasons.
LOADED = (".css", ".js", ".mjs", ".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".ico", ".woff2")
# Of uploads likewise: a picture, a text.
UPLOADED = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".pdf", ".txt", ".mp4")
# By these a nested location does something else with a file than what is around it.
ELSEWHERE = ("root", "alias", "deny", "return", "try_files", "rewrite", *_diagnosis_sites.PASSES)
# Hold the answers of the app's view, whose paths are none of the host's if it runs in a container.
APP_VIEW = ("core.static.", "core.upload.")


@dataclasses.dataclass(frozen=True)
class Delivery:
    """A file that the public should get.

    :ivar key: of the request for it.
    :ivar is_static: or else an upload.
    :ivar name: the endpoint, or the key in the app's config.
    :ivar url: prefix that the public finds it below, with slashes at both ends.
    :ivar folder: on the app's file system.
    :ivar sample: the file's path in there.
    """

    key: str
    is_static: bool
    name: str
    url: str
    folder: str
    sample: str

    @property
    def source(self) -> str:
        """The key of the question that tells its content."""
        if self.key == "core.media":
            return _diagnosis_case.CANARY
        return f"{self.key}.source" if self.is_static else f"{self.key}.canary"

    @property
    def target(self) -> str:
        return self.url + _diagnosis_case.quoted(self.sample)


def deliveries(case: Case) -> list[Delivery]:
    """Return one file of each static mount that can be reached, and the canary among the uploads."""
    found = []
    for mount in case.static:
        sample = case.sample(mount)
        if sample and not mount.shadowed_by:
            found.append(Delivery(mount.key, True, mount.endpoint, mount.url, mount.folder, sample))
    canary = case.answer(_diagnosis_case.CANARY) or {}
    if case.media_url and case.upload and canary.get("written"):
        upload = case.upload
        found.append(
            Delivery("core.media", False, upload.key, case.media_url, upload.path, canary["name"])
        )
    return found


def targets(case: Case) -> list[str]:
    """Return the targets of all deliveries, as they can be written before there is a canary."""
    found = [each.target for each in deliveries(case)]
    if case.media_url and case.upload:
        found.append(f"{case.media_url}{{canary:{_diagnosis_case.CANARY}}}")
    return found


def is_delivered(case: Case, delivery: Delivery) -> bool | None:
    """Return whether Nginx has sent the file itself; ``None`` if nobody could ask."""
    response = case.response(delivery.key)
    if response is None or response.status is None:
        return None
    if response.status != 200 or response.by_app:
        return False
    wanted = (case.answer(delivery.source) or {}).get("sha256")
    # Only the begin of a large file is read.
    is_compared = wanted is not None and response.answer.get("is_all", True)
    return response.sha256 == wanted if is_compared else True


class Ground:
    """What lies on the host, as far as the questions tell, in Nginx's view."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._types: dict[str, str | None] = {}
        self._real: dict[str, str] = {}
        is_apart = bool(case.container or case.nginx.get("container"))
        answers = [
            answer
            for round_ in (case.looks, case.answers)
            for key, answer in round_.items()
            if "path" in answer
            and "exists" in answer
            and not (is_apart and key.startswith(APP_VIEW))
        ]
        for answer in answers:
            path = posixpath.normpath(answer["path"])
            if answer.get("realpath"):
                self._real[path] = answer["realpath"]
            if "type" in answer:
                self._types[path] = answer.get("type") if answer["exists"] else None
        for answer in answers:
            if "entries" in answer and answer["exists"]:
                self._types.setdefault(posixpath.normpath(answer["path"]), "directory")
                for entry in answer["entries"]:
                    name = self.relative(answer["path"], entry["path"])
                    for path in (entry["path"], posixpath.join(answer["path"], name)):
                        self._types.setdefault(path, entry["type"])

    def relative(self, directory: str, path: str) -> str:
        """Return a tree's path relative to its directory: the tree is told behind its links."""
        directory = posixpath.normpath(directory)
        real = self._real.get(directory, directory)
        is_real = path == real or path.startswith(real.rstrip("/") + "/")
        return posixpath.relpath(path, real if is_real else directory)

    def real(self, path: str) -> str:
        """Return where a path is behind its links, as far as anybody has looked."""
        path = posixpath.normpath(path)
        return self._real.get(path, path)

    def is_known(self, path: str) -> bool:
        return posixpath.normpath(path) in self._types

    def type(self, path: str) -> str | None:
        """Return what a path is; ``None`` where there is nothing, or nobody has looked."""
        return self._types.get(posixpath.normpath(path))

    def is_missing(self, path: str) -> bool:
        """Return whether it was looked for and isn't there."""
        return self.is_known(path) and self.type(path) is None

    def route(self, target: str, method: str = "GET") -> t.Any:
        """Return what Nginx does with a target, with the files that there are."""
        return self._case.route(target, method, self.type)

    def names(self, key: str) -> list[str]:
        """Return the files of a tree, relative to its directory, none of them hidden."""
        answer = self._case.answer(key) or {}
        found = [
            self.relative(answer["path"], entry["path"])
            for entry in answer.get("entries") or []
            if entry["type"] == "file"
        ]
        return [name for name in found if not any(p.startswith(".") for p in name.split("/"))]


def file_questions(case: Case, prefix: str, urls: t.Iterable[str]) -> t.Iterator[Question]:
    """Ask for each path that Nginx may look up for these targets."""
    paths: dict[str, None] = {}
    for url in urls:
        for exists in (None, nothing):
            route = case.route(url, "GET", exists)
            if route is not None:
                paths.update(dict.fromkeys([*route.paths, *([route.path] if route.path else [])]))
    for path in paths:
        yield file_question(case, prefix, path)


def file_question(case: Case, prefix: str, path: str) -> Question:
    path = posixpath.normpath(path)
    return {
        "kind": "files",
        "id": f"{prefix}.file.{path}",
        "path": path,
        "hash": False,
        **case.nginx_view,
    }


def is_explained(findings: Findings, *subjects: str | None) -> bool:
    """Return whether a file, or a prefix, fails by what has been found already.

    An app that doesn't answer is no reason for a file of Nginx's to be missing.
    """
    return any(
        subject is not None and findings.explained(subject, besides=("app-not-answering",))
        for subject in subjects
    )


def nothing(_path: str) -> str | None:
    """Say of each path that it isn't there."""
    return None


def directive_of(location: _nginx_config.Location | None, case: Case) -> t.Any:
    """Return the ``root`` or ``alias`` that counts in a location, or in the server block."""
    block: t.Any = location if location is not None else case.server
    found = block.effective("root") if block is not None else []
    return found[-1] if found and found[-1].args else None


def server_of(case: Case) -> _nginx_config.Server:
    """Return the server block, where the caller knows that there is one."""
    return t.cast("_nginx_config.Server", case.server)


def is_of_files(location: t.Any) -> bool:
    """Return whether a location can serve files: it neither passes requests on nor answers them."""
    return not any(location.own(name) for name in (*_diagnosis_sites.PASSES, "return"))


def taken(
    case: Case, ground: Ground, delivery: Delivery, target: str, route: t.Any
) -> tuple[t.Any, t.Any] | None:
    """Return the location that takes a file away, and the one that has it; ``None`` if none does."""
    chain = route.locations if route is not None else []
    if not chain:
        return None
    owner = rival(case, ground, delivery, target, chain[0])
    if owner is not None:
        return chain[0], owner
    # Nested: what is around it has the file.
    is_nested = len(chain) > 1 and bool(chain[-1].own(*ELSEWHERE))
    if is_nested and would_deliver(case, ground, delivery, target, chain[-2]):
        return chain[-1], chain[-2]
    return None


def rival(case: Case, ground: Ground, delivery: Delivery, target: str, chosen: t.Any) -> t.Any:
    """Return the prefix location that would deliver a file if it were not for the chosen one."""
    uri = target.partition("?")[0]
    prefixes = [
        location
        for location in server_of(case).locations
        if location is not chosen
        and location.modifier in ("", "^~")
        and uri.startswith(location.pattern)
    ]
    for location in sorted(prefixes, key=lambda each: -len(each.pattern)):
        if would_deliver(case, ground, delivery, target, location):
            return location
    return None


def would_deliver(
    case: Case, ground: Ground, delivery: Delivery, target: str, location: t.Any
) -> bool:
    """Return whether a prefix location has the file in its directory."""
    if location.modifier not in ("", "^~") or not is_of_files(location):
        return False
    prefix = case.config.prefix if case.config else "/"
    directory = _diagnosis_case.directory_of(location, prefix)
    if directory is None or not target.startswith(location.pattern):
        return False
    url = _diagnosis_case.slashed(location.pattern)
    rest = delivery.url[len(url) :] + delivery.sample if delivery.url.startswith(url) else None
    if rest is None:
        # Of one that is for a part of the delivery's files
        below = url[len(delivery.url) :] if url.startswith(delivery.url) else None
        if below is None or not delivery.sample.startswith(below):
            return False
        rest = delivery.sample[len(below) :]
    if not delivery.is_static:
        # The canary is gone by now; where the app writes is where it was.
        folder = case.on_host(delivery.folder)
        return folder is not None and posixpath.normpath(directory) in (folder, ground.real(folder))
    names = [
        name
        for number, each in enumerate(case.files_locations)
        if each.location is location
        for name in ground.names(f"core.location.{number}.tree")
    ]
    return rest in names or ground.type(posixpath.join(directory, rest)) == "file"


def one_of_each_suffix(names: t.Iterable[str], suffixes: t.Sequence[str]) -> list[str]:
    """Return a name for each of these suffixes, where there is one."""
    found: dict[str, str] = {}
    for name in sorted(names):
        suffix = posixpath.splitext(name)[1].lower()
        if suffix in suffixes:
            found.setdefault(suffix, name)
    return list(found.values())
