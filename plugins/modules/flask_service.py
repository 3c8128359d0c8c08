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
  - The age is asked of the host each time, by comparing the main process with O(paths). A restart that a killed run owed is so made by the next one, which a handler is not.
  - Works with systemd, and with init scripts where systemd isn't PID 1.
attributes:
  check_mode:
    description: Can run in check mode and tell what it would do, also for a service that is yet to be installed.
    support: full
  diff_mode:
    description: Shows what it does.
    support: full
options:
  name:
    description: Name of the service.
    type: str
    required: true
  manager:
    description: The host's service manager, from M(flaskworks.static_media.flask_host_info).
    type: str
    choices: [systemd, sysvinit]
    required: true
  socket:
    description: Whether a unit C(NAME.socket) belongs to it. For O(manager=systemd).
    type: bool
    default: false
  paths:
    description: Files and links that the service reads when it starts. Its unit or init script is one of them anyway.
    type: list
    elements: path
    default: []
  pid_file:
    description: File with the main process's id. For O(manager=sysvinit). When unset, C(/run/NAME.pid).
    type: path
  log_file:
    description: Log whose end is shown when the service won't start. With systemd the journal's is.
    type: path
author:
  - flaskworks (@flaskworks)
"""

EXAMPLES = r"""
- name: Run the app, never older than its env file
  flaskworks.static_media.flask_service:
    name: gallery
    manager: systemd
    socket: true
    paths:
      - /opt/gallery/current
      - /etc/gallery/gallery.env
"""

RETURN = r"""
actions:
  description: What was done, or would be.
  returned: success
  type: list
  elements: str
  sample: [restart]
newer:
  description: What changed after the main process started.
  returned: success
  type: list
  elements: str
  sample: [/etc/gallery/gallery.env]
main_pid:
  description: The main process, or null.
  returned: success
  type: int
  sample: 1204
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import _service


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "manager": {"type": "str", "choices": ["systemd", "sysvinit"], "required": True},
            "socket": {"type": "bool", "default": False},
            "paths": {"type": "list", "elements": "path", "default": []},
            "pid_file": {"type": "path"},
            "log_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    service = _manager(module.params)
    try:
        before = service.state()
        actions = _service.plan(before)
        if actions and not module.check_mode:
            service.apply(actions)
            after = service.state()
            owed = _service.plan(after)
            if owed:
                raise _service.ServiceError(
                    f"{service.name} was told to {', '.join(actions)}, and still has to {', '.join(owed)}.\n"
                    f"{service.log().strip()}\nMend what the log names, and run the playbook again."
                )
        else:
            after = before
    except _service.ServiceError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(actions),
        actions=actions,
        newer=list(before.newer),
        main_pid=after.main_pid,
        diff={"before": "", "after": "".join(f"{action} {service.name}\n" for action in actions)},
    )


def _manager(params: dict[str, object]) -> _service.Manager:
    common = {key: params[key] for key in ("name", "paths", "log_file")}
    if params["manager"] == "systemd":
        return _service.Systemd(**common, socket=params["socket"])  # type: ignore[arg-type]
    return _service.SysVInit(
        **common,  # type: ignore[arg-type]
        pid_file=str(params["pid_file"] or f"/run/{params['name']}.pid"),
    )


if __name__ == "__main__":
    main()
