#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_service
short_description: Keep a service running on what is on disk
version_added: 0.1.0
description:
  - Sees to it that a service starts at boot, runs, and is not older than what it runs from.
  - Its age is asked of the host each time, by comparing its main process with O(paths). So a restart that a killed run
    owed is made by the next one, while a handler's notification dies with the run.
  - Works with systemd, and with init scripts where systemd isn't PID 1.
attributes:
  check_mode:
    description:
      - Can run in check mode and tell what it would do, also for a service that is yet to be installed.
      - What tasks before it would have changed in check mode it knows by O(changes) only.
    support: full
  diff_mode:
    description: Lists what it does.
    support: full
options:
  name:
    description: Name of the service, without C(.service).
    type: str
    required: true
  manager:
    description: The host's service manager, from M(flaskworks.static_media.flask_host_info).
    type: str
    choices: [systemd, sysvinit]
    required: true
  socket:
    description:
      - Whether a unit C(NAME.socket) belongs to it. For O(manager=systemd).
      - It is enabled too, and started first. When its unit changed, both are stopped and started, so connections are refused for that moment.
    type: bool
    default: false
  paths:
    description:
      - Files, directories and links that the service reads when it starts.
      - Its unit with its drop-ins, or its init script, are watched anyway. One that isn't there is passed over.
    type: list
    elements: path
    default: []
  directories:
    description:
      - Directories that the unit names in C(ReadWritePaths=) or the like.
      - When one was removed and made anew, the service has lost its mount of it, and is stale.
    type: list
    elements: path
    default: []
  read_only_directories:
    description:
      - Directories that the unit names in C(ReadOnlyPaths=), or that lie below one that it names. One that isn't there is passed over.
      - When the running service could write to one, it is stale. That is asked of the kernel, through the service's own view.
    type: list
    elements: path
    default: []
  on_stale:
    description:
      - What to do when something of O(paths) is newer.
      - V(reload) is for a service that replaces its worker processes then, as Gunicorn and Nginx do. Their age counts, and the old ones are waited for.
        Neither systemd's environment files nor a unit are read again by a reload.
      - A service that replaces its main process too, as Gunicorn does at C(USR2), is waited for until only one is left before it is reloaded again.
    type: str
    choices: [restart, reload]
    default: restart
  restart:
    description:
      - Whether it may be restarted while it runs. With V(false), what only a restart mends waits for the next start, and RV(restart_pending) says so.
      - For a service that others use too.
    type: bool
    default: true
  reload_paths:
    description:
      - Those of O(paths) that a reload reads again. For O(on_stale=reload); when one of the others is newer, the service is restarted. When unset, all.
    type: list
    elements: path
  changes:
    description:
      - What tasks before this one would change, for check mode, in which they have changed nothing yet. Else the files themselves tell.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: One of O(paths). When unset, the service's unit or init script.
        type: path
      changed:
        description: Whether the task has changed it, or would.
        type: bool
        required: true
  enabled:
    description: Whether it starts at boot.
    type: bool
    default: true
  state:
    description: Whether it runs. With O(state=stopped) its socket is stopped too.
    type: str
    choices: [started, stopped]
    default: started
  timeout_seconds:
    description: How long each step may take, a start included.
    type: int
    default: 60
  pid_file:
    description:
      - File with the main process's id. For O(manager=sysvinit).
      - When unset, what a line C(# pidfile:) of the init script names, C(/run/NAME/NAME.pid), C(/run/NAME.pid).
    type: path
  log_file:
    description: Log whose last 100 lines are shown when the service won't start. For O(manager=sysvinit); with systemd the journal's are.
    type: path
author:
  - flaskworks (@flaskworks)
seealso:
  - module: flaskworks.static_media.flask_host_info
"""

EXAMPLES = r"""
- name: Run the app, never older than its code and its env file
  flaskworks.static_media.flask_service:
    name: gallery
    manager: systemd
    socket: true
    paths:
      - /opt/gallery/current
      - /etc/gallery/gallery.env

- name: Run the app where there is no systemd
  flaskworks.static_media.flask_service:
    name: gallery
    manager: sysvinit
    pid_file: /run/gallery/gallery.pid
    log_file: /var/log/gallery/gunicorn.log
    paths:
      - /opt/gallery/current
      - /etc/gallery/gallery.env

- name: Run Nginx
  flaskworks.static_media.flask_service:
    name: nginx
    manager: systemd
"""

RETURN = r"""
actions:
  description:
    - What was done, or would be, in this order. Of C(daemon-reload), C(enable), C(disable), C(start), C(stop), C(restart), C(reload)
      and C(restart with socket).
  returned: success
  type: list
  elements: str
  sample: [restart]
running:
  description: Whether it runs. In check mode, whether it runs now.
  returned: success
  type: bool
  sample: true
main_pid:
  description: Its main process, or null.
  returned: success
  type: int
  sample: 1204
started:
  description: When its processes started, in UTC, or null. With O(on_stale=reload), the oldest of its workers.
  returned: success
  type: str
  sample: "2026-11-23T10:00:00.120+00:00"
stale:
  description: Whether it was older than what it runs from.
  returned: success
  type: bool
  sample: true
restart_pending:
  description: Whether it still runs as it was before, since O(restart=false). In check mode, whether it would.
  returned: success
  type: bool
  sample: false
newer:
  description: What changed after its processes had started.
  returned: success
  type: list
  elements: str
  sample: [/etc/gallery/gallery.env]
"""

import datetime
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils._service import (
    Manager,
    ServiceError,
    State,
    Systemd,
    SysVInit,
    Wanted,
    expect,
    owes_restart,
    plan,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "manager": {"type": "str", "choices": ["systemd", "sysvinit"], "required": True},
            "socket": {"type": "bool", "default": False},
            "paths": {"type": "list", "elements": "path", "default": []},
            "directories": {"type": "list", "elements": "path", "default": []},
            "read_only_directories": {"type": "list", "elements": "path", "default": []},
            "restart": {"type": "bool", "default": True},
            "on_stale": {"type": "str", "choices": ["restart", "reload"], "default": "restart"},
            "reload_paths": {"type": "list", "elements": "path"},
            "changes": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path"},
                    "changed": {"type": "bool", "required": True},
                },
            },
            "enabled": {"type": "bool", "default": True},
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "timeout_seconds": {"type": "int", "default": 60},
            "pid_file": {"type": "path"},
            "log_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    params = module.params
    wanted = Wanted(
        params["enabled"], params["state"] == "started", params["on_stale"], params["restart"]
    )
    try:
        service = _manager(params)
        before = service.state()
        if module.check_mode:
            before = _expected(before, service, params["changes"])
        actions = plan(before, wanted)
        after = service.apply(actions, wanted) if actions and not module.check_mode else before
    except ServiceError as error:
        module.fail_json(msg=f"{params['name']}: {error}")
    module.exit_json(
        changed=bool(actions),
        actions=actions,
        running=after.running,
        main_pid=after.main_pid,
        started=_started(after),
        stale=bool(before.newer) or before.socket_newer,
        restart_pending=not wanted.may_restart and after.running and owes_restart(after, wanted),
        newer=list(before.newer),
        diff={"before": "", "after": "".join(f"{action} {service.name}\n" for action in actions)},
    )


def _manager(params: dict[str, t.Any]) -> Manager:
    if params["timeout_seconds"] <= 0:
        raise ServiceError("timeout_seconds has to be more than 0, such as 60.")
    options = {
        "directories": params["directories"],
        "read_only_directories": params["read_only_directories"],
        "log_file": params["log_file"],
        "by_children": params["on_stale"] == "reload",
        "reload_paths": params["reload_paths"],
        "timeout_seconds": params["timeout_seconds"],
    }
    if params["manager"] == "systemd":
        return Systemd(params["name"], params["paths"], socket=params["socket"], **options)
    if params["socket"]:
        raise ServiceError("socket: an init script has no socket unit. Set it to false.")
    return SysVInit(params["name"], params["paths"], pid_file=params["pid_file"], **options)


def _expected(state: State, service: Manager, changes: list[dict[str, t.Any]]) -> State:
    """Return the state after what tasks before would have changed."""
    changed = [change["path"] for change in changes if change["changed"]]
    paths = [path for path in changed if path in service.paths]
    reload_is_enough = set(paths) <= set(service.reload_paths)
    return expect(state, paths, definition=None in changed, reload=reload_is_enough)


def _started(state: State) -> str | None:
    if state.started_ns is None:
        return None
    started = datetime.datetime.fromtimestamp(state.started_ns / 1e9, tz=datetime.timezone.utc)
    return started.isoformat(timespec="milliseconds")


if __name__ == "__main__":
    main()
