# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""From an app server that was found to how its app is asked."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import _flask_app, _secrets

# In a container that runs as root the app is asked as nobody, whom every image has by number.
NOBODY = "65534:65534"
TIMEOUT_SECONDS = 30


def question(
    process: t.Mapping[str, t.Any],
) -> tuple[dict[str, t.Any] | None, str | None]:
    """Return the arguments of ``flask_app_info`` for an item of ``flask_process_info``.

    :return: the arguments, or ``None`` and why the app can't be asked.
    """
    reason = _reason(process)
    if reason:
        return None, f"The app of process {process['pid']} is not asked: {reason}."
    at_work = (process["workers"] or [process["pid"]])[0]
    arguments = {
        "callable": process["callable"],
        "loader": process["loader"],
        "user": process["user"],
        "directory": process["directory"],
        "python_path": process["python_path"],
        "process_id": at_work,
        "timeout_seconds": TIMEOUT_SECONDS,
    }
    if process["umask"] and re.fullmatch(r"0?[0-7]{3}", process["umask"]):
        arguments["umask"] = process["umask"]
    if process["virtualenv"]:
        arguments["virtualenv"] = process["virtualenv"]
    else:
        arguments["python"] = process["python"]
    container = process["container"]
    if container:
        arguments["container"] = container["id"]
        user = container.get("process_user") or NOBODY
        arguments["user"] = NOBODY if user.startswith("0:") else user
    return {name: value for name, value in arguments.items() if value is not None}, None


def _reason(process: t.Mapping[str, t.Any]) -> str | None:
    named = process["callable"]
    if process["server"] is None:
        return "it is no server of Python's that is known"
    if not named:
        is_known = process["virtualenv"] or process["python"]
        return "its command line doesn't tell which object is the app. Set flask_app_callable" + (
            "" if is_known else " and flask_app_virtualenv"
        )
    if _secrets.MASK in named:
        return f"{named} takes a secret, which is not handed on. Set flask_app_callable"
    try:
        _flask_app.Callable.of(named, process["loader"])
    except _flask_app.FlaskAppError as error:
        return str(error).rstrip(".")
    if not process["virtualenv"] and not process["python"]:
        return "which Python has it can't be told. Set flask_app_virtualenv"
    if process["container"]:
        if process["container"].get("name") is None:
            return "its container can't be looked into. That takes root ('become: true')"
        return None
    if process["user"] is None:
        return "as whom it runs can't be told"
    if process["uid"] == 0:
        return "it runs as root, and its code is not run as root to ask it. Run it as a user of its own"
    if str(process["user"]) == str(process["uid"]):
        return f"it runs as user {process['uid']}, who has no name on this host"
    if process["cwd"] is None:
        return "its directory and its environment can't be seen"
    return None
