# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""What Nginx gives to everybody and should not: hidden files, the app's code, lists, protected files.

Whatever is found is asked for by HEAD: that it can be had is the proof, and nothing of it is read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import posixpath
import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _deliveries,
    _diagnosis_case,
    _diagnosis_sites,
    _nginx_regex,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import (
    Finding,
    Findings,
    below,
)

Case = _diagnosis_case.Case
FilesLocation = _diagnosis_case.FilesLocation
Response = _diagnosis_case.Response
Question = dict[str, t.Any]

DOT_CANARY = "exposure.dot.canary"
HIDDEN_ASKED = 3
# What tells most of a host comes first.
HIDDEN_FIRST = (".env", ".git", ".htpasswd", ".ssh")
# RFC 8615: meant to be read.
PUBLIC = (".well-known",)
SOURCES = ("requirements.txt", "pyproject.toml", "config.py", ".env", ".git/HEAD")
STATIC_NAMES = re.compile(r"/(?:static|assets)/\Z")
# Which suffixes a regex location may take from a protected one.
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".css", ".js", ".svg", ".pdf", ".txt", ".zip", ".mp4")
PROTECTED_ASKED = 6


@dataclasses.dataclass(frozen=True)
class Probe:
    """A file that should not be had.

    :ivar key: of the request for it.
    :ivar target: what is asked for.
    :ivar directive: of what is to be changed, for its line.
    :ivar path: the file on the host.
    """

    key: str
    target: str
    directive: t.Any
    path: str


def questions(case: Case) -> t.Iterator[Question]:
    """Ask for what should not be had."""
    if case.server is None:
        return
    ground = _deliveries.Ground(case)
    for probe in (*_hidden(case, ground), *_sources(case), *_unprotected(case, ground)):
        yield case.request(probe.key, probe.target, method="HEAD")
    for each, _directive in _listed(case):
        yield case.request(f"exposure.list.{each.url}", _diagnosis_case.slashed(each.url))
    if case.media_url and case.upload and case.process:
        who = {**case.app_user, **case.app_view}
        canary = {"directory": case.upload.path, "suffix": ".txt", "hidden": True, **who}
        yield {"kind": "canaries", "id": DOT_CANARY, **canary}
        yield case.request(
            "exposure.dot", f"{case.media_url}{{canary:{DOT_CANARY}}}", method="HEAD"
        )
    for protected in _guarded_suffixes(case):
        who = {**case.app_user, **case.app_view}
        canary = {
            "directory": protected.path,
            "suffix": posixpath.splitext(protected.key)[1],
            **who,
        }
        yield {"kind": "canaries", "id": f"{protected.key}.canary", **canary}
        target = protected.target + f"{{canary:{protected.key}.canary}}"
        yield case.request(protected.key, target, method="HEAD")


def judge(case: Case, findings: Findings) -> None:
    """Find what everybody can have."""
    if case.server is None or findings.of("nginx-not-serving"):
        return
    ground = _deliveries.Ground(case)
    _judge_sources(case, findings)
    _judge_lists(case, findings)
    _judge_unprotected(case, findings, ground)
    _judge_hidden(case, findings, ground)


def _is_had(response: Response | None) -> t.TypeGuard[Response]:
    """Return whether Nginx has sent a file."""
    return response is not None and response.status == 200 and response.by_nginx


def _shown(responses: t.Sequence[Response]) -> str:
    return "; ".join(
        f"{response}, {response.first('Content-Length') or '?'} bytes" for response in responses[:3]
    )


# Hidden files


def _hidden(case: Case, ground: _deliveries.Ground) -> t.Iterator[Probe]:
    """Yield hidden files that lie in what Nginx serves."""
    for number, each in enumerate(case.files_locations):
        answer = case.answer(f"core.location.{number}.tree") or {}
        names = [ground.relative(answer["path"], path) for path in answer.get("dotfiles") or []]
        names = [name for name in names if not name.startswith(PUBLIC)]
        names.sort(key=lambda name: (posixpath.basename(name) not in HIDDEN_FIRST, name))
        for place, name in enumerate(names[:HIDDEN_ASKED]):
            # Of a directory a file that each of its kind has
            inside = "/HEAD" if posixpath.basename(name) == ".git" else ""
            target = _diagnosis_case.slashed(each.url) + _diagnosis_case.quoted(name) + inside
            path = posixpath.join(each.directory, name)
            yield Probe(f"exposure.hidden.{number}.{place}", target, each.location.directive, path)


def _judge_hidden(case: Case, findings: Findings, ground: _deliveries.Ground) -> None:
    found: dict[str, list[Response]] = {}
    locations: dict[str, t.Any] = {}
    for probe in _hidden(case, ground):
        response = case.response(probe.key)
        if _is_had(response) and not _is_told(findings, probe.path):
            location = _opened_by(case, probe.target)
            if location is not None:
                locations[location.component] = location
                found.setdefault(location.component, []).append(response)
    canary = case.response("exposure.dot")
    is_explained = findings.explained(case.media_url or "/")
    rule = _dot_rule(case)
    # An upload is for everybody, whatever its name. But where a rule keeps hidden files, it has to work.
    if rule is not None and canary is not None and _is_had(canary) and not is_explained:
        location = _opened_by(case, str(canary.request["target"]))
        if location is not None and location.component not in found:
            locations[location.component] = location
            found[location.component] = [canary]
    for component, responses in found.items():
        location = locations[component]
        is_leak = responses != [canary]
        findings.add(
            Finding(
                "dotfile-exposed",
                "error" if is_leak else "warning",
                component,
                f"{location} serves hidden files"
                + (" that lie there" if is_leak else "")
                + (f"; {rule} at {rule.component} does not count there" if rule else ""),
                _shown(responses),
                'Write location ~ "/[.]" { return 404; } into this location, as the first in it: its own regex '
                "locations come before the server block's, and with ^~ those don't count at all."
                + (" And take these files away from there." if is_leak else ""),
            )
        )


def _dot_rule(case: Case) -> t.Any:
    """Return a regex location for hidden files alone, if there is one anywhere in the server block."""
    for location in _diagnosis_sites.all_locations(_deliveries.server_of(case)):
        if not location.is_regex or not location.own("deny", "return"):
            continue
        with contextlib.suppress(_nginx_regex.NotTranslated):
            pattern = _nginx_regex.compile_pattern(location.pattern, location.modifier == "~*")
            if pattern.search("/a/.env") and not pattern.search("/a/b.env"):
                return location
    return None


def _opened_by(case: Case, target: str) -> t.Any:
    """Return the outermost location of those that a target is opened by."""
    route = case.route(target)
    return route.locations[0] if route and route.locations else None


def _is_told(findings: Findings, path: str) -> bool:
    return any(
        finding.id == "project-root-exposed" and _deliveries.is_explained(findings, path)
        for finding in findings.found
    )


# The app's code


def _sources(case: Case) -> t.Iterator[Probe]:
    """Yield files of the app's code, and what lies beside it, that Nginx may serve."""
    code = list(dict.fromkeys(_code(case)))
    for number, (url, directory, directive) in enumerate(_served(case)):
        inside = [path for path in code if below(directory, path)]
        for place, path in enumerate(inside[: 2 + len(SOURCES)]):
            name = posixpath.relpath(path, directory)
            target = _diagnosis_case.slashed(url) + _diagnosis_case.quoted(name)
            route = case.route(target)
            if route and route.kind == "file" and posixpath.normpath(route.path or "/") == path:
                yield Probe(f"exposure.source.{number}.{place}", target, directive, path)


def _code(case: Case) -> t.Iterator[str]:
    """Yield where the app's code is on the host, as far as it tells."""
    process, app = case.process or {}, case.app or {}
    directory = process.get("directory") or process.get("cwd")
    root = app.get("root_path")
    module = re.match(r"[\w.]+", str(process.get("callable") or ""))
    paths = []
    if directory and directory != "/" and module:
        name = module[0].replace(".", "/")
        paths += [f"{directory}/{name}.py", f"{directory}/{name}/__init__.py"]
    if root:
        name = str(app.get("import_name") or "").rpartition(".")[2]
        paths += [f"{root}/__init__.py", f"{root}/{name}.py"]
    if directory and directory != "/":
        paths += [f"{directory}/{name}" for name in SOURCES]
    if root:
        paths += [f"{posixpath.dirname(root)}/{name}" for name in SOURCES[:3]]
    for path in paths:
        host = case.on_host(posixpath.normpath(path))
        if host is not None:
            yield host


def _served(case: Case) -> t.Iterator[tuple[str, str, t.Any]]:
    """Yield each prefix by which files are served, its directory and the directive that says so."""
    prefix = case.config.prefix if case.config else "/"
    seen = set()
    for location in _diagnosis_sites.all_locations(_deliveries.server_of(case)):
        if location.modifier not in ("", "^~") or not _deliveries.is_of_files(location):
            continue
        directory = _diagnosis_case.directory_of(location, prefix)
        directive = _deliveries.directive_of(location, case)
        if directory is not None and directive is not None:
            seen.add(location.pattern)
            yield location.pattern, directory, directive
    own = _deliveries.server_of(case).effective("root")
    if "/" not in seen and own and own[-1].args and "$" not in own[-1].args[0]:
        # Of what no location is for
        yield "/", posixpath.normpath(posixpath.join(prefix, own[-1].args[0])), own[-1]


def _judge_sources(case: Case, findings: Findings) -> None:
    found: dict[str, list[tuple[Probe, Response]]] = {}
    for probe in _sources(case):
        response = case.response(probe.key)
        if _is_had(response):
            found.setdefault(probe.directive.component, []).append((probe, response))
    for component, probes in found.items():
        directive = probes[0][0].directive
        findings.add(
            Finding(
                "project-root-exposed",
                "error",
                component,
                f"{directive} leads to a directory with the app's code, and everybody can read it",
                _shown([response for _probe, response in probes]),
                "Lead it to a directory that holds nothing but what is to be served, or take it away and have "
                "a location with ^~ for each of the app's static prefixes. Change what secrets could be read.",
                "flask_static_root",
            ),
            subjects=[probe.path for probe, _response in probes] + [_directory(case, directive)],
        )


def _directory(case: Case, directive: t.Any) -> str:
    prefix = case.config.prefix if case.config else "/"
    return posixpath.normpath(posixpath.join(prefix, directive.args[0]))


# Lists of files


def _listed(case: Case) -> t.Iterator[tuple[FilesLocation, t.Any]]:
    """Yield the locations of the app's files that Nginx makes lists for."""
    mounts = {mount.url for mount in case.static}
    uploads = [case.on_host(upload.path) for upload in case.uploads]
    for each in case.files_locations:
        found = each.location.effective("autoindex")
        url = _diagnosis_case.slashed(each.url)
        is_ours = (
            url in mounts
            or url == case.media_url
            or any(upload and below(each.directory, upload) for upload in uploads)
            or (
                case.app is None
                and (STATIC_NAMES.search(url) or _diagnosis_case.UPLOAD_NAMES.search(url))
            )
        )
        if is_ours and found and found[-1].args[:1] == ["on"]:
            yield each, found[-1]


def _judge_lists(case: Case, findings: Findings) -> None:
    for each, directive in _listed(case):
        response = case.response(f"exposure.list.{each.url}")
        if response is None or response.status != 200 or response.by_app:
            continue
        # ngx_http_autoindex_module.c; an index page has the ETag of a file, a list has none.
        if response.first("ETag"):
            continue
        findings.add(
            Finding(
                "directory-listing",
                "error",
                directive.component,
                "everybody can list the files of the app's directories",
                f"{response}: {_title(response)}",
                "Write autoindex off; or take this line away.",
            )
        )


def _title(response: Response) -> str:
    match = re.search(r"<title>([^<]*)</title>", response.head)
    return match[1] if match else f"a list as {response.first('Content-Type')}"


# Files for some


def _guards(location: t.Any) -> list[t.Any]:
    """Return what keeps everybody from a location's files."""
    found = []
    for name in ("auth_basic", "auth_request"):
        found += [each for each in location.effective(name) if each.args[:1] != ["off"]]
    found += location.effective("internal")
    found += [each for each in location.effective("deny") if each.args == ["all"]]
    found += location.own("secure_link")
    return found


def _protected(case: Case) -> t.Iterator[tuple[int, FilesLocation, t.Any]]:
    for number, each in enumerate(case.files_locations):
        guards = _guards(each.location)
        if guards:
            yield number, each, guards[0]


def _unprotected(case: Case, ground: _deliveries.Ground) -> t.Iterator[Probe]:
    """Yield files of a protected location that another one gives to everybody."""
    for number, each, _guard in _protected(case):
        names = ground.names(f"core.location.{number}.tree")
        chosen = _deliveries.one_of_each_suffix(names, SUFFIXES) or names[:1]
        seen: set[str] = set()
        count = 0
        for name in chosen:
            for url in _urls(case, each):
                target = url + _diagnosis_case.quoted(name)
                location = _open_to_all(case, each, target)
                if location is None or location.component in seen or count >= PROTECTED_ASKED:
                    continue
                seen.add(location.component)
                key = f"exposure.unprotected.{number}.{count}"
                count += 1
                yield Probe(key, target, location.directive, posixpath.join(each.directory, name))


def _urls(case: Case, protected: FilesLocation) -> t.Iterator[str]:
    """Yield the prefixes that lead to a protected directory: its own, and those of others around it."""
    yield _diagnosis_case.slashed(protected.url)
    is_internal = bool(protected.location.effective("internal"))
    for each in case.files_locations:
        if each.location is protected.location or not below(each.directory, protected.directory):
            continue
        # One that is only a fallback may well have the directory of another.
        is_fallback = is_internal and (
            each.directory == protected.directory or _is_referred_to(case, protected.url)
        )
        if not is_fallback:
            inside = posixpath.relpath(protected.directory, each.directory)
            yield _diagnosis_case.slashed(each.url) + ("" if inside == "." else inside + "/")


def _is_referred_to(case: Case, url: str) -> bool:
    """Return whether the server block itself sends requests to a location."""
    blocks = [
        _deliveries.server_of(case),
        *_diagnosis_sites.all_locations(_deliveries.server_of(case)),
    ]
    return any(
        argument.startswith(url)
        for block in blocks
        for directive in block.own("try_files", "error_page", "rewrite")
        for argument in directive.args
    )


def _open_to_all(case: Case, protected: FilesLocation, target: str) -> t.Any:
    """Return the location that opens a file of a protected one, if it asks nobody."""
    route = case.route(target)
    if route is None or route.kind != "file" or not route.locations:
        return None
    location = route.locations[-1]
    if location is protected.location or protected.location in route.locations:
        return None
    if _guards(location) or not below(protected.directory, posixpath.normpath(route.path or "/")):
        return None
    return location


def _guarded_suffixes(case: Case) -> t.Iterator[Probe]:
    """Yield suffixes that another location takes from a protected one, of which there is no file yet."""
    if not case.process:
        return
    ground = _deliveries.Ground(case)
    known = {_component(case, probe.target) for probe in _unprotected(case, ground)}
    for number, each, _guard in _protected(case):
        for suffix in SUFFIXES:
            url = _diagnosis_case.slashed(each.url)
            location = _open_to_all(case, each, f"{url}x{suffix}")
            inside = case.in_app(each.directory)
            if location is None or location.component in known or inside is None:
                continue
            known.add(location.component)
            key = f"exposure.guarded.{number}{suffix}"
            yield Probe(key, url, location.directive, inside)


def _component(case: Case, target: str) -> str:
    route = case.route(target)
    return str(route.locations[-1].component) if route and route.locations else ""


def _judge_unprotected(case: Case, findings: Findings, ground: _deliveries.Ground) -> None:
    for probe in (*_unprotected(case, ground), *_guarded_suffixes(case)):
        response = case.response(probe.key)
        if not _is_had(response):
            continue
        route = case.route(str(response.request["target"]))
        location = route.locations[-1] if route and route.locations else None
        if location is None:
            continue
        number = int(re.sub(r"\D.*", "", probe.key.split(".")[2]))
        protected = case.files_locations[number]
        guard = _guards(protected.location)[0]
        is_taken = str(response.request["target"]).startswith(protected.url)
        findings.add(
            Finding(
                "auth-bypassed",
                "error",
                location.component,
                f"{location} gives everybody files of {protected.location}, which has {guard} for them",
                f"{_shown([response])}; {guard} is at {guard.component}",
                f"Write location ^~ {protected.url} {{ at {protected.location.component}, which keeps regex "
                "locations away."
                if is_taken
                else f"Move {protected.directory} out of the directory that {location} serves, or repeat "
                f"{guard} in a location for that part of it.",
            ),
            subjects=[probe.path],
        )
