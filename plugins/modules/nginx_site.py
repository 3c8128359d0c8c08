#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_site
short_description: Put a file of Nginx's configuration live, if the whole tree passes with it
version_added: 0.1.0
description:
  - Tests the whole configuration with the new content in the place of the file, before anything on disk changes. At no moment does the live tree fail C(nginx -t), also when the run is killed.
  - What Nginx refuses is not written. Its own message is returned, with the file and line, and the next run is refused again.
  - Reloads Nginx when the file changed, or when Nginx has not read its latest state since a run was killed. Waits until new workers take requests; if Nginx goes on with the old ones, the old content is put back.
  - Testing opens, and where they are missing makes, the log files and the pid file that the configuration names, as C(nginx -t) always does.
attributes:
  check_mode:
    description: Can run in check mode, tests the whole tree there too, and changes nothing.
    support: full
  diff_mode:
    description: Shows the file before and after.
    support: full
options:
  path:
    description: The file.
    type: path
    required: true
  content:
    description: What it shall hold.
    type: str
    required: true
  context:
    description:
      - V(http) for a file that the http block includes, V(server) for one that a server block includes.
      - A file of V(server) may be included later; it is tested in a server block of the test's own.
    type: str
    choices: [http, server]
    default: http
  nginx:
    description: Nginx's binary.
    type: path
    default: /usr/sbin/nginx
author:
  - flaskworks (@flaskworks)
"""

EXAMPLES = r"""
- name: Put the site live
  flaskworks.static_media.nginx_site:
    path: /etc/nginx/conf.d/gallery.conf
    content: "{{ lookup('ansible.builtin.template', 'gallery.conf.j2') }}"
"""

RETURN = r"""
tested:
  description: Whether the tree was tested. V(false) only in check mode, where Nginx is not installed yet.
  returned: always
  type: bool
  sample: true
included:
  description: Whether the configuration reaches the file.
  returned: when tested
  type: bool
  sample: true
reloaded:
  description: Whether Nginx was reloaded, or would be.
  returned: success
  type: bool
  sample: true
nginx_version:
  description: Version of Nginx.
  returned: when tested
  type: str
  sample: 1.26.3
file:
  description: The file at fault.
  returned: when Nginx named one
  type: str
  sample: /etc/nginx/conf.d/other.conf
line:
  description: The line in it.
  returned: when Nginx named one
  type: int
  sample: 14
"""

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import _process
from ansible_collections.flaskworks.static_media.plugins.module_utils._nginx_site import (
    ENCODING,
    Build,
    Running,
    SiteError,
    test_tree,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "content": {"type": "str", "required": True},
            "context": {"type": "str", "choices": ["http", "server"], "default": "http"},
            "nginx": {"type": "path", "default": "/usr/sbin/nginx"},
        },
        supports_check_mode=True,
    )
    path = module.params["path"]
    content = module.params["content"].encode("utf-8")
    before = _read(path)
    diff = {
        "before_header": path,
        "after_header": path,
        "before": (before or b"").decode("utf-8", "replace"),
        "after": content.decode("utf-8"),
    }
    if not os.path.exists(module.params["nginx"]):
        if module.check_mode:
            module.exit_json(changed=before != content, tested=False, reloaded=False, diff=diff)
        module.fail_json(
            msg=f"{module.params['nginx']} is not there. Install Nginx first, as the role flask_site does."
        )
    try:
        result = _put_live(module, path, before, content)
    except SiteError as error:
        module.fail_json(msg=str(error), tested=True, file=error.file, line=error.line)
    for warning in result.pop("warnings"):
        module.warn(warning)
    module.exit_json(**result, tested=True, diff=diff)


def _put_live(
    module: AnsibleModule, path: str, before: bytes | None, content: bytes
) -> dict[str, object]:
    build = Build.ask(module.params["nginx"])
    with tempfile.TemporaryDirectory(dir=module.tmpdir) as stage:
        tested = test_tree(
            build,
            stage,
            path,
            content.decode(ENCODING),
            is_server_context=module.params["context"] == "server",
        )
    running = Running(build)
    changed = before != content
    reload_needed = running.master is not None and (changed or running.is_reload_pending(path))
    if not module.check_mode:
        if changed:
            _write(module, path, content)
        if reload_needed:
            _process.settle(path)
            try:
                running.reload()
            except SiteError:
                _restore(module, path, before)
                raise
    return {
        "changed": changed or reload_needed,
        "included": tested.included,
        "reloaded": reload_needed,
        "nginx_version": build.version,
        "warnings": tested.warnings,
    }


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:
        return None


def _write(module: AnsibleModule, path: str, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    # Its leading dot keeps every include from it, and its fixed name lets the next run take over
    # what a killed one left.
    temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.new")
    with open(temporary, "wb") as stream:
        stream.write(content)
        os.fchmod(stream.fileno(), 0o644)
    module.atomic_move(temporary, path)


def _restore(module: AnsibleModule, path: str, before: bytes | None) -> None:
    """Put back what Nginx runs on, so that the disk never holds what it would not start with."""
    if before is None:
        os.unlink(path)
    else:
        _write(module, path, before)


if __name__ == "__main__":
    main()
