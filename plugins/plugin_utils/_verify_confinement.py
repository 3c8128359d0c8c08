# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""Whether Nginx's service is kept from writing, as the kernel says for root in Nginx's own view."""

from __future__ import annotations

import typing as t

RESTART = "When its sites may be out of reach for a moment, run: systemctl restart nginx"


class Verdict(t.NamedTuple):
    """The check's status and evidence, and what a finding needs where there is one."""

    status: str
    evidence: str
    finding: str = ""
    component: str = ""
    message: str = ""
    fix: str = ""


def judge(settings: t.Mapping[str, t.Any]) -> Verdict:
    """Judge what root could write through the mounts of Nginx's master."""
    host, drop_in = settings["host"], settings["site"]["nginx_drop_in"]
    if host["service_manager"] != "systemd":
        return Verdict("skip", "there is no systemd here: modes alone keep Nginx from writing")
    if host["paths"].get(drop_in) != "ours":
        return Verdict("skip", f"{drop_in} is not there: modes alone keep Nginx from writing")
    view = host["nginx_view"]
    if view is None:
        return Verdict("skip", "there is no running Nginx that could be looked through")
    writable = view["writable"]
    if not writable:
        roots = (settings["static"]["root"], *settings["media"]["roots"])
        return Verdict(
            "pass", f"its process {view['process_id']} sees {', '.join(roots)} read-only"
        )
    shown = f"process {view['process_id']} sees {', '.join(writable)} writable"
    if view["is_older"] or set(writable) <= set(view["mount_points"]):
        since = drop_in if view["is_older"] else ", ".join(writable)
        return Verdict(
            "skip",
            f"not in effect before Nginx's next start: {shown}",
            "nginx-restart-pending",
            "nginx.service",
            f"it was started before {since} was there, and a reload does not apply ReadOnlyPaths=",
            f"{RESTART}; or run the site playbook with flask_site_nginx_restart=true.",
        )
    component = writable[-1]
    of_media = component in settings["media"]["roots"]
    return Verdict(
        "fail",
        shown,
        "media-writable-by-nginx" if of_media else "static-writable-by-nginx",
        component,
        f"{drop_in} names it, and yet Nginx's service could write there as root",
        f"Look at systemctl show --property=ReadOnlyPaths nginx: another drop-in may take it back. {RESTART}.",
    )
