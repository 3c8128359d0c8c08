# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""Whether the files of media areas that are not public are closed to a visitor whom nobody knows.

A canary lies in each of them; nobody has a link to it, and its name can't be guessed.
"""

from __future__ import annotations

import typing as t

Evidence = t.Mapping[str, t.Any]


class Answer(t.Protocol):
    """What is judged of a response: that of ``_verify``."""

    kind: str
    path: str
    status: int
    content: str | None
    expected: Evidence


class Fault(t.NamedTuple):
    """The parts of a finding."""

    id: str
    component: str
    message: str
    evidence: str
    fix: str


def areas(settings: Evidence) -> list[Evidence]:
    """Return the areas that not everybody may read."""
    return [area for area in settings["media"]["areas"] if area["access"] != "public"]


def requests(
    settings: Evidence, canaries: t.Iterable[Evidence]
) -> list[tuple[str, str, dict[str, t.Any]]]:
    """Return what to ask for, as ``(kind, path, facts)``.

    :param canaries: the results of ``media_canary``, each with its area as ``item``.
    """
    by_url = {result["item"]["url"]: result for result in canaries}
    wanted: list[tuple[str, str, dict[str, t.Any]]] = []
    for area in areas(settings):
        canary = by_url.get(area["url"], {})
        if not canary.get("written"):
            continue
        facts = {"area": area["location"], "access": area["access"], "secret": canary["content"]}
        wanted.append(("private", area["location"] + canary["name"], facts))
        for internal in (area["internal_location"], area["internal_pdf_location"]):
            if internal is None:
                continue
            # Of auth_request it is one URL, of accel a prefix.
            name = canary["name"] if area["access"] == "accel" else ""
            wanted.append(("internal", internal + name, {**facts, "area": internal}))
    return wanted


def judge(
    settings: Evidence, access: t.Iterable[Evidence], answers: t.Sequence[Answer]
) -> tuple[list[str], list[Fault], list[str], str]:
    """Return what is wrong, in words and as findings, what is not proven, and what shows the rest.

    :param access: what ``path_access_info`` says of the canaries, each with its canary as ``item``.
    """
    problems: list[str] = []
    faults: list[Fault] = []
    asked = {answer.expected["area"] for answer in answers if answer.kind == "private"}
    for area in areas(settings):
        if area["location"] not in asked:
            problems.append(f"no canary could be placed for {area['location']}")
    for answer in answers:
        if answer.status < 0:
            problems.append(f"{answer}")
        elif answer.kind == "private" and _is_open(answer):
            problems.append(f"{answer} for a visitor whom nobody knows")
            faults.append(
                Fault(
                    "auth-bypassed",
                    answer.expected["area"],
                    "a private file is sent to a visitor whom nobody knows",
                    str(answer),
                    "Run the site playbook, and look for another location or server block that serves "
                    "this URL; then see to it that the app lets only those read who may.",
                )
            )
        elif answer.kind == "internal" and answer.status != 404:
            problems.append(f"{answer}, and Nginx alone should get there")
            faults.append(
                Fault(
                    "accel-not-internal",
                    answer.expected["area"],
                    "a location that only Nginx itself may use answers a visitor",
                    str(answer),
                    "Run the site playbook: it marks the location as internal. Look for another one "
                    "of that name.",
                )
            )
    unproven = _unproven(settings, access)
    return problems, faults, unproven, ", ".join(map(str, answers))


def _unproven(settings: Evidence, access: t.Iterable[Evidence]) -> list[str]:
    """Return the areas whose canary Nginx can't read: each looks closed, whether it is or not."""
    user = settings["site"]["nginx_user"]
    stops = {
        result["item"]["item"]["url"]: result["paths"][0]["blocked_by"]
        for result in access
        if result.get("paths")
    }
    unproven = []
    for area in areas(settings):
        location = area["location"]
        if area["url"] not in stops:
            unproven.append(f"whether {user} can read the canary of {location} is not known")
        elif stop := stops[area["url"]]:
            unproven.append(
                f"{user} can't read the canary of {location}: {stop['reason']} at {stop['component']}, mode "
                f"{stop.get('mode')}; so whether it is closed to visitors can't be told"
            )
    return unproven


def _is_open(answer: Answer) -> bool:
    if answer.content == answer.expected["secret"]:
        return True
    # With accel the app answers, perhaps by a page that asks to log in.
    return answer.expected["access"] != "accel" and 200 <= answer.status < 300
