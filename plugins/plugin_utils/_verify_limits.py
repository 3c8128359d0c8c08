# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""Whether a body that the app takes gets through Nginx, and which of the two refuses a larger one."""

from __future__ import annotations

import typing as t

Evidence = t.Mapping[str, t.Any]
Find = t.Callable[[str, str, str, str, str], None]

TITLE = "Nginx takes bodies as large as the app takes"
CONTINUE, TOO_LARGE = 100, 413


def bodies(settings: Evidence) -> list[dict[str, t.Any]]:
    """Return the bodies to announce, for ``flask_site_info``."""
    site = settings["site"]
    asked = [dict(probe) for probe in site["body_probes"]]
    if asked and not site["app_answers_too_large"]:
        # What is one byte too large has to reach the app, whose page it is to refuse it with.
        asked += [{**probe, "size": probe["size"] + 1} for probe in asked if probe["is_of_app"]]
    return asked


def judge(
    settings: Evidence, answers: t.Sequence[Evidence], find: Find
) -> tuple[list[str], str | None]:
    """Return the problems, and the evidence that there are none; no evidence where none was got."""
    site = settings["site"]
    takes = {probe["path"]: probe["size"] for probe in site["body_probes"]}
    problems: list[str] = []
    passed = []
    for answer in answers:
        path, size = answer["path"], answer["size"]
        shown = f"POST {path} of {size} bytes: {answer['status']}"
        if answer["status"] == CONTINUE:
            passed.append(shown)
        elif answer["status"] == TOO_LARGE and not any(path in problem for problem in problems):
            problems.append(shown)
            is_refused = size <= takes[path]
            find(
                "body-limit-nginx" if is_refused else "body-limit-unordered",
                path,
                "Nginx refuses bodies that the app takes"
                if is_refused
                else "Nginx refuses what is too large with a page of its own, before the app can",
                f"{shown}, before any of it was sent",
                _mend(settings, takes[path]),
            )
    return problems, ", ".join(passed) or None


def _mend(settings: Evidence, size: int) -> str:
    site = settings["site"]
    if site["mode"] == "server" or site["proxy"]:
        return (
            "Run the site playbook again, and look for another client_max_body_size in a server block "
            "or location of that name."
        )
    limit = max(size, site["client_max_body_size_bytes"])
    return f"Write client_max_body_size {limit}; into your server block, and reload Nginx."
