# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""How large a request may be at each URL that takes files, and how many may come."""

from __future__ import annotations

import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils._rules import (
    Problem,
    Values,
    contains,
    public,
    size_or_none,
)

# An address takes 64 bytes, or 128 of IPv6: some ten thousand visitors at once.
# https://nginx.org/en/docs/http/ngx_http_limit_req_module.html#limit_req_zone
ZONE_SIZE = "1m"


def problems(values: Values, proxies: bool) -> t.Iterator[Problem]:
    """Yield what can't work of ``upload_urls`` on any host.

    :param proxies: whether Nginx passes requests to the app by locations that are written here.
    """
    taken: dict[str, str] = {}
    for name, area in _named_areas(values):
        for url in area["upload_urls"]:
            variable = f"{name}.upload_urls"
            if url in taken:
                yield Problem(
                    variable,
                    url,
                    f"{taken[url]} has it too, and one URL has one limit",
                    "Write it for the area that it fills most",
                )
            elif not proxies:
                yield Problem(
                    variable,
                    url,
                    "requests reach the app by a location that you keep, where its limits belong",
                    "Leave it unset, or set flask_site_proxy to true",
                )
            taken.setdefault(url, variable)
            for served in values["flask_media_areas"]:
                if contains(served["url"], url):
                    yield Problem(
                        variable,
                        url,
                        f"Nginx serves the files of {served['url']!r} there, and the app is not asked",
                        "Write the URL of the app's that takes the files, such as '/upload'",
                    )
    yield from order_problems(
        values,
        size_or_none(values.get("flask_app_max_content_length")),
        "flask_app_max_content_length",
    )


def _named_areas(values: Values) -> t.Iterator[tuple[str, dict[str, t.Any]]]:
    for index, area in enumerate(values["flask_media_areas"]):
        yield f"flask_media_areas[{index}]", area


def order_problems(values: Values, app_limit: int | None, told_by: str) -> t.Iterator[Problem]:
    """Yield where Nginx would answer, with a page of its own, before the app can.

    A larger limit than the app's is none: a view may raise its own.
    https://flask.palletsprojects.com/en/stable/api/#flask.Request.max_content_length
    """
    for name, area in _named_areas(values):
        size = size_or_none(area.get("client_max_body_size"))
        if size is not None and app_limit is not None and size < app_limit:
            yield Problem(
                f"{name}.client_max_body_size",
                area["client_max_body_size"],
                f"{told_by} is {app_limit} bytes, so Nginx would refuse with a page of its own what the "
                "app takes",
                "Write a larger size, and let the app refuse less by request.max_content_length in that "
                "view, or set flask_app_max_content_length",
            )


def locations(values: Values, proxy_pass: str) -> list[dict[str, t.Any]]:
    """Return the locations that have limits of their own.

    :param proxy_pass: the app, without a URI.
    """
    prefix, name = values["flask_site_url_prefix"], values["flask_app_name"]
    found = []
    for index, (_unused, area) in enumerate(_named_areas(values)):
        limit = size_or_none(area.get("client_max_body_size"))
        rate = area.get("upload_rate")
        if limit is None and rate is None:
            continue
        for url in area["upload_urls"]:
            found.append(
                {
                    "url": url,
                    "location": public(prefix, url),
                    # A URI takes the place of the location's, which carries the prefix.
                    "proxy_pass": proxy_pass + (url if prefix != "/" else ""),
                    "client_max_body_size_bytes": limit,
                    "rate": rate,
                    "zone": f"flask_{name}_{index}" if rate else None,
                    "burst": _burst(rate) if rate else None,
                }
            )
    return found


def zones(values: Values) -> list[dict[str, t.Any]]:
    """Return the memory zones of all rates: one an area, whatever the number of its URLs."""
    return [
        {
            "name": f"flask_{values['flask_app_name']}_{index}",
            "size": ZONE_SIZE,
            "rate": area["upload_rate"],
        }
        for index, (_unused, area) in enumerate(_named_areas(values))
        if area.get("upload_rate") and area["upload_urls"]
    ]


def _burst(rate: str) -> int:
    """Return how many requests may come at once: those of a minute.

    Nginx counts in milliseconds, so without it 30r/m would mean one in each two seconds, and a
    visitor who sends ten pictures is no attacker.
    """
    count, _unused, unit = rate.partition("r/")
    return int(count) * (60 if unit == "s" else 1)


def has_own_page(values: Values, passes_to_gunicorn: bool, app_limit: int | None) -> bool:
    """Whether the app can be had to answer for what Nginx refuses.

    It is told of a length that it refuses, and is sent nothing. Gunicorn lets it answer then; what
    else may run an app might wait for the body, and so would an app without a limit. And a named
    location can't strip a prefix.
    """
    return passes_to_gunicorn and app_limit is not None and values["flask_site_url_prefix"] == "/"


def probes(values: Values, app_limit: int | None) -> list[dict[str, t.Any]]:
    """Return at which URLs what size has to pass Nginx, so that the app has the last word.

    :param app_limit: the app's own ``MAX_CONTENT_LENGTH``.
    """
    prefix = values["flask_site_url_prefix"]
    wanted = []
    if app_limit is not None:
        path = public(prefix, values["flask_app_health_url"]).partition("?")[0]
        wanted.append({"path": path, "size": app_limit, "is_of_app": True})
    for _unused, area in _named_areas(values):
        limit = size_or_none(area.get("client_max_body_size"))
        for url in area["upload_urls"]:
            if limit is not None:
                wanted.append({"path": public(prefix, url), "size": limit, "is_of_app": False})
    return wanted
