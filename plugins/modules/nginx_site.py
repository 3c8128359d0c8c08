#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_site
short_description: Put one Nginx configuration file live only if Nginx takes the whole configuration with it
version_added: 0.1.0
description:
  - Tests the whole configuration as it would be, with Nginx itself, before the first byte is written. A refused change leaves
    nothing behind, so the same run again is refused again.
  - Then writes the file in one step, makes Nginx load it, and waits until new worker processes serve. When Nginx refuses to load
    what passed its test, such as an address that another program listens on, the former content is put back.
  - The test is kept from creating the pid file, log files and directories that the configuration names. Like any C(nginx -t) it loads
    modules, resolves the names of upstream hosts, and binds, for a moment, addresses that nobody listens on.
  - Nginx is asked to reload when the file was changed, and also when it has yet to load what is there. That is so when one of its worker
    processes is older than the file's last change, or when a run was killed before it saw the reload through.
  - No service manager is asked, so it works alike under systemd, init scripts and in containers. A host where Nginx runs without a master
    process (C(master_process off)) counts as one where it doesn't run.
attributes:
  check_mode:
    description: In check mode the whole configuration is tested all the same, and what would be refused is refused.
    support: full
  diff_mode:
    description: Returns the content before and after.
    support: full
options:
  path:
    description:
      - The file. Absolute path. Its directory must be there, or lie in Nginx's own directory and be made.
      - If it is a symbolic link, the file that it leads to is written, but the link is what O(state=absent) removes.
    type: path
    required: true
  content:
    description: What the file holds. Required with O(state=present).
    type: str
  state:
    description:
      - V(present) puts O(content) live.
      - V(absent) removes the file, if Nginx takes the configuration without it.
    type: str
    choices: [present, absent]
    default: present
  context:
    description:
      - V(http) is a file that the C(http) block includes, as those in C(/etc/nginx/conf.d). It is a failure if nothing includes it.
      - V(server) is a file with locations, which a C(server) block includes. As long as none does, it is tested in a server block
        of its own.
    type: str
    choices: [http, server]
    default: http
  together_with:
    description:
      - Files that other tasks of the same run put live, tested as if they were there already. They are not written.
      - In check mode these are not there, and another's server block that includes one of them by name makes Nginx refuse everything.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The file. Absolute path.
        type: path
        required: true
      content:
        description: What it is going to hold.
        type: str
        required: true
  depends_on:
    description:
      - Files that Nginx reads when it loads the configuration, such as certificates. When one has changed since, Nginx is reloaded.
      - In check mode nothing is tested while one of them is missing, since it is another task's to make.
    type: list
    elements: path
    default: []
  owner:
    description: User who owns the file.
    type: str
    default: root
  group:
    description: Group of the file.
    type: str
    default: root
  mode:
    description: Mode of the file, as an octal number in quotes or in symbolic form.
    type: raw
    default: "0644"
  nginx:
    description:
      - Nginx's binary. Its C(nginx -V) tells where its configuration is.
      - By default it is looked for in C(PATH) and C(/usr/sbin).
    type: path
  reload:
    description: Whether a running Nginx loads the change.
    type: bool
    default: true
author:
  - flaskworks (@flaskworks)
seealso:
  - name: Controlling nginx
    description: How Nginx reloads.
    link: https://nginx.org/en/docs/control.html
"""

EXAMPLES = r"""
- name: Put a site live
  flaskworks.static_media.nginx_site:
    path: /etc/nginx/conf.d/gallery.conf
    content: "{{ lookup('ansible.builtin.template', 'gallery.conf.j2') }}"

- name: Put locations live, for a server block kept elsewhere that has "include snippets/gallery.conf;"
  flaskworks.static_media.nginx_site:
    path: /etc/nginx/snippets/gallery.conf
    context: server
    content: |
      location ^~ /static/ {
          alias /var/www/gallery/static/static/;
      }

- name: Take a site down
  flaskworks.static_media.nginx_site:
    path: /etc/nginx/conf.d/gallery.conf
    state: absent

- name: Use an Nginx of one's own
  flaskworks.static_media.nginx_site:
    path: /opt/nginx/conf/sites/gallery.conf
    content: "{{ lookup('ansible.builtin.template', 'gallery.conf.j2') }}"
    nginx: /opt/nginx/sbin/nginx
"""

RETURN = r"""
path:
  description: The file.
  returned: always
  type: str
  sample: /etc/nginx/conf.d/gallery.conf
tested:
  description: Whether Nginx tested the configuration. It can't in check mode where it is not installed yet, or a file of O(depends_on) is missing.
  returned: success
  type: bool
  sample: true
included:
  description: Whether Nginx's configuration includes the file. Null when it was not tested.
  returned: success
  type: bool
  sample: true
running:
  description: Whether an Nginx runs with this configuration.
  returned: success
  type: bool
  sample: true
reloaded:
  description: Whether that Nginx has loaded the configuration anew. In check mode, whether it would.
  returned: success
  type: bool
  sample: true
nginx_version:
  description: Nginx's version, or null when it is not installed.
  returned: success
  type: str
  sample: 1.26.3
nginx_warnings:
  description: What Nginx warns of, in its own words.
  returned: success
  type: list
  elements: str
  sample: ['conflicting server name "gallery.example.com" on 0.0.0.0:80, ignored']
messages:
  description: Why Nginx refuses the change, in its own words, with live paths.
  returned: when Nginx refuses the change
  type: list
  elements: str
  sample: ['unknown directive "locaton" in /etc/nginx/conf.d/gallery.conf:14']
file:
  description: The file at fault, or null when Nginx names none.
  returned: when Nginx refuses the change
  type: str
  sample: /etc/nginx/conf.d/gallery.conf
line:
  description: Line of RV(file), counted from 1, or null.
  returned: when Nginx refuses the change
  type: int
  sample: 14
foreign:
  description: Whether RV(file) is another than RV(path).
  returned: when Nginx refuses the change
  type: bool
  sample: false
broken_before:
  description: Whether Nginx refuses the configuration without the change too.
  returned: when Nginx refuses the change
  type: bool
  sample: false
diff:
  description: Content before and after.
  returned: in diff mode
  type: dict
  sample:
    before: ""
    after: "server { listen 80; }"
    before_header: /etc/nginx/conf.d/gallery.conf
    after_header: /etc/nginx/conf.d/gallery.conf
"""

import contextlib
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _nginx_site,
    _nginx_tree,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "content": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "context": {"type": "str", "choices": ["http", "server"], "default": "http"},
            "together_with": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "content": {"type": "str", "required": True},
                },
            },
            "depends_on": {"type": "list", "elements": "path", "default": []},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "mode": {"type": "raw", "default": "0644"},
            "nginx": {"type": "path"},
            "reload": {"type": "bool", "default": True},
        },
        required_if=[("state", "present", ["content"])],
        supports_check_mode=True,
    )
    path = module.params["path"]
    if not os.path.isabs(path):
        module.fail_json(
            msg=f"path is {path!r}. Write an absolute path, such as /etc/nginx/conf.d/{path}",
            path=path,
        )
    content = None
    if module.params["state"] == "present":
        content = module.params["content"].encode("utf-8")
    change = _nginx_tree.Change(path, content)
    try:
        binary = _nginx_tree.find_binary(module.params["nginx"])
        if binary is None or (module.check_mode and _waits_for_others(module)):
            result = _untested(module, change)
        else:
            result = _with_nginx(module, change, _nginx_tree.read_build(binary))
    except _nginx_tree.NginxError as error:
        module.fail_json(msg=str(error), path=path, **error.facts)
    module.exit_json(path=path, **result)


def _with_nginx(
    module: AnsibleModule, change: _nginx_tree.Change, build: _nginx_tree.Build
) -> dict[str, t.Any]:
    together_with = [
        _nginx_tree.Change(other["path"], other["content"].encode("utf-8"))
        for other in module.params["together_with"]
    ]
    site = _nginx_site.Site(
        build,
        change,
        module.params["context"],
        module.tmpdir,
        together_with,
        module.params["depends_on"],
    )
    with contextlib.nullcontext() if module.check_mode else site.lock():
        plan = site.plan()
        attributes_change = _plan_attributes(module, change)
        reload = module.params["reload"]
        changed = plan.changes or attributes_change or (plan.pending and reload)
        reloaded = plan.master is not None and changed and reload
        if not module.check_mode:
            reloaded = site.apply(
                plan, lambda content: _write(module, site, content, plan.changes), reload
            )
    warnings = [warning.text for warning in plan.warnings]
    if changed:
        for warning in warnings:
            module.warn(f"Nginx warns: {warning}")
    return {
        "changed": changed,
        "tested": True,
        "included": plan.included,
        "running": plan.master is not None,
        "reloaded": reloaded,
        "nginx_version": build.version,
        "nginx_warnings": warnings,
        **_diff(module, plan.before, change.content),
    }


def _waits_for_others(module: AnsibleModule) -> bool:
    """Return whether a file is missing that Nginx would refuse the configuration without."""
    return not all(map(os.path.exists, module.params["depends_on"]))


def _untested(module: AnsibleModule, change: _nginx_tree.Change) -> dict[str, t.Any]:
    if not module.check_mode:
        raise _nginx_tree.NginxError(
            f"Nginx is not installed: there is no {module.params['nginx'] or 'nginx in PATH'}. Install "
            "it first, or name its binary as nginx. Nothing was changed."
        )
    before = _nginx_site.read(change)
    return {
        "changed": before != change.content,
        "tested": False,
        "included": None,
        "running": False,
        "reloaded": False,
        "nginx_version": None,
        "nginx_warnings": [],
        **_diff(module, before, change.content),
    }


def _write(
    module: AnsibleModule, site: _nginx_site.Site, content: bytes, content_changes: bool
) -> None:
    target = site.change.target
    if not content_changes:
        _set_attributes(module, target)
        return
    temporary = site.temporary_file
    # A killed run's may have been given to somebody already.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    # Before it takes the name, which atomic_move() would do first, readable by all: it may hold a key.
    _set_attributes(module, temporary)
    if module.selinux_enabled():
        context = (
            module.selinux_context if os.path.exists(target) else module.selinux_default_context
        )
        module.set_context_if_different(temporary, context(target), False)
    os.replace(temporary, target)


def _set_attributes(module: AnsibleModule, path: str) -> bool:
    wanted = module.load_file_common_arguments(module.params, path=path)
    changed: bool = module.set_fs_attributes_if_different(wanted, False)
    return changed


def _plan_attributes(module: AnsibleModule, change: _nginx_tree.Change) -> bool:
    """Return whether attributes would change. Fails on an owner, group or mode that there is not."""
    if change.content is None:
        return False
    exists = os.path.exists(change.target)
    check_mode, module.check_mode = module.check_mode, True
    # For a file that is not there yet its directory stands in, or the one above.
    path = change.target
    while not os.path.exists(path):
        path = os.path.dirname(path)
    changed = _set_attributes(module, path)
    module.check_mode = check_mode
    return exists and changed


def _diff(module: AnsibleModule, before: bytes | None, after: bytes | None) -> dict[str, t.Any]:
    if not module._diff:
        return {}
    path = module.params["path"]
    return {
        "diff": {
            "before": (before or b"").decode("utf-8", "replace"),
            "after": (after or b"").decode("utf-8", "replace"),
            "before_header": path,
            "after_header": path,
        }
    }


if __name__ == "__main__":
    main()
