#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_process_info
short_description: The Python application servers that listen on a host
version_added: 0.1.0
description:
  - Finds Gunicorn, uWSGI, Waitress, Hypercorn, C(flask run) and scripts that serve themselves, in containers of this host too.
  - Says as whom they run, what they serve, from which directory and virtualenv, under which unit of systemd's or in which container.
  - Reads C(/proc), the configuration that the command line names, C(systemctl show) and C(docker inspect).
  - A configuration that is Python is read as text and never run.
  - Of the environment the names of all variables are returned, values only of a fixed list that concerns files and URLs. Secrets in command lines are masked.
  - Without root, what other users' processes hold open can't be seen; RV(unseen) and each process's C(unseen) say so.
attributes:
  check_mode:
    description: Can run in check mode and return the same.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
options:
  addresses:
    description:
      - Addresses that Nginx passes requests to, C(unix:/path) or C(host:port). Whoever listens there is told of, even if it is nothing of Python's.
      - Those at which nobody is seen to listen are named in RV(unseen).
    type: list
    elements: str
    default: []
author:
  - flaskworks (@flaskworks)
seealso:
  - module: flaskworks.static_media.nginx_config_info
  - module: flaskworks.static_media.flask_app_info
"""

EXAMPLES = r"""
- name: Find the app servers
  flaskworks.static_media.flask_process_info:
    addresses:
      - unix:/run/gallery/gallery.sock
  become: true
  register: found
"""

RETURN = r"""
processes:
  description: One for each server. Its workers are not listed on their own.
  returned: success
  type: list
  elements: dict
  contains:
    pid:
      description: Process id of the master, on this host.
      type: int
      sample: 901
    workers:
      description: Process ids of its workers.
      type: list
      elements: int
      sample: [905, 906]
    server:
      description: V(gunicorn), V(uwsgi), V(waitress), V(hypercorn), V(flask run), V(python) for a script, or null for what is none of Python's.
      type: str
      sample: gunicorn
    argv:
      description: The command line, secrets masked.
      type: list
      elements: str
      sample: [/srv/gallery/venv/bin/python3, /srv/gallery/venv/bin/gunicorn, "wsgi:app"]
    exe:
      description: The program.
      type: str
      sample: /usr/bin/python3.11
    cwd:
      description: Working directory.
      type: str
      sample: /srv/gallery
    user:
      description: User that the workers run as. In a container, as it is called there.
      type: str
      sample: gallery
    uid:
      description: That user's number on this host.
      type: int
      sample: 998
    gid:
      description: Group that the workers run as.
      type: int
      sample: 998
    group:
      description: Name of that group.
      type: str
      sample: gallery
    groups:
      description: All groups of a worker.
      type: list
      elements: int
      sample: [998]
    umask:
      description: What master and workers take from the modes of new files.
      type: str
      sample: "0022"
    listens:
      description: Where it listens, C(unix:/path) or C(host:port), in its own view.
      type: list
      elements: str
      sample: ["unix:/run/gallery/gallery.sock"]
    reachable_at:
      description: The same as Nginx on this host reaches it. Published ports and mounted sockets of containers, their addresses and names.
      type: list
      elements: str
      sample: ["unix:/run/gallery/gallery.sock"]
    unit:
      description: Service of systemd's that it belongs to.
      type: str
      sample: gallery.service
    unit_properties:
      description: Settings of that service that decide what it can reach.
      type: dict
      sample: {PrivateTmp: "yes", ProtectSystem: strict, ReadWritePaths: /var/www/gallery/media}
    container:
      description: The container that it runs in, or null.
      type: dict
      contains:
        id:
          description: Its id.
          type: str
        name:
          description: Its name.
          type: str
        image:
          description: Its image.
          type: str
        user:
          description: User that its image or its command line sets; empty for root.
          type: str
        working_directory:
          description: Working directory that is set.
          type: str
        read_only:
          description: Whether its own layer is read-only.
          type: bool
        network_mode:
          description: Its network, V(host) when it has the host's.
          type: str
        networks:
          description: Networks that it joins.
          type: list
          elements: str
        names:
          description: Names that others on its networks reach it by.
          type: list
          elements: str
        addresses:
          description: Its addresses.
          type: list
          elements: str
        mounts:
          description: C(type), C(source) on the host, C(target), C(name) of a volume, and C(read_write) of each mount.
          type: list
          elements: dict
        ports:
          description: C(host_address), C(host_port) and C(port) of each published TCP port.
          type: list
          elements: dict
    callable:
      description: The app as RV(processes[].loader) takes it. May name a file in place of a module. Null when the command line doesn't tell.
      type: str
      sample: wsgi:app
    loader:
      description: Whose rules hold for RV(processes[].callable), V(gunicorn) or V(flask).
      type: str
      sample: gunicorn
    virtualenv:
      description: Its virtualenv, or null.
      type: str
      sample: /srv/gallery/venv
    python:
      description: Its Python, that of the virtualenv if it has one.
      type: str
      sample: /srv/gallery/venv/bin/python
    directory:
      description: Directory that the app is imported from.
      type: str
      sample: /srv/gallery
    python_path:
      description: Directories that are searched for modules too.
      type: list
      elements: str
      sample: []
    config_files:
      description: Configuration of the server that was read.
      type: list
      elements: str
      sample: [/srv/gallery/gunicorn.conf.py]
    script_name:
      description: URL prefix that the server mounts the app at, or null.
      type: str
      sample: null
    environment_names:
      description: Names of the variables that it was started with.
      type: list
      elements: str
      sample: [LANG, PATH, SECRET_KEY]
    environment:
      description: Values of those that concern files and URLs.
      type: dict
      sample: {FLASK_UPLOAD_FOLDER: /var/www/gallery/media}
    unseen:
      description: What of this process could not be seen, why, and what it takes.
      type: list
      elements: str
      sample: []
unseen:
  description: What could not be seen, why, and what it takes.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import _app_process


def main() -> None:
    module = AnsibleModule(
        argument_spec={"addresses": {"type": "list", "elements": "str", "default": []}},
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **_app_process.discover(module.params["addresses"]))


if __name__ == "__main__":
    main()
