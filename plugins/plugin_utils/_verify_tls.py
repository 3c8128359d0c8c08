# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""Whether each name of the site presents its certificate, and user content has its own domain."""

from __future__ import annotations

import typing as t

Evidence = t.Mapping[str, t.Any]
Find = t.Callable[[str, str, str, str, str], None]

CERTIFICATE_TITLE = "Each name of the site presents the certificate"
MEDIA_DOMAIN_TITLE = "Public uploads have a domain of their own"


def names(settings: Evidence) -> list[str]:
    """Return the host names to ask for, a wildcard by a name that it stands for."""
    domain = settings["media"].get("domain")
    told = [*(settings["site"]["domains"] or ["localhost"]), *([domain] if domain else [])]
    return [name.replace("*.", "www.", 1) if name.startswith("*.") else name for name in told]


def question(settings: Evidence, bodies: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    """Return the arguments of ``flask_site_info``."""
    site = settings["site"]
    asked = {
        "address": settings["verify"]["address"],
        "port": site["port"],
        "scheme": site["scheme"],
        "names": names(settings),
        "bodies": bodies,
    }
    return {**asked, "certificate": site["tls"]["certificate"]} if site.get("tls") else asked


def judge_handshakes(
    settings: Evidence, handshakes: t.Sequence[Evidence], find: Find
) -> tuple[list[str], str]:
    """Return the problems of the handshakes, and the evidence that there are none."""
    problems = []
    for answer in handshakes:
        if answer["error"]:
            problems.append(f"{answer['name']}: {answer['error']}")
            find(
                "certificate-mismatch",
                answer["name"],
                f"Nginx does not present {settings['site']['tls']['certificate']} for this name, or browsers "
                "refuse it",
                str(answer["error"]),
                "Run the site playbook again, which reloads Nginx when the file has changed, and look for "
                "another server block of that name.",
            )
    shown = ", ".join(f"{a['name']} {a['version']} {a['protocol']}" for a in handshakes)
    return problems, shown


def judge_media_domain(
    settings: Evidence, answers: t.Mapping[str, t.Sequence[t.Any]], find: Find
) -> tuple[list[str], str]:
    """Judge that old URLs lead to the media domain, and that nothing of the app is there.

    :param answers: by kind; ``moved`` are media URLs of the site, ``foreign`` the app's of the domain.
    """
    media = settings["media"]
    problems = []
    for answer in answers.get("moved", []):
        if not (answer.status in (301, 308) and answer.location == media["origin"] + answer.path):
            problems.append(f"{answer} leads to {answer.location or 'nowhere'}")
            if answer.status > 0:
                find(
                    "location-shadowed",
                    answer.path,
                    "uploads are not led to their own domain",
                    problems[-1],
                    "Run the site playbook again, and look for another server block or location of that name.",
                )
    for answer in answers.get("foreign", []):
        if answer.status != 404 or answer.by_app:
            problems.append(f"{answer} of {media['domain']}")
            if answer.status > 0:
                find(
                    "server-name-mismatch",
                    media["domain"],
                    "the domain of uploads answers with more than uploads",
                    problems[-1],
                    "Run the site playbook again, and look for another server block of that name.",
                )
    shown = ", ".join(str(one) for kind in ("moved", "foreign") for one in answers.get(kind, []))
    return problems, f"{media['origin']}: {shown}"
