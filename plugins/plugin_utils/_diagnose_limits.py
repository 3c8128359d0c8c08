# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""Whether what the app takes gets through Nginx, who refuses what is too large, and where bodies wait.

No app is sent a body here that it could take for an upload: what is large is only announced, or refused by
Nginx on its way; what gets through is for a URL that the app has not.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _access_faults,
    _nginx_config,
    _nginx_headers,
    _nginx_routes,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._diagnosis_case import (
    ABSENT,
    Case,
    Response,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import (
    Finding,
    Findings,
)

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
# What a form has besides the file: boundaries, and a part's own headers.
FORM_BYTES = KIB
# An app that takes as much as this takes what anybody sends.
HUGE = GIB
DEFAULT_LIMIT = "1m"
# ngx_http_core_module: two pages of memory
DEFAULT_BUFFER = "16k"
TEMP_BYTES = 64 * KIB
TEMP_MOST_BYTES = 4 * MIB
ROUTES_LIMIT = 20

UPLOADS = re.compile(r"upload", re.IGNORECASE)
VARIABLE = re.compile(r"<[^<>]*>")
# Whose bodies Nginx may keep until they are complete: PROXY_request_buffering and so on
BUFFERED = ("proxy", "uwsgi", "fastcgi", "scgi")

# What Flask and Werkzeug compare or add up as numbers, and what they join to paths:
# https://flask.palletsprojects.com/en/stable/config/
NUMBERS = (
    "MAX_CONTENT_LENGTH",
    "MAX_FORM_MEMORY_SIZE",
    "MAX_FORM_PARTS",
    "SEND_FILE_MAX_AGE_DEFAULT",
)
NUMBER_TYPES = ("int", "float", "NoneType", "timedelta")
TEXTS = re.compile(
    r"(?:UPLOAD_FOLDER|MEDIA_ROOT|MEDIA_URL|APPLICATION_ROOT|PREFERRED_URL_SCHEME|SERVER_NAME)\Z|UPLOAD(?:ED_\w+|S_DEFAULT)_DEST\Z"
)
NO_TEXTS = ("int", "float", "bool", "list", "tuple", "dict", "set")
SWITCHES = ("DEBUG", "TESTING", "USE_X_SENDFILE")
# Text that says no, which Python takes for yes.
SAYS_NO = ("false", "no", "off", "0", "none", "null", "disabled")


@dataclasses.dataclass(frozen=True)
class Way:
    """How a body goes to a URL of the app's.

    :ivar level: the block whose limit counts.
    :ivar directive: the ``client_max_body_size`` that counts; ``None`` where it is Nginx's default.
    :ivar limit: in bytes; 0 is none.
    :ivar is_refused: whether it is too large there, by the length that it announces.
    """

    target: str
    method: str
    level: _nginx_config.Block
    directive: _nginx_config.Directive | None
    limit: int
    is_refused: bool


def questions(case: Case) -> t.Iterator[dict[str, t.Any]]:
    """Announce bodies that Nginx is expected to refuse; have one wait where bodies wait."""
    # Where Nginx runs with other than what is read here, a body might go where it should not.
    is_known = not case.nginx.get("changed_since_load")
    for key, way, size in _announced(case) if is_known else ():
        if _is_held(way.level):
            yield _announcement(case, key, way, size)
    chunked = _chunked_trap(case)
    if is_known and chunked and chunked[2]:
        _first, last, target = chunked
        yield case.request(
            "limits.chunked", target, method="POST", body_bytes=last.limit + 1, chunked=True
        )
    path = _temp_path(case)
    if path:
        yield {
            "kind": "paths",
            "id": "limits.temp",
            "path": path,
            "want": ["traverse", "write"],
            **case.nginx_user,
            **_view_of_nginx(case),
        }
        waiting = _waiting(case)
        if is_known and waiting:
            target, size = waiting
            yield case.request(
                "limits.temp.request",
                target,
                method="POST",
                body_bytes=size,
                headers={"Content-Type": "application/octet-stream"},
            )


def judge(case: Case, findings: Findings) -> None:
    _judge_types(case, findings)
    if not findings.of("nginx-not-serving"):
        types = [found.component for found in findings.of("config-type")]
        if case.config_key("MAX_CONTENT_LENGTH") not in types:
            _judge_limits(case, findings)
        _judge_temp(case, findings)


# The types of the app's config


def _judge_types(case: Case, findings: Findings) -> None:
    app = case.app or {}
    config = app.get("config") or {}
    for key, kind in sorted((app.get("config_types") or {}).items()):
        value = config.get(key)
        wanted = None
        if key in NUMBERS and kind not in NUMBER_TYPES:
            wanted = "a number"
        elif TEXTS.match(key) and kind in NO_TEXTS:
            wanted = "text"
        elif key in SWITCHES and kind == "str" and str(value).strip().lower() in SAYS_NO:
            wanted = "true or false"
        if wanted is None:
            continue
        findings.add(
            Finding(
                "config-type",
                "error",
                case.config_key(key),
                f"{key} is {value!r}, of Python's type {kind}, where {wanted} is needed: "
                + _consequence(key, wanted),
                f"app.config[{key!r}] is {value!r} ({kind})",
                _mend_type(key, value, wanted),
                "flask_app_env" if key != "MAX_CONTENT_LENGTH" else "flask_app_max_content_length",
            )
        )


def _consequence(key: str, wanted: str) -> str:
    if key == "MAX_CONTENT_LENGTH":
        return "each request with a form or file in it ends in an error 500"
    if wanted == "true or false":
        return "any text but an empty one counts as true"
    return "what uses it ends in an error 500"


def _mend_type(key: str, value: t.Any, wanted: str) -> str:
    if wanted == "true or false":
        return (
            f"Write {key} = False in Python, or FLASK_{key}=false in the environment, where "
            "from_prefixed_env() reads JSON, in lower case."
        )
    if wanted == "a number":
        size = _bytes(str(value))
        shown = str(size) if size else "a plain number, without a unit,"
        return (
            f"Write {shown} for {key}: without quotes in Python, or as FLASK_{key}={size or 16 * MIB} in the "
            "environment, where from_prefixed_env() reads JSON, which has no units."
        )
    return f"Write {key} as text, in quotes."


def _bytes(text: str) -> int | None:
    """Return the size that a text like ``16M`` or ``16 MiB`` means, or ``None``."""
    match = re.fullmatch(r"\s*(\d+)\s*([kmg]?)(?:i?b)?\s*", text, re.IGNORECASE)
    if not match:
        return None
    return int(match[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[match[2].lower()]


# Limits


def _app_limit(case: Case) -> int | None:
    """Return how large a body the app takes, by its own word; ``None`` where it does not limit it."""
    value = ((case.app or {}).get("config") or {}).get("MAX_CONTENT_LENGTH")
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _posts(case: Case) -> list[tuple[str, str, bool]]:
    """Return the app's URLs that take bodies: target, method, whether it is named an upload."""
    found: dict[str, tuple[str, str, bool]] = {}
    for rule in (case.app or {}).get("rules") or []:
        methods = [one for one in ("POST", "PUT", "PATCH") if one in (rule.get("methods") or [])]
        if methods and not rule.get("build_only"):
            target = case.public(VARIABLE.sub("1", rule["rule"]))
            is_upload = bool(UPLOADS.search(f"{rule['rule']} {rule['endpoint']}"))
            found.setdefault(target, (target, methods[0], is_upload))
    return sorted(found.values(), key=lambda one: not one[2])[:ROUTES_LIMIT]


def _takes_uploads(case: Case) -> bool:
    return bool(case.uploads) or any(is_upload for _target, _method, is_upload in _posts(case))


def _way(case: Case, target: str, method: str, size: int) -> Way | None:
    """Return who decides on a body of that size, or ``None`` where Nginx hands it to nobody."""
    route = _route(case, target, method, size)
    if route is None or route.level is None:
        return None
    is_refused = route.status == 413 or (
        route.error_page is not None and "413" in route.error_page.args[:-1]
    )
    if route.kind != "proxy" and not is_refused:
        return None
    return _way_at(route.level, target, method, is_refused)


def _way_at(level: _nginx_config.Block, target: str, method: str, is_refused: bool = False) -> Way:
    found = level.effective("client_max_body_size")
    directive = found[-1] if found and found[-1].args else None
    text = directive.args[0] if directive else DEFAULT_LIMIT
    return Way(target, method, level, directive, _nginx_headers.size(text), is_refused)


def _route(case: Case, target: str, method: str, size: int) -> t.Any:
    if case.config is None or case.server is None:
        return None
    return _nginx_routes.route(
        case.config,
        case.server,
        target,
        method=method,
        exists=lambda _path: None,
        host=case.host,
        port=case.listen[1],
        body_bytes=size,
    )


def _too_small(case: Case) -> list[Way]:
    """Return the ways on which Nginx refuses what the app takes."""
    limit = _app_limit(case)
    if limit is None:
        return _left_at_default(case)
    ways = [
        (_way(case, target, method, limit), is_upload) for target, method, is_upload in _posts(case)
    ]
    known = [(way, is_upload) for way, is_upload in ways if way is not None]
    small = [way for way, _is_upload in known if way.is_refused]
    # A form needs no limit like that of uploads. Where no name tells them apart, one that has it will do.
    named = [way for way, is_upload in known if is_upload]
    if named:
        small = [way for way in named if way.is_refused]
    elif len(small) < len(known):
        small = []
    return _each_once(small)


def _left_at_default(case: Case) -> list[Way]:
    """Return the ways of uploads that nobody wrote a limit for: neither in the app nor in Nginx."""
    if not _takes_uploads(case):
        return []
    posts = _posts(case)
    named = [(target, method) for target, method, is_upload in posts if is_upload]
    ways = [
        _way(case, target, method, 2 * MIB)
        for target, method in named or [(target, method) for target, method, _unused in posts]
    ]
    known = [way for way in ways if way is not None]
    default = [way for way in known if way.is_refused and way.directive is None]
    return _each_once(default) if named or len(default) == len(known) else []


def _each_once(ways: t.Sequence[Way]) -> list[Way]:
    """Return one way for each limit."""
    found: dict[t.Any, Way] = {}
    for way in ways:
        found.setdefault(id(way.directive or way.level), way)
    # What is written nowhere is missing in the server block, once.
    missing = [way for way in found.values() if way.directive is None]
    return [way for way in found.values() if way.directive is not None] + missing[:1]


def _close(case: Case) -> list[Way]:
    """Return the ways on which Nginx refuses what is just too large, before the app can."""
    limit = _app_limit(case)
    if limit is None or _too_small(case):
        return []
    ways = [
        _way(case, target, method, limit + FORM_BYTES) for target, method, _unused in _posts(case)
    ]
    return _each_once([way for way in ways if way and way.is_refused])


def _unlimited(case: Case) -> Way | None:
    """Return the way on which nobody limits an upload."""
    if case.app is None or _app_limit(case) is not None or not _takes_uploads(case):
        return None
    for target, method, _unused in _posts(case):
        way = _way(case, target, method, HUGE)
        if way is not None and not way.is_refused:
            return way
    return None


def _announced(case: Case) -> t.Iterator[tuple[str, Way, int]]:
    """Yield what is announced: a key, how it goes, its size."""
    limit = _app_limit(case)
    for n, way in enumerate(_too_small(case)):
        yield f"limits.small.{n}", way, limit if limit is not None else way.limit + MIB
    for n, way in enumerate(_close(case)):
        yield f"limits.close.{n}", way, (limit or 0) + FORM_BYTES
    unlimited = _unlimited(case)
    if unlimited is not None:
        yield "limits.unlimited", unlimited, 4 * HUGE


def _announcement(case: Case, key: str, way: Way, size: int) -> dict[str, t.Any]:
    return case.request(
        key,
        way.target,
        method=way.method,
        body_bytes=size,
        expect=True,
        headers={"Content-Type": "application/octet-stream"},
    )


def _is_refused(response: Response | None) -> bool:
    """Whether Nginx refused a body, also where a page of the app's says so for it."""
    if response is None or (response.status != 413 and not _says_too_large(response)):
        return False
    return response.is_page_of_nginx or _says_too_large(response) or not response.by_app


def _says_too_large(response: Response) -> bool:
    # ngx_http_core_find_config_phase(), ngx_http_read_client_request_body()
    return any("client intended to send too large" in line for line in response.log)


def _is_held(level: _nginx_config.Block) -> bool:
    """Whether Nginx hands nothing of a request on before it has all of its body.

    With buffering off, a view gets the request without its body: ngx_http_read_client_request_body().
    """
    buffered = all(level.is_on(f"{name}_request_buffering", True) for name in BUFFERED)
    return buffered and not any(block.own("grpc_pass") for block in level.ancestors())


def _is_nobodys(case: Case, target: str, level: _nginx_config.Block) -> bool:
    """Whether a POST to a URL runs no view: it gets to the app that was asked, which has none there."""
    app = case.app or {}
    rules = app.get("rules") or []
    if not rules or app.get("rules_total") != len(rules):
        return False
    blocks = list(level.ancestors())
    if not any(way.location in blocks for way in case.site.passes):
        return False
    return not any(
        "POST" in (rule.get("methods") or [])
        and re.fullmatch(_pattern(case.public(rule["rule"])), target)
        for rule in rules
    )


def _pattern(rule: str) -> str:
    """Return what a rule's URLs are like; a converter of an app's own may take slashes."""
    return ".+".join(re.escape(part) for part in VARIABLE.split(rule.rstrip("/"))) + "/?"


def _shown(response: Response, size: int) -> str:
    said = [line for line in response.log if "too large" in line][:1]
    return "; ".join([f"{response}, announced as {size} bytes", *said])


def _judge_limits(case: Case, findings: Findings) -> None:
    limit = _app_limit(case)
    if limit is not None and limit < FORM_BYTES and _takes_uploads(case):
        _find_tiny(case, findings, limit)
        return
    for key, way, size in _announced(case):
        response = case.response(key)
        if response is None:
            case.unseen.append(
                f"whether Nginx takes {size} bytes at {way.target} could not be asked"
            )
        elif key == "limits.unlimited":
            if response.status == 100:
                _find_unlimited(case, findings, way, response, size)
        elif not _is_refused(response):
            continue
        elif key.startswith("limits.small."):
            _find_too_small(case, findings, way, response, size)
        elif response.is_page_of_nginx or not response.by_app:
            _find_close(findings, way, response, size, limit or 0)
    _judge_chunked(case, findings)


def _find_too_small(
    case: Case, findings: Findings, way: Way, response: Response, size: int
) -> None:
    limit = _app_limit(case)
    written = (
        f"client_max_body_size is {way.directive.args[0]}"
        if way.directive
        else (f"no client_max_body_size is written, so it is {DEFAULT_LIMIT}")
    )
    wanted = _with_room(limit if limit is not None else 16 * MIB)
    where = "here" if way.directive else "into this server block"
    findings.add(
        Finding(
            "body-limit-nginx",
            "error" if limit is not None else "warning",
            _component(case, way),
            f"Nginx refuses bodies that the app takes: {written} at {way.target}"
            + (f", the app's MAX_CONTENT_LENGTH {limit} bytes" if limit is not None else ""),
            _shown(response, size),
            f"Write client_max_body_size {wanted}; {where}: a little more than the app takes, so that its own "
            "page answers. Then reload Nginx."
            + (
                ""
                if limit is not None
                else " Set MAX_CONTENT_LENGTH in the app to what it should take."
            ),
            "flask_site_client_max_body_size",
        ),
        subjects=[way.target],
    )


def _find_close(findings: Findings, way: Way, response: Response, size: int, limit: int) -> None:
    findings.add(
        Finding(
            "body-limit-unordered",
            "warning",
            way.directive.component if way.directive else way.level.component,
            f"Nginx's limit and the app's are the same ({limit} bytes): a file of the size that the app allows "
            "is too large with its form, and Nginx refuses it with a page of its own, not the app's",
            _shown(response, size),
            f"Write client_max_body_size {_with_room(limit)}; here, and reload Nginx.",
            "flask_site_client_max_body_size",
        ),
        subjects=[way.target],
    )


def _find_unlimited(
    case: Case, findings: Findings, way: Way, response: Response, size: int
) -> None:
    written = f"client_max_body_size is {way.directive.args[0]}" if way.directive else "no limit"
    findings.add(
        Finding(
            "body-limit-app",
            "warning",
            case.config_key("MAX_CONTENT_LENGTH"),
            f"nobody limits an upload: the app has no MAX_CONTENT_LENGTH, and Nginx's {written} at "
            f"{way.target}; one visitor can fill the disk",
            f"{response}, announced as {size} bytes: Nginx asks for them",
            f"Set MAX_CONTENT_LENGTH in the app (FLASK_MAX_CONTENT_LENGTH={16 * MIB} where it calls "
            f"from_prefixed_env()), and client_max_body_size {_with_room(16 * MIB)}; in Nginx.",
            "flask_app_max_content_length",
        )
    )


def _find_tiny(case: Case, findings: Findings, limit: int) -> None:
    findings.add(
        Finding(
            "body-limit-app",
            "error",
            case.config_key("MAX_CONTENT_LENGTH"),
            f"the app takes bodies of {limit} bytes: no form with a file in it is as small, so it refuses every "
            "upload; the number is one of bytes, without a unit",
            f"app.config['MAX_CONTENT_LENGTH'] is {limit}",
            f"Write the number of bytes: {max(limit, 1) * MIB} for {max(limit, 1)} MiB.",
            "flask_app_max_content_length",
        )
    )


def _component(case: Case, way: Way) -> str:
    if way.directive is not None:
        return way.directive.component
    return case.server.component if case.server else way.level.component


def _with_room(limit: int) -> str:
    """Return a size a tenth larger, as Nginx writes it."""
    size = max(limit + limit // 10, limit + 64 * KIB)
    return f"{-(-size // MIB)}m"


# A limit that only counts for bodies that announce their length


def _chunked_trap(case: Case) -> tuple[Way, Way, str] | None:
    """Return the limit of a location and the smaller one of where it hands on, and a URL to show it at.

    An announced length is compared where the request begins; that of a chunked body, which tells none,
    where it is read: ngx_http_core_find_config_phase(), ngx_http_request_body_chunked_filter().
    """
    if _too_small(case):
        return None
    limit = _app_limit(case)
    for target, method, _unused in _posts(case):
        last = _way(case, target, method, 0)
        if last is None or last.limit == 0 or (limit is not None and last.limit >= limit):
            continue
        # The first location refuses by its own limit; what it lets through goes on to the last.
        first = _first_limit(case, target, method, last.limit + 1)
        if first is None or not _is_held(last.level):
            continue
        beside = posixpath.join(posixpath.dirname(target), ABSENT)
        other = _way(case, beside, "POST", 0)
        if (
            other is None
            or other.level is not last.level
            or last.limit > TEMP_MOST_BYTES
            or not _is_nobodys(case, beside, last.level)
        ):
            beside = ""
        return first, last, beside
    return None


def _first_limit(case: Case, target: str, method: str, above: int) -> Way | None:
    """Return the limit that an announced body meets, if it is larger than where it is handed on."""
    way = _way(case, target, method, above)
    if way is None or way.is_refused:
        return None
    huge = _way(case, target, method, 1 << 62)
    return huge if huge is not None and huge.is_refused else None


def _judge_chunked(case: Case, findings: Findings) -> None:
    trap = _chunked_trap(case)
    if trap is None:
        return
    first, last, target = trap
    response = case.response("limits.chunked") if target else None
    if response is None or not _is_refused(response):
        return
    component = (first.directive or last.level.directive).component
    findings.add(
        Finding(
            "body-limit-unordered",
            "warning",
            component,
            f"this limit counts only for bodies that announce their length; a chunked one is compared with the "
            f"{last.limit} bytes of where the request is handed on, {last.level.component}",
            "; ".join(
                [
                    f"{response}, sent in chunks of together {last.limit + 1} bytes",
                    *response.log[:1],
                ]
            ),
            "Write client_max_body_size into the server block instead of this location, and reload Nginx.",
            "flask_site_client_max_body_size",
        ),
        subjects=[last.target],
    )


# Where bodies wait


def _proxy_level(case: Case) -> tuple[str, _nginx_config.Block] | None:
    """Return a URL that the app has not, below which Nginx hands all to it, and the block that does."""
    target = case.public("/" + ABSENT)
    route = _route(case, target, "POST", 0)
    if route is None or route.kind != "proxy" or route.level is None:
        return None
    return target, route.level


def _temp_path(case: Case) -> str | None:
    """Return the directory in which bodies wait for the app that don't fit into memory."""
    where = _proxy_level(case)
    if where is None or not _is_held(where[1]):
        return None
    nginx = case.nginx
    built = re.search(
        r"--http-client-body-temp-path=(\S+)", str(nginx.get("build_arguments") or "")
    )
    path = where[1].value("client_body_temp_path", built[1].strip("'\"") if built else "")
    return posixpath.join(str(nginx.get("prefix") or "/"), path) if path else None


def _waiting(case: Case) -> tuple[str, int] | None:
    """Return a URL and the size of a body for it that has to wait on disk, if that harms nobody."""
    where = _proxy_level(case)
    if where is None or case.app is None:
        return None
    target, level = where
    if not _is_nobodys(case, target, level):
        return None
    way = _way_at(level, target, "POST")
    buffer = _nginx_headers.size(level.value("client_body_buffer_size", DEFAULT_BUFFER))
    size = max(TEMP_BYTES, buffer + KIB)
    limits = [one for one in (way.limit, _app_limit(case)) if one]
    return (target, size) if size <= min([TEMP_MOST_BYTES, *limits]) else None


def _view_of_nginx(case: Case) -> dict[str, t.Any]:
    # Its unit may have a view of its own: ProtectSystem=, ReadOnlyPaths=, PrivateTmp= of systemd.exec(5)
    pid = case.nginx.get("master_pid")
    return {} if pid is None else {"process_id": pid}


def _judge_temp(case: Case, findings: Findings) -> None:
    path = _temp_path(case)
    if path is None:
        return
    access, response = case.answer("limits.temp"), case.response("limits.temp.request")
    lines = [
        line
        for line in (response.log if response else [])
        if path.rstrip("/") + "/" in line and " failed (" in line
    ]
    if response is not None:
        # What Nginx did with a body counts for more than what modes say.
        if response.status != 500 or not (response.is_page_of_nginx or lines):
            return
        if not lines and not (access and access.get("blocked_by")):
            return
    elif not access or not access.get("blocked_by"):
        return
    blocked = (access or {}).get("blocked_by") or {}
    component = str(blocked.get("component") or path)
    if findings.explained(component) or any("(28:" in line for line in lines):
        return
    user = str(case.nginx.get("worker_user") or "Nginx's user")
    fault = _access_faults.message(str(blocked.get("reason") or "not-writable"), user)
    shown = [str(response)] if response else []
    if blocked:
        shown.append(f"{component} {_access_faults.shown(blocked)}".rstrip())
    findings.add(
        Finding(
            "body-temp-unwritable",
            "error",
            component,
            f"bodies that don't fit into memory can't wait in {path}: {fault}; so larger "
            "uploads end in an error 500 that the app never sees",
            "; ".join([*shown, *lines[:1]]),
            _mend_temp(blocked or {"component": path}, path, user),
        ),
        subjects=[path],
    )


def _mend_temp(blocked: t.Mapping[str, t.Any], path: str, user: str) -> str:
    reason, component = str(blocked.get("reason")), str(blocked["component"])
    if component.rstrip("/") != path.rstrip("/") and reason != "missing":
        return _access_faults.mend(reason, blocked, user)
    if reason == "read-only-filesystem":
        return (
            "Name a directory on a writable file system by client_body_temp_path, and reload Nginx."
        )
    # ngx_create_paths()
    return f"Reload Nginx (systemctl reload nginx): it makes {path}, hands it to {user} and sees to mode 0700."
