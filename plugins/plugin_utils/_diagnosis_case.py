# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""What is known of one site: what was found, what the app says, and what the host answered.

The questions here are those that several judges want the answers of; each judge adds its own.
"""

from __future__ import annotations

import dataclasses
import functools
import posixpath
import re
import typing as t
import urllib.parse

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _diagnosis_sites,
    _nginx_config,
    _nginx_routes,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import below

Answer = t.Mapping[str, t.Any]
Question = dict[str, t.Any]

# Nginx's ETag is the hexadecimal mtime and size, Werkzeug's is "float-size-adler32":
# src/http/ngx_http_core_module.c, ngx_http_set_etag; werkzeug.utils.send_file.
NGINX_ETAG = re.compile(r'(?:W/)?"[0-9a-f]{6,16}-[0-9a-f]+"\Z')
WERKZEUG_ETAG = re.compile(r'(?:W/)?"\d+\.\d+-\d+-\d+"\Z')
# Where apps keep the directory that they save uploads in: Flask's documentation, Django's name for
# it, and Flask-Uploads.
UPLOAD_KEYS = re.compile(
    r"UPLOAD_FOLDER\Z|MEDIA_ROOT\Z|UPLOADED_[A-Z0-9_]+_DEST\Z|UPLOADS_DEFAULT_DEST\Z"
)
# What people call the prefix of uploads, where nothing else tells.
UPLOAD_NAMES = re.compile(
    r"/(?:media|uploads?|uploaded|files|user[-_]?(?:content|files))/\Z", re.IGNORECASE
)
# A sample that browsers load with a page tells more than a picture.
SAMPLE_SUFFIXES = (".css", ".js", ".mjs", ".svg", ".png")
CANARY = "core.canary"
# A name that nobody gives to a page or file.
ABSENT = "flask-verify-absent-5b0c"
LOOK_LIMIT = 2000


@dataclasses.dataclass(frozen=True)
class Response:
    """An answer to a request, and who gave it."""

    request: Question
    answer: Answer

    @property
    def status(self) -> int | None:
        return t.cast("int | None", self.answer.get("status"))

    def all(self, name: str) -> list[str]:
        """Return the values of a header, in order."""
        return [v for k, v in self.answer.get("headers") or [] if k.lower() == name.lower()]

    def first(self, name: str) -> str:
        return (self.all(name) or [""])[0]

    @property
    def head(self) -> str:
        """The begin of the body."""
        return str(self.answer.get("head") or "")

    @property
    def sha256(self) -> str | None:
        return t.cast("str | None", self.answer.get("sha256"))

    @property
    def log(self) -> list[str]:
        """What Nginx's error log says of this very request."""
        return list(self.answer.get("log") or [])

    @property
    def by_nginx(self) -> bool:
        """Whether Nginx sent a file itself."""
        return bool(NGINX_ETAG.match(self.first("ETag"))) or (
            self.status in (301, 403, 404, 405, 416) and self.is_page_of_nginx
        )

    @property
    def is_page_of_nginx(self) -> bool:
        """Whether the body is one of Nginx's own pages (ngx_http_special_response.c)."""
        return "<hr><center>nginx" in self.head

    @property
    def by_app(self) -> bool:
        """Whether Flask answered: Werkzeug's ETag, or its own page of an error."""
        if WERKZEUG_ETAG.match(self.first("ETag")):
            return True
        return (self.status or 0) >= 400 and self.head.lstrip().lower().startswith(
            "<!doctype html>\n<html lang=en>\n<title>"
        )

    def __str__(self) -> str:
        request = self.request
        what = f"{request.get('method', 'GET')} {request['target']}"
        return f"{what} {self.status if self.status is not None else self.answer.get('error')}"


@dataclasses.dataclass(frozen=True)
class StaticMount:
    """A folder that the app serves, and where the public finds it.

    :ivar key: of its questions.
    :ivar url: in the public's terms, with slashes at both ends.
    :ivar folder: on the app's file system.
    """

    key: str
    endpoint: str
    url: str
    folder: str
    shadowed_by: str | None


@dataclasses.dataclass(frozen=True)
class Upload:
    """A directory that the app saves uploads in.

    :ivar key: name in the app's config.
    :ivar written: as the app has it.
    :ivar path: absolute, as the app's process resolves it.
    """

    key: str
    written: str
    path: str


@dataclasses.dataclass(frozen=True)
class FilesLocation:
    """A prefix location by which Nginx serves files of a directory.

    :ivar url: its prefix, as it is written.
    :ivar directory: what the prefix leads to, without a slash at its end.
    """

    location: _nginx_config.Location
    url: str
    directory: str


class Case:
    """One site under diagnosis.

    :ivar nginx: the answer of ``nginx_config_info``.
    :ivar process: the app server, of ``flask_process_info``, or ``None``.
    :ivar app: what the app says of itself, or ``None``; then ``app_error`` may say why.
    :ivar looks: answers of the first round: what lies in the directories.
    :ivar answers: answers of the second.
    :ivar unseen: what could not be seen, and why.
    :ivar failed: what could not be judged by a fault of our own.
    """

    def __init__(self, nginx: Answer, processes: Answer, site: _diagnosis_sites.Site) -> None:
        self.nginx = nginx
        self.site = site
        self.config = site.config
        self.server = site.server
        self.process = site.process
        self.app: Answer | None = None
        self.app_error: str | None = None
        self.looks: Answer = {}
        self.answers: Answer = {}
        self.unseen: list[str] = [*(nginx.get("unseen") or []), *(processes.get("unseen") or [])]
        self.failed: list[str] = []

    # What is asked, and how

    @property
    def container(self) -> Answer | None:
        """The container that the app runs in."""
        return (self.process or {}).get("container")

    @property
    def name(self) -> str:
        """What the app is called here: its unit, container or module."""
        process = self.process or {}
        unit = str(process.get("unit") or "").removesuffix(".service")
        own = (self.container or {}).get("name") or unit or process.get("callable") or self.host
        return re.sub(r"[^\w.-]+", "-", str(own)).strip("-") or "app"

    @property
    def host(self) -> str:
        """The host name to ask for: one that this server block answers to and no pattern."""
        names = self.server.names if self.server else []
        wanted = [name for name in self.site.hints.get("domains") or [] if name in names]
        plain = [name for name in names if re.fullmatch(r"[\w-]+(\.[\w-]+)*", name) and name != "_"]
        patterns = [name.replace("*.", "www.") for name in names if name.startswith("*.")]
        return str([*wanted, *plain, *patterns, "localhost"][0])

    @property
    def listen(self) -> tuple[str, int, bool]:
        """Address, port and whether it is TLS, by which the host reaches this server block."""
        listens = sorted(self.server.listens, key=lambda each: not each.tls) if self.server else []
        for listen in listens:
            if not str(listen.address).startswith("unix:"):
                wild = listen.address in ("", "*", "0.0.0.0", "[::]", "::")
                return (
                    "127.0.0.1" if wild else str(listen.address).strip("[]"),
                    listen.port,
                    listen.tls,
                )
        return "127.0.0.1", 80, False

    def request(self, key: str, target: str, **more: t.Any) -> Question:
        """Return a request to Nginx, for this server block."""
        address, port, tls = self.listen
        return {
            "kind": "requests",
            "id": key,
            "address": address,
            "port": port,
            "tls": tls,
            "host": self.host,
            "method": "GET",
            "target": target,
            "headers": {"Accept-Encoding": "identity"},
            "log": True,
            # The port that it listens at is one of its container's network.
            **self.nginx_view,
            **more,
        }

    def direct(self, key: str, target: str, **more: t.Any) -> Question | None:
        """Return a request to the app server itself, or ``None`` where it can't be reached."""
        for address in _diagnosis_sites.addresses(self.process or {}):
            # Nginx speaks TLS with visitors, not with the app, whose address is as we have it.
            where: Question = {"tls": False, "process_id": None}
            if address.startswith("unix:"):
                where["unix_socket"] = address[len("unix:") :]
            else:
                host, _colon, port = address.rpartition(":")
                # Wildcards lead nowhere, and names of containers only their neighbours.
                if host in ("0.0.0.0", "[::]") or not re.fullmatch(r"[\d.]+|\[[\da-f:]+\]", host):
                    continue
                where.update(address=host.strip("[]"), port=int(port))
            protocol = "uwsgi" if self.is_uwsgi else "http"
            return self.request(key, target, log=False, protocol=protocol, **where, **more)
        return None

    @property
    def is_uwsgi(self) -> bool:
        """Whether Nginx speaks uwsgi's own protocol to the app."""
        return any(way.directive.name == "uwsgi_pass" for way in self.site.passes)

    # What came back

    def response(self, key: str) -> Response | None:
        """Return the answer to a request, or ``None`` where it wasn't asked or could not be."""
        answer = self.answers.get(key)
        if not answer or "unseen" in answer:
            return None
        return Response(answer.get("request") or {"target": "?"}, answer)

    @property
    def silence(self) -> str | None:
        """What came instead of an answer, where none of Nginx's came."""
        told = [
            answer
            for answer in self.answers.values()
            if "status" in answer and (answer.get("request") or {}).get("log")
        ]
        if not told or any(answer["status"] is not None for answer in told):
            return None
        return str(told[0]["error"])

    def answer(self, key: str) -> Answer | None:
        """Return any answer of either round, or ``None`` where there is none."""
        found = self.answers.get(key, self.looks.get(key))
        return None if not found or "unseen" in found else t.cast(Answer, found)

    # Users

    @property
    def nginx_user(self) -> Question:
        """Whom to ask as, to know what Nginx's workers may do."""
        nginx = self.nginx
        return {
            "uid": nginx.get("worker_uid"),
            "gid": nginx.get("worker_gid"),
            "groups": nginx.get("worker_groups") or [],
        }

    @property
    def nginx_view(self) -> Question:
        """The view of Nginx's processes, where these run in a container."""
        return {"process_id": self.nginx.get("master_pid")} if self.nginx.get("container") else {}

    @property
    def app_user(self) -> Question:
        process = self.process or {}
        return {
            "uid": process.get("uid"),
            "gid": process.get("gid"),
            "groups": process.get("groups") or [],
        }

    @property
    def app_view(self) -> Question:
        """The view of the app's process, which may have mounts of its own."""
        pid = (self.process or {}).get("pid")
        return {} if pid is None else {"process_id": pid}

    @property
    def socket(self) -> str | None:
        """The socket by which Nginx reaches the app, if it is one of the file system."""
        for way in self.site.passes:
            for address in way.addresses:
                if address.startswith("unix:"):
                    return address[len("unix:") :]
        return None

    # The app's own word

    @functools.cached_property
    def prefix(self) -> str:
        """Where the public finds the app: empty, or a path without a slash at its end."""
        patterns = [
            way.location.pattern
            for way in self.site.passes
            if way.location.modifier in ("", "^~", "=")
        ]
        named = any(way.location.modifier == "@" for way in self.site.passes)
        if "/" in patterns or named or not patterns:
            return ""
        prefix = min(patterns, key=len).rstrip("/")
        # Where the app itself has it in its rules, it is a part of the app and no prefix of it.
        rules = [rule["rule"] for rule in (self.app or {}).get("rules") or []]
        is_own = any(rule == prefix or rule.startswith(prefix + "/") for rule in rules)
        return "" if is_own else prefix

    def public(self, url: str) -> str:
        """Return an app's URL as the public writes it."""
        return self.prefix + url

    @functools.cached_property
    def static(self) -> list[StaticMount]:
        """The app's static mounts that have a folder."""
        return [
            StaticMount(
                f"core.static.{n}",
                mount["endpoint"],
                self.public(mount["url"]),
                mount["folder"],
                mount.get("shadowed_by"),
            )
            for n, mount in enumerate((self.app or {}).get("mounts") or [])
            if mount.get("folder")
        ]

    @functools.cached_property
    def uploads(self) -> list[Upload]:
        """Directories that the app's config names for uploads, each once.

        Of an app that could not be asked, those that its environment names for it.
        """
        config = (self.app or {}).get("config") or self._environment
        cwd = (self.process or {}).get("cwd") or (self.process or {}).get("directory") or "/"
        found: dict[str, Upload] = {}
        for key, value in config.items():
            if isinstance(value, str) and value and UPLOAD_KEYS.search(key):
                path = posixpath.normpath(posixpath.join(cwd, value))
                found.setdefault(path, Upload(key, value, path))
        return list(found.values())

    @property
    def _environment(self) -> Answer:
        """Config in the environment, as from_prefixed_env() takes it."""
        given = (self.process or {}).get("environment") or {}
        return {key[len("FLASK_") :]: given[key] for key in given if key.startswith("FLASK_")}

    @property
    def upload(self) -> Upload | None:
        """The app's main directory of uploads."""
        return self.uploads[0] if self.uploads else None

    def config_key(self, name: str) -> str:
        """Return how a key of the app's config is named as a component."""
        return f"{name} of {(self.process or {}).get('callable') or self.name}"

    def on_host(self, path: str) -> str | None:
        """Return where a path of the app's is on the host; ``None`` if it is in a container's layer."""
        if self.container is None:
            return path
        mount = self.mount_of(path)
        if mount is None or not mount.get("source"):
            return None
        inside = posixpath.relpath(path, str(mount["target"]))
        return posixpath.normpath(posixpath.join(str(mount["source"]), inside))

    def mount_of(self, path: str) -> Answer | None:
        """Return the mount of the app's container that a path in it lies on, the root's excepted."""
        found = [m for m in (self.container or {}).get("mounts") or [] if below(m["target"], path)]
        return max(found, key=lambda mount: len(mount["target"]), default=None)

    def in_app(self, path: str) -> str | None:
        """Return what the app calls a path of the host's; ``None`` where its container has it not."""
        if self.container is None:
            return path
        for mount in self.container.get("mounts") or []:
            if mount.get("source") and below(mount["source"], path):
                inside = posixpath.relpath(path, mount["source"])
                return posixpath.normpath(posixpath.join(mount["target"], inside))
        return None

    # Nginx's word

    @functools.cached_property
    def files_locations(self) -> list[FilesLocation]:
        """The prefix locations of the server block by which Nginx serves files itself."""
        found = []
        for location in _diagnosis_sites.all_locations(self.server) if self.server else []:
            if location.modifier not in ("", "^~"):
                continue
            directory = directory_of(location, self.config.prefix if self.config else "/")
            passes = any(location.own(name) for name in (*_diagnosis_sites.PASSES, "return"))
            if directory is not None and not passes and location.pattern != "/":
                found.append(FilesLocation(location, location.pattern, directory))
        return found

    @functools.cached_property
    def media_url(self) -> str | None:
        """The public prefix of uploads, with a slash at its end, or ``None`` where nothing tells."""
        config = (self.app or {}).get("config") or {}
        value = config.get("MEDIA_URL")
        if isinstance(value, str) and value.startswith("/"):
            return slashed(self.public(value) if not value.startswith(self.prefix + "/") else value)
        mounts = {mount.url for mount in self.static}
        own = [each for each in self.files_locations if slashed(each.url) not in mounts]
        upload = self.upload and self.on_host(self.upload.path)
        for each in own:
            if upload and each.directory == upload and not each.location.own("internal"):
                return slashed(each.url)
        for rule in (self.app or {}).get("rules") or []:
            match = re.match(r"(/.*/)<path:\w+>\Z", rule["rule"])
            if match and rule.get("build_only"):
                return self.public(match[1])
        for each in own:
            if UPLOAD_NAMES.search(slashed(each.url)) and not each.location.own("internal"):
                return slashed(each.url)
        return None

    @functools.cached_property
    def media_location(self) -> FilesLocation | None:
        """The location by which Nginx serves uploads."""
        return self.location_of(self.media_url) if self.media_url else None

    def location_of(self, url: str) -> FilesLocation | None:
        """Return the location by which Nginx serves what is below a prefix, if it serves files there."""
        route = self.route(url + "x")
        chain = route.locations if route else []
        for each in self.files_locations:
            if chain and chain[0] is each.location:
                return each
        return None

    @property
    def media_directory(self) -> str | None:
        """The directory that Nginx serves uploads of, on the host."""
        return self.media_location.directory if self.media_location else None

    @property
    def media_root(self) -> str | None:
        """The directory that uploads are saved in, on the host; what Nginx serves, if no app tells."""
        if self.upload:
            return self.on_host(self.upload.path)
        return self.media_directory

    def exists(self, path: str) -> str | None:
        """Return what a path is, ``file`` or ``directory``, as far as anybody has looked."""
        for answers in (self.answers, self.looks):
            for answer in answers.values():
                if answer.get("path") == path and "exists" in answer and "entries" not in answer:
                    kind = answer.get("type") or "file"
                    return str(kind) if answer["exists"] else None
                tree = answer.get("entries")
                for entry in tree or []:
                    if entry["path"] == path:
                        return str(entry["type"])
        return None

    def route(
        self, target: str, method: str = "GET", exists: t.Callable[[str], str | None] | None = None
    ) -> t.Any:
        """Return what Nginx does with a target in this server block; ``None`` without one.

        :param exists: what a path is; by default all that is asked for is there, as a file.
        """
        if self.config is None or self.server is None:
            return None
        return _nginx_routes.route(
            self.config, self.server, target, method=method, exists=exists or present
        )

    # Samples

    def sample(self, mount: StaticMount) -> str | None:
        """Return the path of a file of a static mount, relative to its folder."""
        tree = self.answer(f"{mount.key}.tree")
        names = [
            posixpath.relpath(entry["path"], mount.folder)
            for entry in (tree or {}).get("entries") or []
            if entry["type"] == "file"
        ]
        shown = [
            name for name in names if not any(part.startswith(".") for part in name.split("/"))
        ]
        rank = {suffix: n for n, suffix in enumerate(SAMPLE_SUFFIXES)}
        shown.sort(key=lambda name: (rank.get(posixpath.splitext(name)[1], len(rank)), name))
        return shown[0] if shown else None


def present(path: str) -> str:
    """Say of each path that it is there: a directory, where its name says so."""
    return "directory" if path.endswith("/") else "file"


def slashed(url: str) -> str:
    return url if url.endswith("/") else url + "/"


def directory_of(location: _nginx_config.Location, prefix: str = "/") -> str | None:
    """Return the directory that a prefix location serves, without a slash at its end.

    ``None`` where there is none, or it depends on variables.

    :param prefix: Nginx's, which relative paths are taken from.
    """
    alias = location.own("alias")
    # Of the two the nearest counts, and an alias around a location is for that one's own URLs.
    found = alias or location.effective("root")
    if not found or not found[-1].args or (found[-1].name == "alias" and not alias):
        return None
    path = found[-1].args[0]
    if "$" in path:
        return None
    path = posixpath.join(prefix, path)
    if not alias:
        path = path.rstrip("/") + location.pattern
    return path.rstrip("/") or "/"


def looks(case: Case) -> t.Iterator[Question]:
    """Yield the questions of the first round: what lies in the directories that matter."""
    for mount in case.static:
        yield {
            "kind": "trees",
            "id": f"{mount.key}.tree",
            "path": mount.folder,
            "limit": LOOK_LIMIT,
            "seconds": 2.0,
            **case.app_view,
        }
    for n, each in enumerate(case.files_locations):
        yield {
            "kind": "trees",
            "id": f"core.location.{n}.tree",
            "path": each.directory,
            "limit": LOOK_LIMIT,
            "seconds": 2.0,
            **case.nginx_view,
        }
        yield {
            "kind": "files",
            "id": f"core.location.{n}.directory",
            "path": each.directory,
            "hash": False,
            **case.nginx_view,
        }
    for n, upload in enumerate(case.uploads):
        yield {
            "kind": "files",
            "id": f"core.upload.{n}.directory",
            "path": upload.path,
            "hash": False,
            **case.app_view,
        }
    if case.media_root:
        yield {
            "kind": "trees",
            "id": "core.media.tree",
            "path": case.media_root,
            "limit": LOOK_LIMIT,
            "seconds": 2.0,
        }


def questions(case: Case) -> t.Iterator[Question]:
    """Yield the questions of the second round that several judges want the answers of."""
    if case.server is not None:
        yield case.request("core.app", case.public("/"))
        socket = case.socket
        if socket and case.nginx.get("worker_uid") is not None:
            yield {
                "kind": "paths",
                "id": "core.socket",
                "path": socket,
                "want": ["write"],
                **case.nginx_user,
                **case.nginx_view,
            }
        direct = case.direct("core.direct", "/")
        if direct:
            yield direct
    for mount in case.static:
        sample = case.sample(mount)
        if sample is None or case.server is None:
            continue
        target = mount.url + quoted(sample)
        yield case.request(mount.key, target)
        yield case.request(f"{mount.key}.gzip", target, headers={"Accept-Encoding": "gzip"})
        yield {
            "kind": "files",
            "id": f"{mount.key}.source",
            "path": posixpath.join(mount.folder, sample),
            "hash": True,
            **case.app_view,
        }
        route = case.route(target)
        if route and route.path:
            yield {
                "kind": "paths",
                "id": f"{mount.key}.path",
                "path": route.path,
                "want": ["read"],
                **case.nginx_user,
                **case.nginx_view,
            }
            yield {
                "kind": "files",
                "id": f"{mount.key}.file",
                "path": route.path,
                "hash": True,
                **case.nginx_view,
            }
    upload = case.upload
    if upload and case.process:
        yield {
            "kind": "canaries",
            "id": CANARY,
            "directory": upload.path,
            "suffix": ".txt",
            **case.app_user,
            **case.app_view,
        }
        yield {
            "kind": "paths",
            "id": "core.upload.path",
            "path": upload.path,
            "want": ["traverse", "write"],
            **case.app_user,
            **case.app_view,
        }
    if case.media_url and case.server is not None:
        name = f"{{canary:{CANARY}}}" if upload else "flask-verify-absent"
        yield case.request("core.media", case.media_url + name)
        yield case.request("core.media.absent", case.media_url + "flask-verify-absent")
    if case.media_directory:
        yield {
            "kind": "paths",
            "id": "core.media.path",
            "path": case.media_directory,
            "want": ["traverse"],
            "unwanted": ["write"],
            "sample_files": 200,
            **case.nginx_user,
            **case.nginx_view,
        }


def quoted(path: str) -> str:
    """Return a path as a browser writes it in a request line."""
    return urllib.parse.quote(path)
