#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_evidence_info
short_description: What a diagnosis asks of a host, all at once
version_added: 0.1.0
description:
  - Makes requests byte for byte, asks the kernel what users can do, looks at files, trees and file systems, and returns the answers.
    It judges nothing.
  - Nothing is changed but for canaries, which are small files that are written as a user and removed before the module ends.
    A killed run's are removed by the next one that writes to the same directory.
  - Every question has an answer. What can't be asked is answered by RV(ignore:unseen), which says why, and what it takes.
  - All of it takes at most 60 seconds; what was not reached until then is unseen.
  - Cookies, queries in log lines, and values that look like those of an env file are masked.
attributes:
  check_mode:
    description: Can run in check mode and ask the same, as far as that writes nothing.
    support: partial
    details: Writes no canaries, and asks nothing that needs one.
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
options:
  questions:
    description:
      - The questions by their kind, each with an C(id) of its own. C({canary:ID}) in a target or a path stands for the name of a canary.
      - C(canaries) are written to a C(directory), as C(user) (a name or a number, with C(gid) and C(groups)), in the view and with the umask of
        C(process_id), with a C(suffix) and C(content), or C(hidden), with a dot before its name.
      - C(requests) go to C(address) and C(port), with C(tls), or to a C(unix_socket), for C(host), C(method) and C(target), which is sent as it is,
        with C(headers), after a line of the PROXY protocol with C(proxy_protocol), and C(body_bytes) zeros as a body, which is only
        announced with C(expect), or of no announced length with C(chunked).
        C(protocol) is V(http) or V(uwsgi). C(log) tells to look for lines in O(error_logs). With C(process_id) they are made from that process's network.
      - C(paths) ask what C(user) (or C(uid), C(gid) and C(groups)) can do, as M(flaskworks.static_media.path_access_info) has it with C(want), C(unwanted)
        and C(sample_files), in the view of C(process_id).
      - C(trees) are looked at for so many C(seconds); the newest C(limit) entries are described. Not C(deep), only the directory itself is; with
        C(beside) only what begins with that name in it, and isn't it.
        With C(beneath_mounts) it is what the layers of the container of C(process_id) have, whatever is mounted over them.
      - C(storage) is the file system that a C(path) lies on, C(files) are what a C(path) leads to, with C(hash) its SHA-256.
    type: dict
    required: true
  error_logs:
    description: Nginx's error logs. What a request adds to them is returned with it.
    type: list
    elements: path
    default: []
  logs_process_id:
    description: A process of that Nginx, where its paths lead elsewhere than for everybody else, as in a container.
    type: int
author:
  - flaskworks (@flaskworks)
seealso:
  - module: flaskworks.static_media.path_access_info
  - module: flaskworks.static_media.media_canary
"""

EXAMPLES = r"""
- name: Ask whether an upload is served
  become: true
  flaskworks.static_media.flask_evidence_info:
    error_logs: [/var/log/nginx/error.log]
    questions:
      canaries:
        - {id: upload, directory: /var/www/gallery/media, user: gallery, suffix: .png}
      requests:
        - {id: served, port: 80, host: gallery.example.com, target: "/media/{canary:upload}", log: true}
      paths:
        - {id: readable, path: "/var/www/gallery/media/{canary:upload}", user: www-data, want: [read]}
"""

RETURN = r"""
answers:
  description:
    - For each id what was found out.
    - Of a canary whether it was C(written), its C(name), C(path), C(size), C(mode), C(owner), C(group), C(sha256), or the C(error) as
      M(flaskworks.static_media.media_canary) has it.
    - Of a request C(status), C(reason), C(headers) in their order, C(length) and C(sha256) of the first 2 MiB of the body, C(is_all), its C(head),
      C(error) in words, whether all of it was C(sent), and C(log).
    - Of a path what M(flaskworks.static_media.path_access_info) returns of it, and its C(components) with the links on the way.
    - Of a tree C(files), C(directories), C(is_all), C(entries), C(dotfiles), C(executable), C(world_writable), C(links) and their C(counts).
    - Of storage what is free, what is mounted, and the entry of C(fstab) that should be and is not.
    - Of a file C(exists), C(type), C(mode), C(owner), C(group), C(size), C(mtime), C(sha256), C(link) and C(realpath).
    - Of what could not be asked only C(unseen), but a path's C(components) are told all the same.
  returned: always
  type: dict
  sample:
    served:
      status: 403
      reason: Forbidden
      headers: [[Server, nginx], [Content-Length, "146"]]
      length: 146
      sha256: 4d8e…
      head: "<html>…"
      is_all: true
      error: null
      sent: true
      target: /media/flask-verify-0123456789abcdef0123456789abcdef.png
      log:
        - '2026/11/29 09:00:00 [error] 9#9: *1 open() "/var/www/gallery/media/…" failed (13: Permission denied), …'
    other:
      unseen: "User deploy can't act as www-data: only root can. Set 'become: true' on the task, or connect as www-data."
unseen:
  description: What else could not be seen, and what it takes.
  returned: always
  type: list
  elements: str
  sample: []
"""

import signal
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import _evidence


def _end(number: int, _frame: t.Any) -> t.NoReturn:
    raise SystemExit(128 + number)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "questions": {"type": "dict", "required": True},
            "error_logs": {"type": "list", "elements": "path", "default": []},
            "logs_process_id": {"type": "int"},
        },
        supports_check_mode=True,
    )
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        # Ended by whoever waits no longer, it still removes its canaries.
        signal.signal(number, _end)
    params = module.params
    found = _evidence.answer(
        params["questions"],
        error_logs=params["error_logs"],
        logs_process_id=params["logs_process_id"],
        check_mode=module.check_mode,
    )
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
