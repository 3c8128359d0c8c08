# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""What gets lost between Nginx and the app: prefix and scheme of its links, files that one has the other send.

An app shows what it makes of a prefix and a scheme without running any code of its own: asked for a page
whose URL ends in a slash, but without that, its router answers with the URL that it should have been.
https://werkzeug.palletsprojects.com/en/stable/routing/#werkzeug.routing.Map (strict_slashes)
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
import typing as t
import urllib.parse

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _diagnosis_sites,
    _nginx_config,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._diagnosis_case import (
    ABSENT,
    CANARY,
    Case,
    FilesLocation,
    Response,
    quoted,
    slashed,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import (
    Finding,
    Findings,
)

PROXY_FIX = "app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1)"
PROXY_FIX_DOC = "https://flask.palletsprojects.com/en/stable/deploying/proxy_fix/"
# Links in the begin of a page
LINK = re.compile(r"""(?:href|src|action)=["']?([^"'\s>]+)""", re.IGNORECASE)
# As Gunicorn and ProxyFix know them: secure_scheme_headers, x_proto
SCHEME_HEADERS = ("x-forwarded-proto", "x-forwarded-protocol", "x-forwarded-ssl", "forwarded")
SCHEME_VALUES = ("$scheme", "https", "on", "$https")
SAMPLES_LIMIT = 4
# Methods of ngx_http_dav_module, each with what it refuses before it does anything: a body, part of a file.
# What else serves files answers 405. src/http/modules/ngx_http_dav_module.c
DAV_PROOFS: dict[str, tuple[dict[str, t.Any], int]] = {
    "DELETE": ({"body_bytes": 1}, 415),
    "MKCOL": ({"body_bytes": 1}, 415),
    "COPY": ({"body_bytes": 1}, 415),
    "MOVE": ({"body_bytes": 1}, 415),
    "PUT": ({"body_bytes": 0, "headers": {"Content-Range": "bytes 0-0/1"}}, 501),
}


@dataclasses.dataclass(frozen=True)
class Mounting:
    """How the app is told the prefix that the public finds it below.

    :ivar is_stripped: whether Nginx takes it off the path.
    :ivar script_name: what the app's server takes for it, or the empty text.
    :ivar forwarded: the value of X-Forwarded-Prefix that is sent, or the empty text.
    :ivar heeds: whether the app makes links by that header; ``None`` where nobody asked it.
    """

    way: _diagnosis_sites.Pass
    is_stripped: bool
    script_name: str
    forwarded: str
    heeds: bool | None


def questions(case: Case) -> t.Iterator[dict[str, t.Any]]:
    """Ask for redirects of the app's router, for a file of the app's own, for what should be internal."""
    if case.server is None:
        return
    page = _slashless(case)
    if page:
        # The router redirects this method too, and Flask answers it without the view.
        yield case.request("proxy.slash", case.public(page), method="OPTIONS")
    if _uses_sendfile(case):
        target = _file_of_app(case)
        direct = case.direct("proxy.sendfile", target) if target else None
        if direct:
            yield direct
    for key, _each, target in _accel_samples(case):
        yield case.request(key, target, method="HEAD")
    for key, _endpoint, _name, target in _accel_pages(case):
        yield case.request(key, target, method="HEAD")
    for key, _line, each, method in _dav(case):
        # Of files that are there try_files lets through no others: one of ours.
        is_own = each is case.media_location and case.upload is not None
        name = f"{{canary:{CANARY}}}" if is_own else ABSENT
        yield case.request(key, slashed(each.url) + name, method=method, **DAV_PROOFS[method][0])


def judge(case: Case, findings: Findings) -> None:
    if case.server is None or findings.of("nginx-not-serving"):
        return
    if not findings.of("app-not-answering"):
        _judge_prefix(case, findings)
        _judge_scheme(case, findings)
        _judge_sendfile(case, findings)
        _judge_accel_type(case, findings)
    _judge_accel_internal(case, findings)
    _judge_dav(case, findings)


# Prefix


def _slashless(case: Case) -> str | None:
    """Return a page's URL without its last slash, which the app's router answers itself."""
    rules = (case.app or {}).get("rules") or []
    known = {rule["rule"] for rule in rules}
    files = [slashed(each.url) for each in case.files_locations]
    for rule in rules:
        url = rule["rule"]
        is_page = url.endswith("/") and len(url) > 1 and "<" not in url
        if not is_page or rule.get("build_only") or "GET" not in (rule.get("methods") or []):
            continue
        # Its own name, or a rule for all, could be another page's.
        if url[:-1] in known or any(case.public(url).startswith(one) for one in files):
            continue
        route = case.route(case.public(url[:-1]), exists=lambda _path: None)
        if route is not None and route.kind == "proxy":
            return str(url[:-1])
    return None


def _mounting(case: Case) -> Mounting | None:
    """Return how the app is told its prefix; ``None`` where it has none, or Nginx's way is not known."""
    if not case.prefix:
        return None
    route = case.route(case.public(f"/{ABSENT}"), exists=lambda _path: None)
    if route is None or route.kind != "proxy" or route.level is None:
        return None
    ways = [way for way in case.site.passes if way.location is route.location]
    if not ways:
        return None
    script_name = str((case.process or {}).get("script_name") or "")
    for name, value in _sent(route.level).items():
        if name in ("script_name", "script-name") and not value.startswith("$"):
            script_name = value
    return Mounting(
        ways[0],
        not str(route.upstream_uri or "").startswith(case.prefix + "/"),
        script_name.rstrip("/"),
        _sent(route.level).get("x-forwarded-prefix", ""),
        (case.app or {}).get("heeds_forwarded_prefix"),
    )


def _sent(level: _nginx_config.Block) -> dict[str, str]:
    """Return the headers that Nginx sets on the way to the app, and uWSGI's variables likewise."""
    found = {}
    for name in ("proxy_set_header", "uwsgi_param"):
        for line in level.effective(name):
            if len(line.args) > 1:
                found[line.args[0].lower()] = line.args[1]
    return found


def _links(response: Response | None) -> list[str]:
    return LINK.findall(response.head) if response is not None and response.status == 200 else []


def _twice(case: Case, mounting: Mounting, seen: list[str]) -> Finding:
    """Return what is wrong where Nginx and SCRIPT_NAME don't agree who takes the prefix off."""
    prefix, way = case.prefix, mounting.way
    bare = _without_uri(way)
    if mounting.is_stripped:
        return Finding(
            "proxy-prefix-lost",
            "error",
            way.directive.component,
            f"Nginx takes {prefix} off the path, and the app's server wants it there (SCRIPT_NAME={mounting.script_name})",
            "; ".join(seen),
            f"Let Nginx leave the path as it is (proxy_pass {bare};), since SCRIPT_NAME is set; or take "
            "SCRIPT_NAME out and send X-Forwarded-Prefix.",
            "flask_site_url_prefix",
        )
    return Finding(
        "proxy-prefix-doubled",
        "error",
        way.directive.component,
        f"the prefix {prefix} counts twice: Nginx leaves it on the path, and tells the app that it stands before that",
        "; ".join(seen),
        f"Let Nginx take it off: write proxy_pass {bare}/; here.",
        "flask_site_url_prefix",
    )


def _judge_prefix(case: Case, findings: Findings) -> None:
    mounting = _mounting(case)
    page, slash = case.response("core.app"), case.response("proxy.slash")
    if mounting is None or page is None:
        return
    prefix = case.prefix
    doubled = prefix + prefix + "/"
    told = bool(mounting.script_name) or (bool(mounting.forwarded) and mounting.heeds is not False)
    links = [*_links(page), *([slash.first("Location")] if slash is not None else [])]
    paths = [urllib.parse.urlsplit(link).path for link in links]
    if any(path.startswith(doubled) for path in paths) or _is_told_twice(mounting, page):
        seen = [str(page), *_shown_links(links, doubled)]
        findings.add(_twice(case, mounting, seen), subjects=[case.public("/")])
        return
    if any(path == prefix or path.startswith(prefix + "/") for path in paths):
        return
    bare = [path for path in paths if _is_of_app(case, path)]
    is_unknown = not mounting.is_stripped and not mounting.script_name and page.status == 404
    is_certain = not told and mounting.heeds is not None and (page.status or 0) < 400
    # Where no link is to be seen, what the app says of itself holds for each that it makes.
    if not bare and not (is_unknown and page.by_app) and not is_certain:
        return
    if not mounting.is_stripped and mounting.script_name:
        return
    component, message, fix = _lost(case, mounting)
    findings.add(
        Finding(
            "proxy-prefix-lost",
            "error",
            component,
            message,
            "; ".join([str(page), *[f"link to {path}" for path in dict.fromkeys(bare)][:3]])
            or str(page),
            fix,
            "flask_site_url_prefix",
        ),
        subjects=[case.public("/")],
    )


def _is_told_twice(mounting: Mounting, page: Response) -> bool:
    if mounting.is_stripped:
        # Gunicorn: a path that does not begin with SCRIPT_NAME ends in an error
        return bool(mounting.script_name) and (page.status or 0) >= 500
    is_told = bool(mounting.forwarded) and bool(mounting.heeds)
    return is_told and not mounting.script_name and page.status == 404


def _is_of_app(case: Case, path: str) -> bool:
    """Whether a link leads to a page or file of the app's, as it would be without a prefix."""
    app = case.app or {}
    mounts = [mount["url"] for mount in app.get("mounts") or []]
    pages = [rule["rule"] for rule in app.get("rules") or [] if "<" not in rule["rule"]]
    return path in pages or any(path.startswith(url) for url in mounts)


def _shown_links(links: t.Sequence[str], part: str) -> list[str]:
    return [f"link to {link}" for link in dict.fromkeys(links) if part in link][:2]


def _without_uri(way: _diagnosis_sites.Pass) -> str:
    written = way.directive.args[0]
    if way.uri is None or not written.endswith(way.uri):
        return written
    return written[: len(written) - len(way.uri)].rstrip(":") if way.uri else written


def _lost(case: Case, mounting: Mounting) -> tuple[str, str, str]:
    """Return component, message and mend of links that lack the prefix."""
    prefix, way = case.prefix, mounting.way
    name = str((case.process or {}).get("callable") or case.name)
    lead_out = f"so its links and redirects lead out of {prefix}"
    if not mounting.is_stripped:
        return (
            way.directive.component,
            f"the app is asked for paths with {prefix}, which it knows nothing of: SCRIPT_NAME is not set",
            (
                f"Write proxy_pass {_without_uri(way)}/; here and proxy_set_header X-Forwarded-Prefix {prefix};, with {PROXY_FIX} "
                f"in the app; or start the app's server with SCRIPT_NAME={prefix} in its environment."
            ),
        )
    if not mounting.forwarded:
        return (
            way.location.component,
            f"Nginx takes {prefix} off the path and does not tell the app, {lead_out}",
            f"Write proxy_set_header X-Forwarded-Prefix {prefix}; into this location"
            + ("." if mounting.heeds else f", and wrap the app: {PROXY_FIX} ({PROXY_FIX_DOC})."),
        )
    return (
        name,
        f"the app does not heed X-Forwarded-Prefix, which Nginx sends, {lead_out}",
        f"Wrap the app: {PROXY_FIX} ({PROXY_FIX_DOC}).",
    )


# Scheme


def _judge_scheme(case: Case, findings: Findings) -> None:
    if not case.listen[2]:
        return
    route = case.route(case.public(f"/{ABSENT}"), exists=lambda _path: None)
    if route is None or route.kind != "proxy" or route.level is None or route.location is None:
        return
    page, slash = case.response("core.app"), case.response("proxy.slash")
    links = [*_links(page)]
    links += [one.first("Location") for one in (page, slash) if one is not None]
    own = [link for link in links if urllib.parse.urlsplit(link).hostname == case.host]
    plain = [link for link in own if link.startswith("http://")]
    if own and not plain:
        return
    lines = _scheme_lines(route.level)
    wrong = [
        line
        for line in lines
        if line.args[1].lower() not in SCHEME_VALUES and "proto" not in line.args[1]
    ]
    is_sent = bool(lines) and not wrong
    if not plain and (is_sent or case.app is None or _speaks_tls(route.level)):
        return
    shown = [f"link to {link}" for link in dict.fromkeys(plain)][:2] or [
        "no X-Forwarded-Proto is sent"
    ]
    component, message, fix = _scheme_fault(case, route.location, wrong, is_sent)
    findings.add(
        Finding(
            "scheme-not-forwarded",
            "error" if plain else "warning",
            component,
            f"{message}, so it makes links and redirects of http:// on a site of https://",
            "; ".join([str(one) for one in (slash or page,) if one is not None] + shown),
            fix,
            None if is_sent else "flask_site_proxy",
        )
    )


def _scheme_lines(level: _nginx_config.Block) -> list[_nginx_config.Directive]:
    found = [
        line
        for line in level.effective("proxy_set_header")
        if len(line.args) > 1 and line.args[0].lower() in SCHEME_HEADERS and line.args[1]
    ]
    found += [
        line
        for line in level.effective("uwsgi_param")
        if len(line.args) > 1
        and line.args[0] in ("HTTPS", "UWSGI_SCHEME", "HTTP_X_FORWARDED_PROTO")
    ]
    return found


def _speaks_tls(level: _nginx_config.Block) -> bool:
    return any(one.args[:1] and one.args[0].startswith("https:") for one in level.own("proxy_pass"))


def _scheme_fault(
    case: Case,
    location: _nginx_config.Location,
    wrong: t.Sequence[_nginx_config.Directive],
    is_sent: bool,
) -> tuple[str, str, str]:
    if wrong:
        line = wrong[-1]
        return (
            line.component,
            f"Nginx tells the app {line.args[1]!r} for the scheme, whatever the visitor's is",
            f"Write {line.name} {line.args[0]} $scheme; here, and reload Nginx.",
        )
    if not is_sent:
        return (
            location.component,
            "Nginx does not tell the app the visitor's scheme",
            (
                "Write proxy_set_header X-Forwarded-Proto $scheme; into this location (with the other headers: a location that "
                "sets one inherits none), and reload Nginx."
            ),
        )
    container = (case.container or {}).get("name")
    process = case.process or {}
    if container and process.get("server") == "gunicorn":
        return (
            str(container),
            (
                "Gunicorn does not trust the scheme that Nginx tells it: in a container, Nginx comes from the engine's bridge, "
                "and it trusts 127.0.0.1 alone"
            ),
            (
                "Start Gunicorn with --forwarded-allow-ips and the bridge's address (docker network inspect), or wrap the "
                f"app: {PROXY_FIX} ({PROXY_FIX_DOC}). Publish the port on 127.0.0.1 only."
            ),
        )
    return (
        str(process.get("callable") or case.name),
        "the app does not heed the scheme that Nginx tells it",
        f"Wrap the app: {PROXY_FIX} ({PROXY_FIX_DOC}).",
    )


# Files that the app has Nginx send


def _uses_sendfile(case: Case) -> bool:
    return bool(((case.app or {}).get("config") or {}).get("USE_X_SENDFILE"))


def _file_of_app(case: Case) -> str | None:
    """Return the URL of a static file, as the app itself is asked for it."""
    script_name = str((case.process or {}).get("script_name") or "").rstrip("/")
    for mount in case.static:
        sample = case.sample(mount)
        if sample and not mount.shadowed_by:
            own = mount.url[len(case.prefix) :]
            return script_name + own + quoted(sample)
    return None


def _judge_sendfile(case: Case, findings: Findings) -> None:
    if not _uses_sendfile(case):
        return
    response = case.response("proxy.sendfile")
    if response is None:
        case.unseen.append(
            "USE_X_SENDFILE is on; whether anything heeds it could not be asked of the app"
        )
        return
    leaked = response.first("X-Sendfile")
    # Where something turns it into X-Accel-Redirect, Nginx does know it.
    if not leaked or response.first("X-Accel-Redirect"):
        return
    written = ((case.app or {}).get("config_types") or {}).get("USE_X_SENDFILE")
    component = case.config_key("USE_X_SENDFILE")
    if written == "str" and any(one.component == component for one in findings.of("config-type")):
        return
    findings.add(
        Finding(
            "sendfile-header",
            "error",
            component,
            "the app leaves its files to the server before it by X-Sendfile, which Nginx does not know: each file that it "
            "sends arrives empty, and the header tells its path on this host",
            f"asked directly, {response}: X-Sendfile: {leaked}, {response.answer.get('length')} bytes",
            "Set USE_X_SENDFILE to False. To have Nginx send files, answer with X-Accel-Redirect and the URL of an "
            "internal location.",
            "flask_media_areas",
        )
    )


def _accel_prefixes(case: Case) -> list[str]:
    """Return the URL prefixes that the app may name by X-Accel-Redirect, by its code and config."""
    app = case.app or {}
    redirects = app.get("accel_redirects") or []
    found = [path for one in redirects for path in one["paths"]]
    for key, value in (app.get("config") or {}).items():
        if "ACCEL" in key and isinstance(value, str) and value.startswith("/"):
            found.append(value)
    # What an app writes for links has its place among its own rules.
    rules = {rule["rule"] for rule in app.get("rules") or []}
    return [path for path in dict.fromkeys(found) if len(path) > 1 and path not in rules]


def _accel_locations(case: Case) -> list[tuple[int, FilesLocation]]:
    """Return the locations that the app has Nginx send files from."""
    prefixes = _accel_prefixes(case)
    return [
        (n, each)
        for n, each in enumerate(case.files_locations)
        if any(slashed(prefix).startswith(slashed(each.url)) for prefix in prefixes)
    ]


def _files_of(case: Case, n: int, each: FilesLocation) -> list[str]:
    tree = case.answer(f"core.location.{n}.tree") or {}
    names = [
        posixpath.relpath(entry["path"], each.directory)
        for entry in tree.get("entries") or []
        if entry["type"] == "file"
    ]
    return sorted(
        name for name in names if not any(part.startswith(".") for part in name.split("/"))
    )


def _accel_samples(case: Case) -> list[tuple[str, FilesLocation, str]]:
    """Return a file of each, or the directory, as a visitor would ask for it."""
    found = []
    for n, each in _accel_locations(case):
        names = _files_of(case, n, each)
        target = slashed(each.url) + (quoted(names[0]) if names else "")
        found.append((f"proxy.accel.{n}", each, target))
    return found


def _judge_accel_internal(case: Case, findings: Findings) -> None:
    for key, each, target in _accel_samples(case):
        response = case.response(key)
        if response is None or each.location.effective("internal"):
            continue
        # Of a directory, 403 says that visitors get there: an internal location is 404 to them.
        is_open = response.status == 200 and response.by_nginx
        is_open = is_open or (response.status == 403 and target.endswith("/"))
        route = case.route(target)
        guarded = route is not None and bool(route.guards)
        if not is_open or guarded or findings.explained(target):
            continue
        findings.add(
            Finding(
                "accel-not-internal",
                "error",
                each.location.component,
                "the app decides who gets these files and then names them to Nginx (X-Accel-Redirect), but any visitor can "
                "name them too: this location is not internal",
                f"{response}, without asking the app",
                "Write internal; into this location, and reload Nginx.",
                "flask_media_areas",
            ),
            subjects=[slashed(each.url)],
        )


def _accel_pages(case: Case) -> list[tuple[str, str, str, str]]:
    """Return pages of the app's that have a file sent: key, endpoint, the file, and the URL.

    Asked by HEAD: nobody reads the file. Who needs to be known there is not let in, and nothing is told.
    """
    app = case.app or {}
    endpoints = {one["endpoint"] for one in app.get("accel_redirects") or []}
    found: list[tuple[str, str, str, str]] = []
    for n, each in _accel_locations(case):
        names = [name for name in _files_of(case, n, each) if not name.endswith((".html", ".htm"))]
        for rule in app.get("rules") or []:
            is_one = len(re.findall(r"<[^<>]*>", rule["rule"])) == 1
            if rule["endpoint"] not in endpoints or not is_one or "HEAD" not in rule["methods"]:
                continue
            takes_paths = "<path:" in rule["rule"]
            fit = [name for name in names if takes_paths or "/" not in name]
            if fit:
                head, _variable, tail = re.split(r"(<[^<>]*>)", rule["rule"], maxsplit=1)
                url = head + quoted(fit[0]) + tail
                found.append(
                    (f"proxy.accel.page.{len(found)}", rule["endpoint"], fit[0], case.public(url))
                )
    return found[:SAMPLES_LIMIT]


def _judge_accel_type(case: Case, findings: Findings) -> None:
    for key, endpoint, name, _target in _accel_pages(case):
        response = case.response(key)
        if response is None or response.status != 200 or not response.by_nginx:
            continue
        kind = response.first("Content-Type")
        if not kind.startswith("text/html"):
            continue
        is_download = response.first("Content-Disposition").startswith("attachment")
        findings.add(
            Finding(
                "accel-content-type",
                "warning" if is_download else "error",
                endpoint,
                f"{name} is sent as {kind}: Flask's own default for a response stays with it when Nginx sends the file, so "
                "browsers take whatever it is for a page of the site",
                f"{response}: Content-Type: {kind}",
                "Set the type in that view: response.content_type = mimetypes.guess_type(name)[0] or "
                "'application/octet-stream'; or take it out (del response.headers['Content-Type']), and Nginx sets it "
                "by the name.",
                "flask_media_areas",
            )
        )


# Writing by HTTP


def _dav(case: Case) -> list[tuple[str, _nginx_config.Directive, FilesLocation, str]]:
    """Return where files can be written by HTTP, with a method to show it by."""
    found: list[tuple[str, _nginx_config.Directive, FilesLocation, str]] = []
    for each in case.files_locations:
        if each.location.effective("internal"):
            continue
        for line in each.location.effective("dav_methods")[-1:]:
            methods = [method for method in DAV_PROOFS if method in line.args]
            if methods:
                found.append((f"proxy.dav.{len(found)}", line, each, methods[0]))
    return found[:SAMPLES_LIMIT]


def _judge_dav(case: Case, findings: Findings) -> None:
    for key, line, each, method in _dav(case):
        response, status = case.response(key), DAV_PROOFS[method][1]
        if response is None or response.status != status:
            continue
        findings.add(
            Finding(
                "dav-on-media",
                "error",
                line.component,
                f"visitors can write and delete below {each.url} by {' '.join(line.args)}, past the app",
                f"{response}: only the module that {method} is for says so; it would be 405 else",
                "Take this line out, and reload Nginx: the app alone writes uploads.",
            )
        )
