# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""The media areas of an app: where each lies, at which URLs, and who may read it.

One of them is the main area, at ``flask_media_url`` and in ``flask_media_root``: it is the app's
``UPLOAD_FOLDER``. By default it is the only one.
"""

from __future__ import annotations

import json
import posixpath
import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _media_mount,
    _signed_url,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._directories import (
    TOO_WIDE_DIRECTORIES,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._rules import (
    Problem,
    Values,
    contains,
    overlap,
    parse_size,
    public,
    size_or_none,
    upstream,
    url_problem,
)

Area = dict[str, t.Any]

# https://nginx.org/en/docs/http/ngx_http_limit_req_module.html#limit_req_zone
RATE = re.compile(r"[1-9]\d*r/[sm]\Z")
# https://www.w3.org/TR/CSP3/#directive-sandbox: without flags a document has no origin and no script.
SANDBOX = "default-src 'none'; sandbox; frame-ancestors 'none'"
PDF = "application/pdf"
# Chromium's viewer was an embedded object with styles, which no flag of a sandbox let in; that of
# Chromium 156 is a frame of its own and would pass. PDF's own script never has a page's origin.
PDF_POLICY = (
    "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"
)
# The others are guarded by the app's cookies, which another domain does not get.
ACCESS_ON_MEDIA_DOMAIN = ("public", "signed")
# A location of the app's own, without what Nginx or a request line would read as something else.
APP_URL = re.compile(r"/[A-Za-z0-9_.~/-]*\Z")

UPLOAD_LIMITS = ("client_max_body_size", "upload_rate")

MIME_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]+\Z")
EXTENSION = re.compile(r"[a-z0-9]+\Z")
# What runs script where it is shown, or is script or style to a page of the same origin, which nosniff
# lets through by its type: https://fetch.spec.whatwg.org/#x-content-type-options-header
# XML may name a style sheet that makes HTML of it; multipart and message hide the types of their parts.
ACTIVE_TYPE = re.compile(
    r"""text/(?:html|css|xsl|jscript|livescript)
    | [^/]+/(?:.*[.+-])?(?:xml|xslt?|xhtml)(?:[.+-].*)?
    | [^/]+/.*(?:java|ecma|j)script.*
    | multipart/.*
    | message/.*
    """,
    re.VERBOSE,
)


def areas_of(values: Values) -> list[Area]:
    """Return the areas as they were described, each completed; the main one first.

    An area without a directory of its own gets one beside ``flask_media_root``, named after its URL.
    """
    parent = posixpath.dirname(values["flask_media_root"])
    found = []
    for item in values["flask_media_areas"]:
        url = item["url"]
        is_main = url == values["flask_media_url"]
        own = posixpath.join(parent, "-".join(part for part in url.split("/") if part))
        found.append(
            {
                **item,
                "is_main": is_main,
                "root": values["flask_media_root"] if is_main else item.get("root") or own,
                "inline_types": item["inline_types"]
                if item.get("inline_types") is not None
                else values["flask_media_inline_types"],
            }
        )
    return sorted(found, key=lambda area: not area["is_main"])


def roots(values: Values) -> dict[str, str]:
    """Return the directories of all areas by the variable that says which, the main one's first."""
    urls = [item["url"] for item in values["flask_media_areas"]]
    return {
        "flask_media_root"
        if area["is_main"]
        else f"flask_media_areas[{urls.index(area['url'])}].root": area["root"]
        for area in areas_of(values)
    }


def problems(values: Values) -> t.Iterator[Problem]:
    """Yield what can't work in ``flask_media_areas`` on any host."""
    items = values["flask_media_areas"]
    main = [item for item in items if item["url"] == values["flask_media_url"]]
    if len(main) != 1:
        yield Problem(
            "flask_media_areas",
            [item["url"] for item in items],
            f"{'none' if not main else 'more than one'} of them is at flask_media_url, "
            f"{values['flask_media_url']!r}, which is the app's UPLOAD_FOLDER",
            "Write one area with that url, or set flask_media_url to the url of the area that is",
        )
        return
    taken: list[Area] = []
    for index, area in enumerate(areas_of(values)):
        name = f"flask_media_areas[{_index_of(items, area, index)}]"
        problem = None if area["is_main"] else url_problem(f"{name}.url", area["url"])
        if problem:
            yield problem
            return
        item = items[_index_of(items, area, index)]
        problem = None if item.get("root") else _default_root_problem(name, area, values)
        if problem:
            yield problem
            return
        yield from _place_problems(name, area, taken, values)
        yield from _access_problems(name, area, values)
        yield from _upload_problems(name, area, values)
        if item.get("inline_types") is not None:
            yield from inline_type_problems(f"{name}.inline_types", area["inline_types"])
        taken.append(area)
    yield from _signing_key_problems(values)


def _index_of(items: t.Sequence[Values], area: Area, default: int) -> int:
    return next((i for i, item in enumerate(items) if item["url"] == area["url"]), default)


def _default_root_problem(name: str, area: Area, values: Values) -> Problem | None:
    """Return where a directory that nobody has written could be the system's, as /var/log is."""
    root, main = area["root"], values["flask_media_root"]
    if area["is_main"] or posixpath.dirname(main) not in TOO_WIDE_DIRECTORIES:
        return None
    return Problem(
        f"{name}.root",
        None,
        f"it would be {root!r}, beside flask_media_root, {main!r}, where others have directories too",
        f"Write a directory of its own, such as '{main}-{posixpath.basename(root)}'",
    )


def _place_problems(
    name: str, area: Area, taken: t.Sequence[Area], values: Values
) -> t.Iterator[Problem]:
    if area["is_main"]:
        told = {item["url"]: item.get("root") for item in values["flask_media_areas"]}[area["url"]]
        if told and posixpath.normpath(told) != values["flask_media_root"]:
            yield Problem(
                f"{name}.root",
                told,
                f"flask_media_root is {values['flask_media_root']!r}, and this is the main area",
                "Leave it unset, and set flask_media_root",
            )
    for other in taken:
        if overlap(area["url"], other["url"]):
            yield Problem(
                f"{name}.url",
                area["url"],
                f"the area at {other['url']!r} is the same or nested, so its rules would not hold there",
                "Write a prefix of its own, such as '/documents/'",
            )
        if overlap(area["root"], other["root"]):
            yield Problem(
                f"{name}.root",
                area["root"],
                f"the area at {other['url']!r} has {other['root']!r}: what is private in one could be "
                "had from the other",
                "Write a directory of its own, or leave it unset",
            )
    for former in values["flask_media_former_urls"]:
        if not area["is_main"] and overlap(area["url"], former):
            yield Problem(
                f"{name}.url",
                area["url"],
                f"flask_media_former_urls has {former!r}, at which the main area is served",
                "Write a prefix of its own, such as '/documents/'",
            )


def _access_problems(name: str, area: Area, values: Values) -> t.Iterator[Problem]:
    access, auth_url = area["access"], area.get("auth_url")
    if access == "auth_request":
        reason = _auth_url_reason(auth_url, area)
        if reason:
            yield Problem(
                f"{name}.auth_url",
                auth_url,
                reason,
                "Write the URL of the app's that answers 204, 401 or 403, such as '/may-read'",
            )
    elif auth_url:
        yield Problem(
            f"{name}.auth_url",
            auth_url,
            f"access is {access!r}, so nobody would be asked",
            "Leave it unset, or set access to 'auth_request'",
        )
    if access == "accel" and area["is_main"] and values["flask_media_former_urls"]:
        yield Problem(
            f"{name}.access",
            access,
            "the app answers for its own URLs only, so flask_media_former_urls, "
            f"{values['flask_media_former_urls']!r}, would lead nowhere",
            "Leave flask_media_former_urls empty, and redirect in the app; or write another access",
        )
    if area["cache_seconds"] < 0:
        yield Problem(
            f"{name}.cache_seconds",
            area["cache_seconds"],
            "it is no length of time",
            "Write 0, or a number of seconds",
        )


def _parts(url: str) -> list[str]:
    """Return the parts of an app's URL, of which one slash at the end makes none."""
    return url[1:].removesuffix("/").split("/")


def _auth_url_reason(auth_url: str | None, area: Area) -> str | None:
    if not auth_url or not APP_URL.match(auth_url):
        return "Nginx would not know whom to ask"
    parts = _parts(auth_url)
    if "" in parts:
        # Any 2xx lets a visitor read:
        # https://nginx.org/en/docs/http/ngx_http_auth_request_module.html
        return "it is the app's page itself or has an empty part, and what answers 200 lets everybody read"
    if "." in parts or ".." in parts:
        return "Nginx sends it to the app as it is, and the app may read it as another"
    if contains(area["url"], auth_url):
        return f"it is in the area itself, {area['url']!r}, which Nginx serves"
    return None


def _signing_key_problems(values: Values) -> t.Iterator[Problem]:
    """Yield what is wrong with the key, which is a secret: it is never shown."""
    variable, key = "flask_media_signing_key", values.get("flask_media_signing_key")
    advice = "Write what `openssl rand -hex 32` prints, and keep it in Ansible Vault"
    if not key:
        if is_signed(values):
            yield Problem(variable, key, "an area is signed, and nothing to sign with", advice)
        return
    hidden = "(hidden)"
    fault = _signed_url.key_fault(key)
    if fault:
        yield Problem(variable, hidden, fault, advice)
    elif _is_json(key):
        yield Problem(
            variable,
            hidden,
            "from_prefixed_env() would read it as a number, and sign with another text",
            advice,
        )
    name = signing_key_variable(values)
    if name in values["flask_app_env"]:
        yield Problem(
            f"flask_app_env.{name}",
            hidden,
            "it follows from another variable, and the two could differ",
            f"Set {variable} instead",
        )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def inline_type_problems(variable: str, types: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    """Yield what can't stand in ``types`` of Nginx's, or must not be shown by a browser."""
    taken: dict[str, str] = {}
    for mime_type, extensions in types.items():
        if not isinstance(mime_type, str) or not MIME_TYPE.match(mime_type):
            yield Problem(
                variable,
                mime_type,
                "it is no MIME type",
                "Write one such as 'image/png'",
            )
        elif ACTIVE_TYPE.fullmatch(mime_type):
            yield Problem(
                variable,
                mime_type,
                "an upload of that type can run script, or be script or style, in the site's own origin",
                "Leave it out: such files are then sent as downloads",
            )
        if not isinstance(extensions, list) or not all(
            isinstance(item, str) and EXTENSION.match(item) for item in extensions
        ):
            yield Problem(
                variable,
                {mime_type: extensions},
                "its file extensions are no list of names",
                f"Write {{{mime_type!r}: ['png']}} with extensions in lower case and without a dot",
            )
            continue
        for extension in extensions:
            if taken.setdefault(extension, mime_type) != mime_type:
                yield Problem(
                    variable,
                    {mime_type: extensions},
                    f"{taken[extension]!r} has {extension!r} too, and Nginx sends one type",
                    "Write each extension once",
                )


def _upload_problems(name: str, area: Area, values: Values) -> t.Iterator[Problem]:
    for url in area["upload_urls"]:
        reason = None
        if not APP_URL.match(url) or url == "/":
            reason = "it is no URL of the app's at which files arrive"
        elif {"", ".", ".."} & {*_parts(url)}:
            # https://nginx.org/en/docs/http/ngx_http_core_module.html#location
            reason = "Nginx compares with the normalised path, so this limit would hold nowhere"
        if reason:
            yield Problem(f"{name}.upload_urls", url, reason, "Write one such as '/upload'")
    if area["upload_urls"] and not any(area.get(key) is not None for key in UPLOAD_LIMITS):
        yield Problem(
            f"{name}.upload_urls",
            area["upload_urls"],
            "they are there for limits of their own, and none is set",
            "Set client_max_body_size or upload_rate too, or leave it unset",
        )
    for key in UPLOAD_LIMITS:
        if area.get(key) is not None and not area["upload_urls"]:
            yield Problem(
                f"{name}.{key}",
                area[key],
                "uploads come to a URL of the app's, and upload_urls names none",
                "Set upload_urls to where the app takes files, such as ['/upload']",
            )
    size = area.get("client_max_body_size")
    if size is not None:
        try:
            parse_size(size)
        except ValueError as error:
            yield Problem(
                f"{name}.client_max_body_size", size, str(error), "Write a size such as '16M'"
            )
    rate = area.get("upload_rate")
    if rate is not None and not RATE.match(rate):
        yield Problem(
            f"{name}.upload_rate", rate, "it is no rate of Nginx's", "Write one such as '30r/m'"
        )
    elif rate is not None and values["flask_site_mode"] != "server":
        yield Problem(
            f"{name}.upload_rate",
            rate,
            "its zone has to stand outside of the server block, which you keep",
            "Leave it unset, and write limit_req_zone and limit_req into your own configuration",
        )


def host_problems(values: Values, host: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    """Yield the media roots that are there, and somebody else's.

    :param host: the answer of the module ``flask_host_info``.
    """
    user = host["users"][values["flask_app_user"]]
    for variable, root in roots(values).items():
        facts = host["directories"][root]
        if facts["kind"] != "directory" or facts["is_in_use"]:
            continue
        is_of_app = user is not None and facts["owner_uid"] == user["uid"]
        is_made_for_it = facts["owner_uid"] == 0 and facts["is_empty"]
        if not (is_of_app or is_made_for_it):
            yield Problem(
                variable,
                root,
                f"that directory is there, {facts['owner']}'s and "
                f"{'empty' if facts['is_empty'] else 'not empty'}, and would be given to the app",
                "Write another one. If it holds the app's uploads or is meant for them, say so: "
                f"touch {posixpath.join(root, use_mark(values['flask_app_name']))}",
            )


def use_mark(app: str) -> str:
    """Return the name of the file that says whose uploads a directory is for."""
    return _media_mount.SENTINEL_PREFIX + app


def is_signed(values: Values) -> bool:
    """Whether URLs of some area are signed."""
    return any(area["access"] == "signed" for area in values["flask_media_areas"])


def signing_key_file(values: Values) -> str:
    """Return where Nginx reads the key; root alone does. A pattern includes it, so no other file is beside it."""
    return f"/etc/nginx/flask_keys/{values['flask_app_name']}/signing_key.conf"


def stale_signing_key_files(values: Values, host: t.Mapping[str, t.Any]) -> list[str]:
    """Return the key's file where it is ours and no area is signed any more."""
    path = signing_key_file(values)
    return [path] if host["paths"][path] == "ours" and not is_signed(values) else []


def signing_key_variable(values: Values) -> str:
    """Return by which variable of its environment the app gets the key."""
    return f"{values['flask_app_env_prefix']}_MEDIA_SIGNING_KEY"


def resolve(values: Values) -> list[Area]:
    """Return the areas as tasks and templates read them.

    ``location`` is the public URL, ``internal_location`` where Nginx alone finds what the app sends
    (``accel``) or whom it asks (``auth_request``), ``auth_proxy_pass`` where that is, and
    ``cache_control`` the header's value. ``internal_pdf_location`` is where an ``accel`` area has its
    files without a sandbox: their names on disk need not say what they are, the app does.
    """
    prefix, name = values["flask_site_url_prefix"], values["flask_app_name"]
    found = []
    for area in areas_of(values):
        internal = {"accel": f"/_{name}_accel", "auth_request": f"/_{name}_auth"}
        below = internal.get(area["access"])
        found.append(
            {
                **area,
                "location": public(prefix, area["url"]),
                "internal_location": below + area["url"] if below else None,
                "internal_pdf_location": f"{below}_pdf{area['url']}"
                if area["access"] == "accel" and PDF in area["inline_types"]
                else None,
                "auth_proxy_pass": f"{upstream(values['flask_app_bind'])}{area['auth_url']}"
                if area["access"] == "auth_request"
                else None,
                "cache_control": _cache_control(area),
                "is_on_media_domain": values.get("flask_media_domain") is not None
                and area["access"] in ACCESS_ON_MEDIA_DOMAIN,
                "policy": SANDBOX,
                "pdf_policy": PDF_POLICY,
                "shown": _shown(area["inline_types"]),
                "client_max_body_size_bytes": size_or_none(area.get("client_max_body_size")),
            }
        )
    return found


def _shown(inline_types: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """Return what a browser may show: file extensions, and the policy under which it does."""
    kinds: dict[str, list[str]] = {SANDBOX: [], PDF_POLICY: []}
    for mime_type, extensions in inline_types.items():
        kinds[PDF_POLICY if mime_type == PDF else SANDBOX] += extensions
    return [
        {"extensions": sorted({*extensions}), "policy": policy}
        for policy, extensions in kinds.items()
        if extensions
    ]


def _cache_control(area: Area) -> str:
    lasting = f"max-age={area['cache_seconds']}" if area["cache_seconds"] else "no-cache"
    if area["access"] == "public":
        return lasting
    # What one visitor may see must not be kept for others: RFC 9111, 5.2.2.7
    return f"private, {lasting}"


def env(values: Values) -> dict[str, dict[str, t.Any]] | None:
    """Return what the app is told of its areas, or ``None`` where there is the one public area only.

    Keyed by URL: ``root``, ``access``, and with ``accel`` what the app's answer needs:
    ``accel_location``, ``accel_pdf_location`` (for PDF, where browsers may show it),
    ``cache_control`` and ``inline_types`` (MIME types).
    """
    found = resolve(values)
    if len(found) == 1 and found[0]["access"] == "public":
        return None
    told = {}
    for area in found:
        told[area["url"]] = {"root": area["root"], "access": area["access"]}
        if area["access"] == "accel":
            told[area["url"]].update(
                accel_location=area["internal_location"],
                cache_control=area["cache_control"],
                inline_types=sorted(area["inline_types"]),
            )
            if area["internal_pdf_location"]:
                told[area["url"]]["accel_pdf_location"] = area["internal_pdf_location"]
    return told
