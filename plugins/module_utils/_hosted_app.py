# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Ask an app in a container that runs, whoever started it: with that container's own Python."""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _docker,
    _flask_app,
    _hosted_container,
    _proc,
)

# What is asked is told on standard input: arguments are to be seen by all, and the environment of
# the engine's command must not be the container's. As with images, the app's prints go elsewhere
# than the answer. The alarm ends Python in the container, which ending the engine's command doesn't.
ASK = """\
import json, os, signal, sys
if not os.getuid():
    why = "its user is root there, and importing an app runs its code"
    print(json.dumps({"failure": {"message": why, "trace": []}}))
    sys.exit()
given = json.load(sys.stdin)
signal.alarm(given["seconds"])
channel = os.dup(1)
os.dup2(2, 1)
os.umask(given["umask"])
os.environ.update(given["environ"])
paths = [path for path in given["environ"].get("PYTHONPATH", "").split(":") if path]
given["request"]["python_path"] += paths
sys.argv[1:] = [json.dumps(given["request"]), str(channel)]
exec(compile(given["source"], "<flask_app_info>", "exec"), globals())
"""
_USER = re.compile(r"\w[\w.-]*(?::\w[\w.-]*)?\Z", re.ASCII)
_ROOT = re.compile(r"(?:root|0+)?(?::|\Z)")
# What the engine sets anew, or Python has read by the time it is told
_OF_THE_CONTAINER = frozenset(["HOSTNAME", "PYTHONHOME"])


@dataclasses.dataclass(frozen=True)
class HostedApp(_flask_app.FlaskApp):
    """An app in a running container.

    :ivar container: its id or name.
    :ivar user: in the container, a name or number, with a group behind a colon if need be.
    """

    container: str = ""

    def _account(self) -> _as_user.Account:
        if self.timeout_seconds <= 0:
            raise _flask_app.FlaskAppError(
                f"timeout_seconds is {self.timeout_seconds:g}, in which no app starts. Write 60, or leave it out."
            )
        if _ROOT.match(self.user):
            raise _flask_app.FlaskAppError(
                f"user is {self.user!r}, who is root: importing an app runs its code. "
                "Name another user of the container's, such as '65534:65534'."
            )
        if not _USER.match(self.user):
            raise _flask_app.FlaskAppError(
                f"user is {self.user!r}. Write a user of the container's, such as '1000:1000'."
            )
        # The environment of the named process is the container's own, whoever it runs as.
        ids = _proc.Proc().ids(self.process_id) if self.process_id else None
        uid = ids.uid if ids and self.process_id else -1
        return _as_user.Account(self.user, uid, -1, (), "/")

    def _require_virtualenv(self) -> None:
        if self.process_id is not None:
            known = _proc.Proc().container_id(self.process_id)
            if known is None or not known.startswith(self.container[:12]):
                raise _flask_app.FlaskAppError(
                    f"Process {self.process_id} is none of container {self.container[:12]}. Name one of its own, "
                    "or leave out process_id."
                )

    def _run(self, who: _as_user.Account, own: t.Mapping[str, str]) -> _as_user.Finished:
        engine, facts = _hosted_container.find(self.container)
        if engine is None or facts is None:
            raise _flask_app.FlaskAppError(
                f"There is no container {self.container!r} that docker or podman could be asked about. "
                "Set 'become: true', and name one that runs."
            )
        if self.process_id is not None and not _hosted_container.holds(
            facts, self.process_id, _proc.Proc()
        ):
            raise _flask_app.FlaskAppError(
                _hosted_container.not_held(self.container, self.process_id)
            )
        given = {
            "source": _flask_app.probe_source(),
            "request": {**self.request(), "directory": self.directory},
            "environ": {
                name: value for name, value in own.items() if name not in _OF_THE_CONTAINER
            },
            "umask": self.umask,
            "seconds": int(self.timeout_seconds) + 1,
        }
        command = [engine.path, "exec", "--interactive", f"--user={self.user}"]
        if self.directory:
            command.append(f"--workdir={self.directory}")
        command += [str(facts["Id"]), self.python, "-B", "-c", ASK]
        return _as_user.run_with_input(
            command,
            json.dumps(given).encode("ascii"),
            environ=_docker.environment(),
            timeout_seconds=self.timeout_seconds,
        )
