#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: path_access_info
short_description: What a user can do along a path, and what stops them
version_added: 0.1.0
description:
  - Asks the kernel, in a process with the user's own ids and groups, what it may do with a path, one component after another.
  - So modes, groups, ACLs and their masks, read-only mounts and security modules all count, and none is guessed at.
  - Names the first component that stops the user, and why. Reads only.
attributes:
  check_mode:
    description: Can run in check mode and return the same. A user that isn't there yet is an answer then, no failure.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
options:
  user:
    description:
      - User to ask as, with the groups that a new session of theirs would have.
      - Another user than the one that runs the module needs root.
    type: str
    required: true
  paths:
    description: Paths to ask about.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      want:
        description:
          - What the user should be able to do there.
          - V(traverse) passes through a directory, V(list) reads its names, V(read) reads a file or a directory's names.
          - V(write) writes a file, or makes and removes files in a directory.
          - An empty list asks only whether the user gets there.
        type: list
        elements: str
        choices: [traverse, list, read, write]
        default: []
      unwanted:
        description:
          - What the user should not be able to do there, nor with the files tried below it. RV(paths[].granted) tells what they can.
          - Counts for nothing in RV(paths[].allowed).
        type: list
        elements: str
        choices: [traverse, list, read, write]
        default: []
  sample_files:
    description:
      - How many regular files below each directory are tried for reading too.
      - The newest of those found within 5 seconds a directory, in which the directories that changed last are looked into first.
        RV(paths[].samples) tells whether that was all. Symbolic links are not followed, hidden files are passed over.
    type: int
    default: 0
  process_id:
    description:
      - Process whose view of the file system is asked about, mounts of its own included (C(ProtectSystem=), C(ReadWritePaths=), C(PrivateTmp=), a container).
      - Without it, the view of the module. Needs root.
    type: int
author:
  - flaskworks (@flaskworks)
seealso:
  - module: flaskworks.static_media.media_canary
"""

EXAMPLES = r"""
- name: Ask whether Nginx can pass through to the media root, and read the newest uploads
  flaskworks.static_media.path_access_info:
    user: www-data
    paths:
      - path: /var/www/gallery/media
        want: [traverse]
        unwanted: [write]
    sample_files: 200
  register: nginx_access

- name: Ask whether the running app can write there, as its service confines it
  flaskworks.static_media.path_access_info:
    user: gallery
    process_id: "{{ host.app_process_id }}"
    paths:
      - path: /var/www/gallery/media
        want: [traverse, list, write]
  register: app_access
"""

RETURN = r"""
asked:
  description: Whether the kernel was asked. V(false) only in check mode, when the user isn't there yet.
  returned: success
  type: bool
  sample: true
paths:
  description: One answer for each of O(paths), in their order. Empty when RV(asked) is V(false).
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The path asked about.
      type: str
      sample: /var/www/gallery/media
    exists:
      description: Whether it is there at all, whoever may see it.
      type: bool
      sample: true
    resolved:
      description: The path behind its links, or null.
      type: str
      sample: /var/www/gallery/media
    symlinks:
      description: Links passed on the way, each with its RV(ignore:path) and RV(ignore:target).
      type: list
      elements: dict
      sample: []
    allowed:
      description: Whether the user can do all of RV(ignore:want).
      type: bool
      sample: false
    missing:
      description: What the user can't do.
      type: list
      elements: str
      sample: [traverse]
    granted:
      description: What of RV(ignore:unwanted) the user can do.
      type: list
      elements: str
      sample: []
    blocked_by:
      description:
        - The first component that stops the user, or null.
        - RV(ignore:reason) is V(not-traversable), V(not-readable), V(not-writable), V(missing), V(not-a-directory),
          V(read-only-filesystem), V(acl-mask), V(symlink-blocked) or V(selinux-label).
        - RV(ignore:acl) and RV(ignore:acl_mask) are empty and null without an ACL.
      type: dict
      sample:
        component: /var/www/gallery
        reason: not-traversable
        errno: EACCES
        mode: "0700"
        owner: root
        group: root
        uid: 0
        gid: 0
        is_symlink: false
        is_directory: true
        acl: []
        acl_mask: null
    mode:
      description: Mode of the path itself; owner, group, uid and gid stand beside it. Null when it doesn't exist.
      type: str
      sample: "2750"
    owner:
      description: Owner's name, or the uid where it has none.
      type: str
      sample: gallery
    group:
      description: Group's name, or the gid where it has none.
      type: str
      sample: www-data
    uid:
      description: Owner's id.
      type: int
      sample: 998
    gid:
      description: Group's id.
      type: int
      sample: 33
    filesystem:
      description: The mount that the path, or its nearest existing parent, lies on. Null when unknown.
      type: dict
      sample:
        mount_point: /
        fstype: ext4
        device: /dev/vda
        options: [rw, relatime]
        read_only: false
    free_bytes:
      description: Bytes that users other than root can still write there.
      type: int
      sample: 48318382080
    free_inodes:
      description: Files that can still be made there. Some file systems count none and say 0.
      type: int
      sample: 3276800
    samples:
      description:
        - The files tried below a directory, or null. RV(ignore:checked) and RV(ignore:scanned) are counts, RV(ignore:complete) says
          whether all that is there was scanned.
        - RV(ignore:unreadable) has the first 10, each with the component that stops the user; RV(ignore:unreadable_count) counts all.
        - RV(ignore:granted) has the first 10 with which RV(ignore:unwanted) is possible; RV(ignore:granted_count) counts all. Besides
          the files tried, one of each look is, a directory too.
        - RV(ignore:looks) has the modes and owners of all that was scanned, the rarest first and 50 at most, each with its count and one path.
      type: dict
      sample:
        checked: 200
        scanned: 214
        complete: true
        unreadable_count: 1
        unreadable:
          - path: /var/www/gallery/media/a.png
            component: /var/www/gallery/media/a.png
            reason: not-readable
            is_directory: false
            mode: "0600"
            owner: gallery
            group: www-data
            uid: 998
            gid: 33
        granted_count: 1
        granted:
          - path: /var/www/gallery/media/b.png
            granted: [write]
            is_directory: false
            mode: "0660"
            owner: gallery
            group: www-data
            uid: 998
            gid: 33
        looks:
          - path: /var/www/gallery/media/a.png
            count: 1
            is_directory: false
            mode: "0600"
            owner: gallery
            group: www-data
            uid: 998
            gid: 33
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _path_access,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "user": {"type": "str", "required": True},
            "paths": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "want": {
                        "type": "list",
                        "elements": "str",
                        "choices": list(_path_access.WANTS),
                        "default": [],
                    },
                    "unwanted": {
                        "type": "list",
                        "elements": "str",
                        "choices": list(_path_access.WANTS),
                        "default": [],
                    },
                },
            },
            "sample_files": {"type": "int", "default": 0},
            "process_id": {"type": "int"},
        },
        supports_check_mode=True,
    )
    try:
        questions = [
            _path_access.Question(item["path"], tuple(item["want"]), tuple(item["unwanted"]))
            for item in module.params["paths"]
        ]
        if module.check_mode and not _as_user.exists(module.params["user"]):
            module.exit_json(changed=False, asked=False, paths=[])
        answers = _path_access.ask(
            _as_user.account(module.params["user"]),
            questions,
            sample_files=module.params["sample_files"],
            process_id=module.params["process_id"],
        )
    except (_path_access.PathAccessError, _as_user.AsUserError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, asked=True, paths=answers)


if __name__ == "__main__":
    main()
