# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""Which location answers for the app's files, and whether it is the one that has them.

https://nginx.org/en/docs/http/ngx_http_core_module.html#location: the longest prefix is looked for first,
and then a regex location takes the URL away from it, unless the prefix has ``^~``.
"""

from __future__ import annotations

import posixpath
import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _deliveries,
    _diagnosis_case,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import (
    Finding,
    Findings,
)

Case = _diagnosis_case.Case
Delivery = _deliveries.Delivery
Response = _diagnosis_case.Response
Question = dict[str, t.Any]

ENDPOINTS_ASKED = 20
LINKS_ASKED = 3
# A rule that hands out files by their name, as in development: Nginx does that in its place.
HANDS_OUT = re.compile(r"(/(?:.*/)?)<(?:(?:path|string)(?:\([^)]*\))?:)?\w+>\Z")
VARIABLE = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?\w+>")
CONVERTER_VALUES = {"int": "1", "float": "1.0", "uuid": "00000000-0000-0000-0000-000000000000"}
READING = {"GET", "HEAD", "OPTIONS"}
# Of disable_symlinks: openat() with O_NOFOLLOW.
LINK_LOGGED = re.compile(
    r"failed \((?:20: Not a directory|40: Too many levels of symbolic links)\)"
)


def questions(case: Case) -> t.Iterator[Question]:
    """Ask for files that another location than their prefix's takes, and for views below a prefix."""
    if case.server is None:
        return
    taken = [*_unasked(case), *_taken(case)]
    yield from _deliveries.file_questions(
        case, "routing", [*_deliveries.targets(case), *(each.target for each in taken)]
    )
    view = case.nginx_view if case.app is None else case.app_view
    for each in taken:
        if each.is_static:
            yield case.request(each.key, each.target)
            path = posixpath.join(each.folder, each.sample)
            source = {"path": path, "hash": True, **view}
            yield {"kind": "files", "id": each.source, **source}
        elif case.process:
            who = {**case.app_user, **case.app_view}
            suffix = posixpath.splitext(each.sample)[1]
            canary = {"directory": each.folder, "suffix": suffix, **who}
            yield {"kind": "canaries", "id": each.source, **canary}
            yield case.request(each.key, f"{each.url}{{canary:{each.source}}}")
    for key, _path, target, _directive in _links(case):
        yield case.request(key, target, method="HEAD")
    for number, (_rule, target, _each) in enumerate(_swallowed(case)):
        # Flask answers OPTIONS by itself, so no view is run; files know nothing of it.
        yield case.request(f"routing.endpoint.{number}", target, method="OPTIONS")


def _links(case: Case) -> t.Iterator[tuple[str, str, str, t.Any]]:
    """Yield links that lie where Nginx follows none, but those of the app's: it is those that it is for."""
    ground = _deliveries.Ground(case)
    for number, each in enumerate(case.files_locations):
        found = each.location.effective("disable_symlinks")
        if not found or found[-1].args[:1] == ["off"] or each.location.effective("internal"):
            continue
        answer = case.answer(f"core.location.{number}.tree") or {}
        owned = [
            entry["path"]
            for entry in answer.get("entries") or []
            if entry["type"] == "link" and entry.get("uid") != (case.process or {}).get("uid")
        ]
        for place, path in enumerate(sorted(owned)[:LINKS_ASKED]):
            name = ground.relative(answer["path"], path)
            target = _diagnosis_case.slashed(each.url) + _diagnosis_case.quoted(name)
            inside = posixpath.join(each.directory, name)
            yield f"routing.link.{number}.{place}", inside, target, found[-1]


def _unasked(case: Case) -> t.Iterator[Delivery]:
    """Yield a file of each prefix that Nginx serves, where no app says which are its own."""
    ground = _deliveries.Ground(case)
    for number, each in enumerate(case.files_locations if case.app is None else []):
        names = ground.names(f"core.location.{number}.tree")
        shown = _deliveries.one_of_each_suffix(names, _deliveries.LOADED)
        if shown and not each.location.effective("internal"):
            url = _diagnosis_case.slashed(each.url)
            key = f"routing.location.{number}"
            yield Delivery(key, True, "", url, each.directory, shown[0])


def _taken(case: Case) -> t.Iterator[Delivery]:
    """Yield files by whose suffix another location is chosen than for the one that all ask for."""
    ground = _deliveries.Ground(case)
    for delivery in _deliveries.deliveries(case):
        if not delivery.is_static:
            # There is none yet when this is asked.
            continue
        names = ground.names(f"{delivery.key}.tree")
        yield from _taken_from(case, delivery, names, _deliveries.LOADED)
    for delivery in _unasked(case):
        names = ground.names(f"core.location.{delivery.key.rpartition('.')[2]}.tree")
        yield from _taken_from(case, delivery, names, _deliveries.LOADED)
    if case.media_url and case.upload:
        upload, names = case.upload, [f"x{suffix}" for suffix in _deliveries.UPLOADED]
        media = Delivery("core.media", False, upload.key, case.media_url, upload.path, "x.txt")
        yield from _taken_from(case, media, names, _deliveries.UPLOADED)


def _taken_from(
    case: Case, delivery: Delivery, names: t.Iterable[str], suffixes: t.Sequence[str]
) -> t.Iterator[Delivery]:
    seen = {_chain(case.route(delivery.target))}
    for name in _deliveries.one_of_each_suffix(names, suffixes):
        key = f"routing.taken.{delivery.key}.{posixpath.splitext(name)[1]}"
        each = Delivery(key, delivery.is_static, delivery.name, delivery.url, delivery.folder, name)
        chain = _chain(case.route(each.target))
        if chain not in seen:
            seen.add(chain)
            yield each


def _chain(route: t.Any) -> tuple[str, ...]:
    """Return the locations that a route goes through, by where they are written."""
    return tuple(location.component for location in route.locations) if route else ()


def judge(case: Case, findings: Findings) -> None:
    """Find the location at fault for each file that doesn't come, or comes by the app."""
    if case.server is None or findings.of("nginx-not-serving", "server-name-mismatch"):
        return
    ground = _deliveries.Ground(case)
    _judge_shadowed_mounts(case, findings)
    for delivery in _deliveries.deliveries(case):
        _judge_delivery(case, findings, ground, delivery)
    for taken in (*_unasked(case), *_taken(case)):
        if taken.is_static or (case.answer(taken.source) or {}).get("written"):
            _judge_delivery(case, findings, ground, taken)
    _judge_links(case, findings)
    _judge_endpoints(case, findings)


def _judge_links(case: Case, findings: Findings) -> None:
    for key, path, target, directive in _links(case):
        response = case.response(key)
        logged = [line for line in response.log if LINK_LOGGED.search(line)] if response else []
        if not logged or _deliveries.is_explained(findings, path, target):
            continue
        findings.add(
            Finding(
                "symlink-blocked",
                "error",
                path,
                f"it is a link, and {directive} at {directive.component} keeps Nginx from following any "
                "in there, so nobody gets what it leads to",
                "; ".join([str(response), *logged[:1]]),
                "Put what it leads to in its place: move it there, or mount it there (mount --bind). Leave "
                "disable_symlinks on, since an upload can be a link too.",
            ),
            subjects=[target],
        )


def _judge_shadowed_mounts(case: Case, findings: Findings) -> None:
    for mount in case.static:
        if mount.shadowed_by:
            findings.add(
                Finding(
                    "blueprint-static-unreachable",
                    "error",
                    mount.endpoint,
                    f"nobody can reach the files of {mount.endpoint}: {mount.shadowed_by} answers for {mount.url}",
                    f"url_map: {mount.endpoint} is {mount.url}, {mount.folder}; {mount.shadowed_by} comes first",
                    "Give the blueprint a url_prefix or a static_url_path of its own: "
                    "https://flask.palletsprojects.com/en/stable/blueprints/#static-files",
                ),
                subjects=[mount.folder],
            )


def _judge_delivery(
    case: Case, findings: Findings, ground: _deliveries.Ground, delivery: Delivery
) -> None:
    response = case.response(delivery.key)
    if response is None or _deliveries.is_delivered(case, delivery) is not False:
        return
    target = str(response.request["target"])
    wanted, route = case.route(target), ground.route(target)
    path = wanted.path if wanted is not None else None
    if path is not None and path != delivery.folder:
        access = case.answer(f"{delivery.key}.path") or {}
        if access.get("allowed") is False and ground.type(path) is not None:
            # What stops Nginx on the way is no matter of locations.
            return
    if _deliveries.is_explained(findings, target, delivery.url, path):
        return
    by_app = _is_by_app(route, response)
    if by_app and findings.of("app-not-answering"):
        return
    judges = (
        _symlink_blocked,
        _mismatched,
        _shadowed,
        _in_another_mount,
        _served_by_app,
        _missing,
    )
    for each in judges:
        finding = each(case, ground, delivery, response, by_app)
        if finding is not None:
            # One that answers is no reason for anything else.
            is_broken = finding.severity == "error"
            findings.add(finding, subjects=[delivery.url] if is_broken else [])
            return


def _is_by_app(route: t.Any, response: Response) -> bool:
    is_passed = route is not None and route.kind == "proxy"
    return response.by_app or (is_passed and not response.is_page_of_nginx)


def _evidence(response: Response) -> str:
    etag = response.first("ETag")
    by = (
        f", ETag {etag} as Werkzeug writes it" if response.status == 200 and response.by_app else ""
    )
    return "; ".join([f"{response}{by}", *response.log[:1]])


def _symlink_blocked(
    case: Case, ground: _deliveries.Ground, delivery: Delivery, response: Response, by_app: bool
) -> Finding | None:
    route = case.route(str(response.request["target"]))
    location = route.locations[-1] if route and route.locations else None
    found = (location or _deliveries.server_of(case)).effective("disable_symlinks")
    if by_app or not found or found[-1].args[:1] == ["off"] or response.status not in (403, 404):
        return None
    directive = found[-1]
    logged = [line for line in response.log if LINK_LOGGED.search(line)]
    links = [
        component
        for component in (case.answer(f"{delivery.key}.path") or {}).get("components") or []
        if component.get("link")
    ]
    if not logged and not (links and ground.type(route.path or "") == "file"):
        return None
    link = f"{links[0]['path']} -> {links[0]['link']}" if links else "a link"
    has_from = any(argument.startswith("from=") for argument in directive.args)
    return Finding(
        "symlink-blocked",
        "error",
        directive.component,
        f"the path leads through {link}, and disable_symlinks "
        + (
            "forbids links in the directory that is served"
            if has_from
            else "forbids links anywhere on the way"
        ),
        "; ".join([str(response), *logged[:1], str(directive)]),
        "Put the file itself in the place of that link."
        if has_from
        else f"Write {directive} from=$document_root; so that only links in the directory itself are forbidden.",
    )


def _mismatched(
    case: Case, ground: _deliveries.Ground, delivery: Delivery, response: Response, by_app: bool
) -> Finding | None:
    """Find the location that has the app's own static files, at a prefix that the app links not to."""
    if not delivery.is_static or delivery.name != "static" or _own_location(case, delivery.url):
        return None
    urls = {mount.url for mount in case.static} | {case.media_url}
    folder = case.on_host(delivery.folder)
    for number, each in enumerate(case.files_locations):
        url = _diagnosis_case.slashed(each.url)
        if url in urls or each.location.own("internal"):
            continue
        names = ground.names(f"core.location.{number}.tree")
        if ground.real(each.directory) == folder or delivery.sample in names:
            return Finding(
                "static-url-mismatch",
                "warning" if response.status == 200 else "error",
                each.location.component,
                f"Nginx serves the app's static files at {url}, and the app's links say {delivery.url}",
                f"{_evidence(response)}; {each.location} leads to {each.directory}",
                f"Write location ^~ {delivery.url} there; or make the app's links so: "
                f"Flask(…, static_url_path={url.rstrip('/')!r}).",
            )
    return None


def _own_location(case: Case, url: str) -> t.Any:
    """Return the prefix location that is for a URL prefix alone: no other and no catch-all."""
    found = [
        location
        for location in _deliveries.server_of(case).locations
        if location.modifier in ("", "^~") and _diagnosis_case.slashed(location.pattern) == url
    ]
    return found[0] if found else None


def _shadowed(
    case: Case, ground: _deliveries.Ground, delivery: Delivery, response: Response, by_app: bool
) -> Finding | None:
    """Find the location that takes a file away from the one that has it."""
    target = str(response.request["target"])
    route = case.route(target)
    found = _deliveries.taken(case, ground, delivery, target, route)
    if found is None:
        return None
    rival, owner = found
    mend = (
        f"Write location ^~ {owner.pattern} {{ at {owner.component}, which keeps regex locations away."
        if rival.is_regex
        and owner in _deliveries.server_of(case).locations
        and owner.modifier != "^~"
        else f"Leave these files to {owner}: take this location away, or make it match less."
    )
    answerer = "hands it to the app" if by_app else f"answers {response.status}"
    return Finding(
        "location-shadowed",
        "error" if response.status != 200 else "warning",
        rival.component,
        f"{rival} takes {target} away from {owner}, which has the file, and {answerer}",
        f"{_evidence(response)}; {owner} is at {owner.component}",
        mend,
    )


def _in_another_mount(
    case: Case, ground: _deliveries.Ground, delivery: Delivery, response: Response, by_app: bool
) -> Finding | None:
    """Find the location for other files that a blueprint's lie below."""
    route = case.route(str(response.request["target"]))
    chain = route.locations if route else []
    if not delivery.is_static or "." not in delivery.name or by_app or not chain:
        return None
    location = chain[0]
    is_other = location.is_regex or (
        location.pattern.rstrip("/") and location.pattern.rstrip("/") != delivery.url.rstrip("/")
    )
    if not is_other or _own_location(case, delivery.url) or route.kind == "proxy":
        return None
    if not location.is_regex and location.pattern == case.prefix + "/":
        return None
    return Finding(
        "blueprint-static-unreachable",
        "error",
        location.component,
        f"{location} takes what is below {delivery.url}, and does not have the files of {delivery.name}",
        f"{_evidence(response)}; the app has {posixpath.join(delivery.folder, delivery.sample)}",
        f"Add location ^~ {delivery.url} {{ alias {delivery.folder}/; }} to {_deliveries.server_of(case).component}, or "
        "publish the blueprint's files to where this location looks.",
        "flask_static_root",
    )


def _served_by_app(
    case: Case, ground: _deliveries.Ground, delivery: Delivery, response: Response, by_app: bool
) -> Finding | None:
    # Others that serve files for an app (WhiteNoise, uWSGI's static-map, a cache) are somebody's choice.
    if response.status != 200 or not response.by_app:
        return None
    route = ground.route(str(response.request["target"]))
    chain = route.locations if route else []
    location = chain[-1] if chain else None
    if location is not None and (
        location.effective("proxy_cache") or location.effective("uwsgi_cache")
    ):
        return None
    wanted = case.route(str(response.request["target"]))
    first = wanted.locations[-1] if wanted and wanted.locations else None
    is_fallback = first is not location and first is not None
    own = first if is_fallback else location
    is_for_it = own is not None and (
        own.is_regex or _diagnosis_case.slashed(own.pattern) == delivery.url
    )
    what = "the app's static files" if delivery.is_static else "uploads"
    if is_for_it and own is not None:
        component, why = own.component, f"{own} hands them on"
        mend = f"Let it serve them: location ^~ {delivery.url} {{ alias {delivery.folder}/; }}"
    else:
        component, why = _deliveries.server_of(case).component, "no location is for them"
        mend = (
            f"Add location ^~ {delivery.url} {{ alias {delivery.folder}/; }} to this server block"
        )
    return Finding(
        "served-by-app",
        "warning",
        component,
        f"{what} at {delivery.url} come from the app, which is slower and holds its workers: {why}",
        _evidence(response),
        f"{mend}, and see that Nginx's user may read there.",
        "flask_static_root" if delivery.is_static else "flask_media_root",
    )


def _missing(
    case: Case, ground: _deliveries.Ground, delivery: Delivery, response: Response, by_app: bool
) -> Finding | None:
    if response.status not in (403, 404, 405):
        return None
    route = case.route(str(response.request["target"]))
    chain = route.locations if route else []
    location = chain[0] if chain else None
    is_for_it = location is not None and (
        location.is_regex
        or len(location.pattern.rstrip("/")) > len(case.prefix)
        or location.modifier == "="
    )
    if is_for_it:
        return None
    if by_app and delivery.is_static:
        # The app has a rule for these, so it was asked for something else: a matter of the proxy's.
        return None
    where = f"falls to {location}" if location is not None else "is for no location"
    what = "static files" if delivery.is_static else "uploads"
    return Finding(
        "location-missing",
        "error",
        _deliveries.server_of(case).component,
        f"no location is for {what} at {delivery.url}: a request for one {where}",
        _evidence(response) + (", by the app" if by_app else ""),
        f"Add location ^~ {delivery.url} {{ alias {delivery.folder}/; }} to this server block, and see that "
        "Nginx's user may read there.",
        "flask_static_root" if delivery.is_static else "flask_media_url",
    )


# Views below a prefix


def _swallowed(case: Case) -> t.Iterator[tuple[t.Mapping[str, t.Any], str, t.Any]]:
    """Yield the app's rules that a location of files takes, with a target for each."""
    mounts = {mount.endpoint for mount in case.static}
    open_ = [each for each in case.files_locations if not each.location.effective("internal")]
    urls = {_diagnosis_case.slashed(each.url) for each in open_}
    count = 0
    for rule in (case.app or {}).get("rules") or []:
        if rule.get("build_only") or rule["endpoint"] in mounts or count >= ENDPOINTS_ASKED:
            continue
        url = case.public(rule["rule"])
        hands_out = HANDS_OUT.match(url)
        methods = set(rule.get("methods") or ["GET"])
        if hands_out and methods <= READING and hands_out[1] in urls:
            continue
        target = VARIABLE.sub(lambda found: CONVERTER_VALUES.get(found[1] or "", "x"), url)
        if not any(target.startswith(url) for url in urls):
            continue
        method = "GET" if "GET" in methods else min(methods - READING, default="GET")
        route = case.route(target, method)
        if route is None or not route.locations or route.kind == "proxy":
            continue
        location = route.locations[0]
        for each in open_:
            if each.location is location or each.location in route.locations:
                count += 1
                yield rule, target, location
                break


def _judge_endpoints(case: Case, findings: Findings) -> None:
    taken: dict[str, list[tuple[t.Any, str, Response]]] = {}
    for number, (rule, _target, location) in enumerate(_swallowed(case)):
        response = case.response(f"routing.endpoint.{number}")
        if response is None or response.status not in (301, 403, 404, 405) or response.by_app:
            continue
        taken.setdefault(location.component, []).append((location, rule["rule"], response))
    for component, found in taken.items():
        location = found[0][0]
        rules = ", ".join(rule for _unused, rule, _response in found[:3])
        findings.add(
            Finding(
                "location-swallows-endpoint",
                "error",
                component,
                f"the app has views below {location.pattern} that no request reaches: {rules}",
                "; ".join(f"{response}, by Nginx" for _unused, _rule, response in found[:2]),
                f"Give the views another URL in the app; or add location = {found[0][2].request['target']} with "
                "the proxy_pass of the app.",
            )
        )
