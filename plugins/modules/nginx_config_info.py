#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_config_info
short_description: The Nginx that a host runs, and its configuration
version_added: 0.1.0
description:
  - Finds the master process, in a container of this host too, and reads the configuration that it was started with.
  - Nginx itself judges the configuration and says which files belong to it, by C(nginx -T) of a staged tree.
  - So no log file, directory or pid file comes into being. In a container it is asked by C(docker exec), of the tree that is there.
  - Changes, reloads and signals nothing.
  - Secrets in the configuration are masked on the host. Such are values of C(proxy_set_header Authorization), of C(secure_link_md5),
    of variables with a telling name, and comments with these. What is Lua is left out.
  - Without root, files are read as far as they can be; RV(nginx.unseen) says what more it takes root to see.
attributes:
  check_mode:
    description: Can run in check mode and return the same.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
options:
  nginx:
    description: Nginx's binary. When unset, that of the running Nginx, else the C(nginx) of C(PATH) or of the usual directories.
    type: path
  conf_file:
    description: The configuration, when one of several Nginx of this host is meant. No other counts then.
    type: path
author:
  - flaskworks (@flaskworks)
seealso:
  - module: flaskworks.static_media.flask_process_info
"""

EXAMPLES = r"""
- name: Find Nginx
  flaskworks.static_media.nginx_config_info:
  become: true
  register: found

- name: Require that Nginx runs what is on disk
  ansible.builtin.assert:
    that: not found.nginx.changed_since_load
"""

RETURN = r"""
nginx:
  description: What was found.
  returned: success
  type: dict
  contains:
    installed:
      description: Whether there is an Nginx, running or not.
      type: bool
      sample: true
    running:
      description: Whether a master process runs.
      type: bool
      sample: true
    binary:
      description: Its binary, within its container if it is in one.
      type: str
      sample: /usr/sbin/nginx
    version:
      description: Its version.
      type: str
      sample: 1.22.1
    build_arguments:
      description: The arguments that it was configured with, of C(nginx -V).
      type: str
      sample: --prefix=/usr/share/nginx --conf-path=/etc/nginx/nginx.conf
    prefix:
      description: What relative paths of logs and roots are relative to. Ends with a slash.
      type: str
      sample: /usr/share/nginx/
    conf_file:
      description: The configuration, as the master was started with it.
      type: str
      sample: /etc/nginx/nginx.conf
    default_error_log:
      description: The error log where the configuration names none.
      type: str
      sample: /var/log/nginx/error.log
    master_pid:
      description: The master's process id on this host.
      type: int
      sample: 812
    container:
      description: The container that it runs in, with C(id), C(name), C(image), C(mounts), C(ports) and more; null outside of one.
      type: dict
      sample: null
    worker_user:
      description: User that the workers run as. In a container, as it is called there.
      type: str
      sample: www-data
    worker_uid:
      description: That user's number on this host.
      type: int
      sample: 33
    worker_gid:
      description: Group that the workers run as.
      type: int
      sample: 33
    worker_groups:
      description: All groups of a worker.
      type: list
      elements: int
      sample: [33]
    worker_pids:
      description: Workers that take connections.
      type: list
      elements: int
      sample: [813, 814]
    files:
      description: Each file of the configuration with its C(path) and C(content), in the order in which Nginx reads them.
      type: list
      elements: dict
      sample: [{path: /etc/nginx/nginx.conf, content: "events { } http { }"}]
    source:
      description: V(nginx -T) when Nginx said which files it reads; V(files) when they were found by their includes alone.
      type: str
      sample: nginx -T
    test:
      description:
        - What C(nginx -t) says of the configuration on disk. C(ok), C(message), C(file), C(line) and C(warnings).
        - Null when Nginx could not be asked.
      type: dict
      sample: {ok: true, message: "", file: null, line: null, warnings: []}
    loaded:
      description: When the workers that serve were started, which is when the configuration was last loaded.
      type: str
      sample: "2026-11-29T09:00:00Z"
    changed_since_load:
      description: Files of the configuration, and certificates, that changed after that. C(path) and C(changed).
      type: list
      elements: dict
      sample: []
    directories_changed_since_load:
      description: Directories that an include searches, in which a name came or went after that.
      type: list
      elements: dict
      sample: []
    listens:
      description: Where the master listens. C(address), which begins with C(unix:) for a socket, and C(port).
      type: list
      elements: dict
      sample: [{address: 0.0.0.0, port: 80}]
    error_logs:
      description: Error logs that the configuration names and the master holds open.
      type: list
      elements: str
      sample: [/var/log/nginx/error.log]
    others:
      description: Other masters on this host. The one on port 80 or 443 comes first, and is described above.
      type: list
      elements: dict
      sample: []
    selinux:
      description: V(enforcing), V(permissive), or null without SELinux.
      type: str
      sample: null
    unseen:
      description: What could not be seen, why, and what it takes.
      type: list
      elements: str
      sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import _nginx_config


def main() -> None:
    module = AnsibleModule(
        argument_spec={"nginx": {"type": "path"}, "conf_file": {"type": "path"}},
        supports_check_mode=True,
    )
    found = _nginx_config.discover(module.params["nginx"], module.params["conf_file"])
    module.exit_json(changed=False, nginx=found)


if __name__ == "__main__":
    main()
