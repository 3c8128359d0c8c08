#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: media_mount
short_description: Mount a file system for uploads, and let nobody write beneath it
version_added: 0.1.0
description:
  - Mounts O(src) at O(path) with what the kernel confirms to be O(opts), and writes the line of C(/etc/fstab) that mounts it at each boot.
    All other lines are left as they are, to the byte.
  - Gives the directory beneath the mount to root with mode 0000, so that nobody can write there when the mount is gone.
  - Leaves a file in the mounted file system, O(sentinel), by whose absence a service can tell that the mount is gone, or another one is there.
  - Refuses when something else is mounted there, when the directory beneath holds files, which the mount would hide, and when
    O(src) is not there. Then nothing was changed.
  - Mounts before it writes C(/etc/fstab), since a line that can't be mounted stops the next boot.
attributes:
  check_mode:
    description: Can run in check mode and return the changes that it would make.
    support: full
  diff_mode:
    description: Shows what is done, and the line of C(/etc/fstab) before and after.
    support: full
options:
  src:
    description:
      - What to mount, as the first field of C(/etc/fstab) has it. A device, C(UUID=…), C(server:/path), or a directory with V(bind) in O(opts).
    type: str
    required: true
  path:
    description: Where to mount it. Absolute path without links in it.
    type: path
    required: true
  fstype:
    description: Type of the file system. V(none) for a directory.
    type: str
    required: true
  opts:
    description: Mount options, separated by commas.
    type: str
    default: noexec,nosuid,nodev
  sentinel:
    description: Name of the file that says whose media it is, C(.flask_media_) and the app's name. Such names are not served.
    type: str
    required: true
  owner:
    description: Owner of O(sentinel), whom it is given to when it is made. One that is there is left as it is.
    type: str
    default: root
  group:
    description: Group of O(sentinel).
    type: str
    default: root
  mode:
    description: Mode of O(sentinel), as a string in quotes.
    type: str
    default: "0640"
author:
  - flaskworks (@flaskworks)
seealso:
  - module: flaskworks.static_media.media_storage_info
"""

EXAMPLES = r"""
- name: Mount the disk of the uploads
  flaskworks.static_media.media_mount:
    src: UUID=0aef28b9-3d11-4ab4-a0d5-d0e8cf7cc2ad
    path: /var/www/gallery/media
    fstype: ext4
    sentinel: .flask_media_gallery

- name: Mount a directory of a larger file system
  flaskworks.static_media.media_mount:
    src: /srv/volumes/gallery
    path: /var/www/gallery/media
    fstype: none
    opts: bind,noexec,nosuid,nodev
    sentinel: .flask_media_gallery
"""

RETURN = r"""
actions:
  description:
    - What was done, or would be, in this order. V(make) and V(close) the directory beneath, V(mount) or V(remount), V(mark) the file system,
      V(fstab), V(daemon-reload).
  returned: success
  type: list
  elements: str
  sample: [close, mount, mark, fstab, daemon-reload]
"""

import grp
import pwd

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _media_mount,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "fstype": {"type": "str", "required": True},
            "opts": {"type": "str", "default": "noexec,nosuid,nodev"},
            "sentinel": {"type": "str", "required": True},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "mode": {"type": "str", "default": "0640"},
        },
        supports_check_mode=True,
    )
    params = module.params
    wanted = _media_mount.Wanted(
        **{name: params[name] for name in ("src", "path", "fstype", "opts", "sentinel")}
    )

    def mark() -> None:
        _media_mount.write_mark(
            wanted,
            uid=pwd.getpwnam(params["owner"]).pw_uid,
            gid=grp.getgrnam(params["group"]).gr_gid,
            mode=int(params["mode"], 8),
        )

    try:
        planned = _media_mount.plan(wanted)
        if not module.check_mode:
            _media_mount.apply(wanted, planned, mark)
    except (_media_mount.MediaMountError, _as_user.AsUserError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or wanted.path}: {error.strerror}. Mend that first.")
    except KeyError as error:
        module.fail_json(msg=f"owner or group: {error.args[0]}. Make it first.")
    actions = "".join(f"{action} {wanted.path}\n" for action in planned.actions)
    module.exit_json(
        changed=bool(planned.actions),
        actions=list(planned.actions),
        diff=[
            {"before": "", "after": actions},
            {
                "before_header": _media_mount.FSTAB,
                "after_header": _media_mount.FSTAB,
                "before": planned.fstab_before,
                "after": planned.fstab_after,
            },
        ],
    )


if __name__ == "__main__":
    main()
