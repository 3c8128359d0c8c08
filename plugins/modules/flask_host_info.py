#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_host_info
short_description: Facts of a host that decide whether an app can be set up there
version_added: 0.1.0
description:
  - Tells which service manager runs the host, who listens on a port, what a user name and a directory stand for.
  - M(flaskworks.static_media.flask_settings) judges a description by these facts before the first change.
attributes:
  check_mode:
    description: Can run in check mode and return the same.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
options:
  port:
    description: TCP port whose listeners are looked up.
    type: int
    required: true
  further_ports:
    description: TCP ports whose listeners are looked up, too.
    type: list
    elements: int
    default: []
  certificate:
    description: A certificate to look up. C(certificate) and C(key) are its files, C(names) the host names that it is for.
    type: dict
  bind:
    description: Where the app listens, as C(unix:/path) or C(host:port).
    type: str
    required: true
  service:
    description: Name of the app's service.
    type: str
    required: true
  root:
    description: Directory of the app's releases, C(flask_app_root). Without it, none are looked for.
    type: path
  container:
    description:
      - The container that the app runs in, where it runs in one.
      - Either C(container), its name, or C(app) and C(socket) of one that M(flaskworks.static_media.flask_container) runs.
    type: dict
  users:
    description: Names of users to look up.
    type: list
    elements: str
    default: []
  groups:
    description: Names of groups to look up.
    type: list
    elements: str
    default: []
  directories:
    description: Directories to look up.
    type: list
    elements: path
    default: []
  directory_mark:
    description: Name of the file that says in one of O(directories) whose uploads it is for.
    type: str
    default: ""
  site_files:
    description: Files of Nginx's that may be the collection's and name O(directories) in use.
    type: list
    elements: path
    default: []
  paths:
    description: Files and directories that a set-up would take, to tell whose they are.
    type: list
    elements: path
    default: []
author:
  - flaskworks (@flaskworks)
"""

EXAMPLES = r"""
- name: Ask who listens on port 80
  flaskworks.static_media.flask_host_info:
    port: 80
    bind: unix:/run/gallery/gallery.sock
    service: gallery
  register: host
"""

RETURN = r"""
service_manager:
  description: V(systemd) where it is PID 1, else V(sysvinit).
  returned: always
  type: str
  sample: systemd
package_manager:
  description: V(apt) or V(dnf).
  returned: always
  type: str
  sample: apt
ipv6:
  description: Whether the host has an IPv6 address, C(lo)'s included.
  returned: always
  type: bool
  sample: true
nginx:
  description:
    - Modules of the Nginx that is installed, compiled in or loaded by its configuration, for precompressed files. Null where there is no Nginx.
  returned: always
  type: dict
  sample: {gzip_static: true, brotli_static: false}
listeners:
  description: Who listens on O(port) and O(further_ports). Process and pid are null where they are not to be seen.
  returned: always
  type: list
  elements: dict
  sample:
    - {address: "0.0.0.0:80", pid: 812, process: nginx}
certificate:
  description:
    - What a browser would say to O(certificate), whoever has signed it. Null where it wasn't asked for.
    - C(error) says why Nginx could not use it, or is null; C(at_fault) is then C(certificate) or C(key), C(missing) whether there is no such file.
    - C(key_readers) says who besides root can read C(key_path), which is the key behind its links, or is null.
    - C(refused_names) has the reason for each host name that browsers refuse it for.
  returned: always
  type: dict
  sample:
    error: null
    at_fault: null
    missing: false
    key_path: /etc/ssl/private/gallery.key
    key_readers: null
    refused_names: {www.example.com: certificate has expired}
app_process_id:
  description:
    - The main process of O(service) when it listens on O(bind), or else the first other process that does, though not systemd itself, or null.
    - When none can be seen to listen, the main process of O(service).
  returned: always
  type: int
  sample: 1204
nginx_view:
  description:
    - How the running Nginx sees O(directories), through the mounts of its own that its unit may give it. Null where none runs, and without root.
    - RV(ignore:writable) are those that root could write to there, and RV(ignore:mount_points) which of them are mount points.
      RV(ignore:is_older) tells whether it was started before the part of its unit that role C(flask_site) writes for O(service).
  returned: always
  type: dict
  sample: {process_id: 812, is_older: false, writable: [], mount_points: []}
service_process_id:
  description: Main process of O(service), as the service manager knows it, or null.
  returned: always
  type: int
  sample: 1204
bind_holders:
  description: Processes that listen at O(bind), or where nobody else can listen there. Those that are not to be seen are left out.
  returned: always
  type: list
  elements: dict
  sample:
    - {pid: 1204, process: gunicorn, user: gallery}
container:
  description:
    - The container that the app runs in. Null where it runs in none, or where there is no such container.
    - Its process is null where this host numbers its processes otherwise than the engine does.
  returned: always
  type: dict
  sample:
    id: 5b1f0c7a90de
    name: gallery-3f1c0a9be2d4-0b7a91-app-1
    image: 3f1c0a9be2d4
    user: "998:998"
    running: true
    process_id: 1204
    read_only: true
    mounts: [{type: bind, source: /var/www/gallery/media, target: /var/www/gallery/media, writable: true}]
engine_error:
  description: Why O(container) could not be looked up, or null.
  returned: always
  type: str
  sample: null
release:
  description: Release in use, which C(current) in O(root) leads to, or null.
  returned: always
  type: str
  sample: 3f1c0a9be2d4
current:
  description: What C(current) in O(root) is. V(link), V(directory) or V(file), or null.
  returned: always
  type: str
  sample: link
releases:
  description: Whole releases below O(root), sorted.
  returned: always
  type: list
  elements: str
  sample: [3f1c0a9be2d4, 9d2b7c41aa07]
users:
  description: For each of O(users) its uid, gid and home, or null.
  returned: always
  type: dict
  sample:
    gallery: {uid: 998, gid: 998, home: /opt/gallery}
groups:
  description: For each of O(groups) its gid, or null.
  returned: always
  type: dict
  sample:
    gallery: {gid: 998}
paths:
  description:
    - For each of O(paths) V(missing), V(empty), V(ours) or V(foreign). A file is the collection's when it says so in its head, and
      a directory when there is such a file in it.
  returned: always
  type: dict
  sample:
    /etc/gallery: ours
    /etc/nginx/conf.d/gallery.conf: missing
guest_files:
  description: Files of the collection's that put O(service) into the server blocks of other apps.
  returned: always
  type: list
  elements: str
  sample: [/etc/nginx/flask.d/gallery/shop.conf]
directories:
  description:
    - For each of O(directories) its kind, the path behind its links, the virtualenv and git checkout that it lies in, and whether its
      file system keeps POSIX ACLs.
    - RV(ignore:owner) and RV(ignore:owner_uid) tell whose it is, RV(ignore:is_empty) whether anything is in it, and RV(ignore:is_in_use)
      whether it has the O(directory_mark), or one of O(site_files) and RV(guest_files) is the collection's and names it.
  returned: always
  type: dict
  sample:
    /var/www/gallery/media:
      kind: directory
      resolved: /var/www/gallery/media
      virtualenv: null
      checkout: null
      keeps_acls: true
      owner: gallery
      owner_uid: 998
      is_empty: false
      is_in_use: true
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _certificate,
    _confinement,
    _host,
    _hosted_container,
    _nginx_modules,
    _release,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "port": {"type": "int", "required": True},
            "further_ports": {"type": "list", "elements": "int", "default": []},
            "certificate": {"type": "dict"},
            "bind": {"type": "str", "required": True},
            "service": {"type": "str", "required": True},
            "root": {"type": "path"},
            "container": {"type": "dict"},
            "users": {"type": "list", "elements": "str", "default": []},
            "groups": {"type": "list", "elements": "str", "default": []},
            "directories": {"type": "list", "elements": "path", "default": []},
            "directory_mark": {"type": "str", "default": ""},
            "site_files": {"type": "list", "elements": "path", "default": []},
            "paths": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        package_manager = _host.package_manager()
    except LookupError as error:
        module.fail_json(msg=error.args[0])
    root = module.params["root"]
    ports = [module.params["port"], *module.params["further_ports"]]
    certificate = module.params["certificate"]
    container, engine_error = _hosted_container.look_up(module.params["container"])
    nginx_view = _confinement.view_of_nginx(module.params["service"], module.params["directories"])
    guest_files = _host.guest_files(module.params["service"])
    site_files = [*module.params["site_files"], *guest_files]
    module.exit_json(
        changed=False,
        package_manager=package_manager,
        service_manager=_host.service_manager(),
        ipv6=_host.has_ipv6(),
        nginx=_nginx_modules.static_modules(),
        listeners=[listener for port in ports for listener in _host.listeners(port)],
        certificate=_certificate.described(**certificate) if certificate else None,
        app_process_id=container["process_id"]
        if container
        else _host.app_process(module.params["bind"], module.params["service"]),
        container=container,
        engine_error=engine_error,
        nginx_view=nginx_view._asdict() if nginx_view else None,
        service_process_id=_host.service_process(module.params["service"]),
        bind_holders=_host.bind_holders(module.params["bind"]),
        release=_release.current_id(root) if root else None,
        current=_host.kind_of(os.path.join(root, "current")) if root else None,
        releases=_release.built_ids(root) if root else [],
        users={name: _host.user_facts(name) for name in module.params["users"]},
        groups={name: _host.group_facts(name) for name in module.params["groups"]},
        paths={path: _host.claim(path) for path in module.params["paths"]},
        guest_files=guest_files,
        directories={
            path: _host.directory_facts(path, module.params["directory_mark"], site_files)
            for path in module.params["directories"]
        },
    )


if __name__ == "__main__":
    main()
