# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""Whether Nginx runs, has loaded what is on disk, and leads to an app that answers."""

from __future__ import annotations

import difflib
import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _diagnosis_sites,
    _nginx_routes,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._diagnosis_case import Case
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import (
    Finding,
    Findings,
)

# A path in one of Nginx's messages
FILE = re.compile(r'"(/[^"]+)"')
# How like a wanted name one of the server block's has to be, to be named as the likely slip.
LIKE = 0.6


def questions(case: Case) -> t.Iterator[dict[str, t.Any]]:
    """Ask for each name that the user has given, besides what all judges ask for."""
    for name in unserved_names(case):
        yield case.request(f"serving.name.{name}", "/", host=name)
    own = own_name(case)
    asked = case.direct("serving.server_name", "/")
    if own and asked:
        yield {**asked, "host": own}


def judge(case: Case, findings: Findings) -> None:
    """Find why nothing answers, or not the configuration that is on disk."""
    nginx = case.nginx
    test = nginx.get("test")
    if test and not test["ok"]:
        runs = nginx.get("running")
        findings.add(
            Finding(
                "nginx-config-invalid",
                "error",
                _place(nginx, test),
                "Nginx refuses the configuration that is on disk; "
                + (
                    "it goes on with the one it has loaded, until it is started anew"
                    if runs
                    else "so it does not run"
                ),
                str(test["message"]),
                "Mend that, and see that `nginx -t` passes before the next reload."
                if runs
                else "Mend that, see that `nginx -t` passes, and start Nginx.",
            ),
            # What Nginx can't be started with explains that it does not run.
            subjects=[] if runs else ["/"],
        )
        if not runs:
            return
    if not nginx.get("running"):
        _judge_stopped(case, findings)
        return
    changed = nginx.get("changed_since_load") or []
    # What can't be loaded is pending for that reason.
    if changed and not findings.of("nginx-config-invalid"):
        paths = ", ".join(change["path"] for change in changed)
        findings.add(
            Finding(
                "nginx-reload-pending",
                "error",
                changed[0]["path"],
                "the configuration on disk is not the one that Nginx has loaded",
                f"changed {changed[0]['changed']}, loaded {nginx.get('loaded')}: {paths}",
                "Read the change, then `nginx -t && systemctl reload nginx`.",
            )
        )
    _judge_names(case, findings)
    _judge_taken_name(case, findings)
    _judge_own_name(case, findings)
    _judge_app(case, findings)


def _place(nginx: t.Mapping[str, t.Any], test: t.Mapping[str, t.Any]) -> str:
    """Return the line that is at fault, or the file that the message names, such as a certificate."""
    if test.get("file"):
        return f"{test['file']}:{test['line']}"
    named = FILE.search(str(test["message"]))
    return named[1] if named else str(nginx["conf_file"])


def _judge_stopped(case: Case, findings: Findings) -> None:
    nginx = case.nginx
    if not nginx.get("installed"):
        component, message = "nginx", "Nginx is not installed on this host"
    else:
        component, message = str(nginx.get("binary") or "nginx"), "Nginx is not running"
    findings.add(
        Finding(
            "nginx-not-serving",
            "error",
            component,
            message,
            "no master process of Nginx, on this host or in its containers",
            "Start it (`systemctl start nginx`), and read its error log if it won't start."
            if nginx.get("installed")
            else "Run the site playbook, which installs it.",
        ),
        subjects=["/"],
    )


def unserved_names(case: Case) -> list[str]:
    """Return the names that the user wants and no server block on the site's port has."""
    wanted = case.site.hints.get("domains") or []
    served = case.server.names if case.server else []
    return [name for name in wanted if name not in served]


def _judge_names(case: Case, findings: Findings) -> None:
    server = case.server
    if server is None:
        return
    for name in unserved_names(case):
        response = case.response(f"serving.name.{name}")
        near = difflib.get_close_matches(name, server.names, n=1, cutoff=LIKE)
        findings.add(
            Finding(
                "server-name-mismatch",
                "error",
                server.component,
                f"no server block answers to {name}"
                + (
                    f"; this one has {near[0]}"
                    if near
                    else f"; this one has {' '.join(server.names) or 'no name'}"
                ),
                f"asked for Host: {name}: {response}"
                if response
                else f"server_name {' '.join(server.names)}",
                f"Write server_name {name}; in this server block.",
                "flask_site_domains",
            )
        )


def _judge_taken_name(case: Case, findings: Findings) -> None:
    """Find another server block that has the site's name first: Nginx only warns of that."""
    server, config = case.server, case.config
    if server is None or config is None or case.host not in server.names:
        return
    address, port, _tls = case.listen
    first = _nginx_routes.choose_server(config, address, port, case.host)
    if first is None or first is server:
        return
    warnings = [
        warning["message"]
        for warning in (case.nginx.get("test") or {}).get("warnings") or []
        if f'"{case.host}"' in warning["message"]
    ]
    if not warnings:
        return
    names = [line for line in server.own("server_name") if case.host in line.args]
    findings.add(
        Finding(
            "server-name-mismatch",
            "error",
            names[0].component if names else server.component,
            f"the server block at {first.component} has the name {case.host} too, and comes first: it answers",
            warnings[0],
            f"Take {case.host} out of the server_name of one of the two.",
            "flask_site_domains",
        ),
        subjects=["/"],
    )


def own_name(case: Case) -> str | None:
    """Return the app's own SERVER_NAME, if it is none of the server block's."""
    name = ((case.app or {}).get("config") or {}).get("SERVER_NAME")
    if not isinstance(name, str) or not name or case.server is None:
        return None
    return None if name.partition(":")[0] in case.server.names else name


def _judge_own_name(case: Case, findings: Findings) -> None:
    """Find an app that has no route for the names that Nginx hands on.

    Until Flask 2.2 its router takes requests to SERVER_NAME alone:
    https://flask.palletsprojects.com/en/stable/config/#SERVER_NAME
    """
    name = own_name(case)
    through, own = case.response("core.app"), case.response("serving.server_name")
    if name is None or through is None or own is None:
        return
    if not (through.status == 404 and through.by_app) or own.status == 404:
        return
    findings.add(
        Finding(
            "server-name-mismatch",
            "error",
            case.config_key("SERVER_NAME"),
            f"the app answers to {name} alone, and Nginx hands on {case.host}",
            f"{through} for Host: {case.host}, {own.status} for Host: {name}",
            f"Set the app's SERVER_NAME to {case.host}, or leave it unset.",
        ),
        subjects=["/"],
    )


def _judge_app(case: Case, findings: Findings) -> None:
    through = case.response("core.app")
    if through is None or through.status not in (502, 503, 504):
        return
    stop = (case.answer("core.socket") or {}).get("blocked_by")
    if stop and stop["reason"] not in ("missing", "not-a-directory"):
        # It listens, and Nginx may not come near: a matter of permissions.
        return
    ways = case.site.passes
    leads = ", ".join(address for way in ways for address in way.addresses)
    listens = ", ".join(_diagnosis_sites.addresses(case.process or {}))
    findings.add(
        Finding(
            "app-not-answering",
            "error",
            ways[0].directive.component if ways else str(through.request["target"]),
            f"Nginx leads to {leads}, where no app answers"
            + (f"; it listens at {listens}" if listens else ""),
            "; ".join([str(through), *through.log[:2]]),
            "Start the app's service and read its log; or write the address it listens at into this line.",
        ),
        subjects=[case.public("/")],
    )
