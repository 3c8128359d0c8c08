#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_secret_key
short_description: Keep a secret key on the host, made once, and hand it to an app
version_added: 0.1.0
description:
  - Makes a random key on the first run, and never another one, so that no deploy logs anybody out.
  - Writes it to O(env_file) as the variable O(name). Another name is another line with the same key.
  - The key never leaves the host, and is neither shown nor returned.
attributes:
  check_mode:
    description: Can run in check mode and tell what would change.
    support: full
  diff_mode:
    description: Names the files that are written, and shows nothing of them.
    support: partial
    details: Both hold the key.
options:
  path:
    description:
      - File of the key, which root alone can read. Its directory has to be there.
      - A key of your own, in one line, is kept.
    type: path
    required: true
  env_file:
    description: File to write the variable to, for systemd's C(EnvironmentFile=) and for shells.
    type: path
    required: true
  name:
    description: Name of the variable.
    type: str
    required: true
  group:
    description: Group that may read O(env_file). When unset, root alone can.
    type: str
author:
  - flaskworks (@flaskworks)
"""

EXAMPLES = r"""
- name: Keep a secret key
  flaskworks.static_media.flask_secret_key:
    path: /etc/gallery/secret_key
    env_file: /etc/gallery/secret_key.env
    name: FLASK_SECRET_KEY
    group: gallery
"""

RETURN = r"""
written:
  description: Files that were written, or would be.
  returned: success
  type: list
  elements: str
  sample: [/etc/gallery/secret_key, /etc/gallery/secret_key.env]
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils._secret_key import (
    NAME,
    SecretKey,
    SecretKeyError,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            # Neither holds a secret itself; Ansible would guess so by the name.
            "path": {"type": "path", "required": True, "no_log": False},
            "env_file": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "group": {"type": "str"},
        },
        supports_check_mode=True,
    )
    params = module.params
    if not NAME.match(params["name"]):
        module.fail_json(
            msg=f"name is {params['name']!r}: write a variable's name, such as FLASK_SECRET_KEY."
        )
    key = SecretKey(params["path"], params["env_file"], params["name"])
    try:
        written = key.plan() if module.check_mode else key.apply()
    except (SecretKeyError, OSError) as error:
        module.fail_json(msg=f"The secret key was not changed: {error}")
    changed = bool(written)
    for path, group, mode in (
        (key.path, None, 0o600),
        (key.env_file, params["group"], 0o640 if params["group"] else 0o600),
    ):
        if os.path.exists(path):
            changed = module.set_mode_if_different(path, mode, changed)
            changed = module.set_owner_if_different(path, str(os.geteuid()), changed)
            if group is not None:
                changed = module.set_group_if_different(path, group, changed)
    module.exit_json(
        changed=changed,
        written=written,
        diff={"before": "", "after": "".join(f"{path}\n" for path in written)},
    )


if __name__ == "__main__":
    main()
