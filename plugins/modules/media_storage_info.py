#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: media_storage_info
short_description: Whether uploads have their mount, and room
version_added: 0.1.0
description:
  - Tells what is mounted where the uploads should be, what is free there, and whether Nginx can write request bodies to disk.
  - Reads only. C(nginx -t) is not run, since it would mend the owner of those directories.
attributes:
  check_mode:
    description: Can run in check mode and return the same.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
options:
  roots:
    description: Directories of the uploads.
    type: list
    elements: path
    required: true
  mount:
    description: The mount that was described, as M(flaskworks.static_media.media_mount) has it. Further keys are passed over.
    type: dict
  nginx_user:
    description: User of Nginx's workers.
    type: str
    required: true
author:
  - flaskworks (@flaskworks)
seealso:
  - module: flaskworks.static_media.media_mount
"""

EXAMPLES = r"""
- name: Ask how much room there is for uploads
  flaskworks.static_media.media_storage_info:
    roots: [/var/www/gallery/media]
    nginx_user: www-data
  register: storage
"""

RETURN = r"""
mount:
  description:
    - What is there of O(mount), or null without one. RV(ignore:mounted) names what is mounted there, or is null.
    - RV(ignore:expected) tells whether it is what was described, RV(ignore:marked) whether the sentinel is in it, and
      RV(ignore:options_apply) whether the kernel has the options.
  returned: success
  type: dict
  sample:
    mounted: /dev/vdb1 (ext4)
    expected: true
    marked: true
    options: [nodev, noexec, nosuid]
    options_apply: true
    source_missing: false
filesystems:
  description: The file systems that O(roots) lie on. What is free is free for users other than root.
  returned: success
  type: list
  elements: dict
  sample:
    - mount_point: /var/www/gallery/media
      roots: [/var/www/gallery/media]
      total_bytes: 105089261568
      free_bytes: 48318382080
      total_inodes: 6553600
      free_inodes: 6432001
body_temp:
  description:
    - The directories of C(client_body_temp_path), by Nginx's configuration on disk or as it was compiled. Empty without Nginx.
    - RV(ignore:allowed) tells whether O(nginx_user) can write there, RV(ignore:blocked_by) what stops it, as in
      M(flaskworks.static_media.path_access_info).
  returned: success
  type: list
  elements: dict
  sample:
    - path: /var/lib/nginx/body
      exists: true
      allowed: true
      blocked_by: null
      mode: "0700"
      owner: www-data
      group: root
      room: {mount_point: /, total_bytes: 105089261568, free_bytes: 48318382080, total_inodes: 6553600, free_inodes: 6432001}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _media_mount,
    _media_storage,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "roots": {"type": "list", "elements": "path", "required": True},
            "mount": {"type": "dict"},
            "nginx_user": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    mount = module.params["mount"]
    names = ("src", "path", "fstype", "opts", "sentinel")
    try:
        state = (
            _media_mount.state(_media_mount.Wanted(*(mount[name] for name in names)))
            if mount
            else None
        )
        body_temp = _media_storage.body_temp(module.params["nginx_user"])
    except (_media_mount.MediaMountError, _as_user.AsUserError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        mount=state,
        filesystems=_media_storage.filesystems(module.params["roots"]),
        body_temp=body_temp,
    )


if __name__ == "__main__":
    main()
