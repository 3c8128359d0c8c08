#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: media_canary
short_description: Place a small file in the media root as the app would, and remove it
version_added: 0.1.0
description:
  - Proves by doing that the app's user can write media, and leaves a file whose way through Nginx can be compared byte for byte.
  - That the file can't be written doesn't fail the task, since it is evidence to judge; RV(error) says why.
  - The file is there only between O(state=present) and O(state=absent), so neither counts as a change.
attributes:
  check_mode:
    description: In check mode nothing is written or removed, and the result is marked as skipped.
    support: full
  diff_mode:
    description: Nothing of the user's is changed, so there is nothing to show.
    support: none
options:
  state:
    description:
      - V(present) writes a new canary of a random name.
      - V(absent) removes O(name), and those older than a minute that killed runs left behind. Without O(name) it removes every canary.
      - Only regular files that bear a canary's name and begin with its marker line are removed.
    type: str
    choices: [present, absent]
    default: present
  directory:
    description: Media root. Absolute path.
    type: path
    required: true
  user:
    description: User to write and remove as. Another user than the one that runs the module needs root.
    type: str
    required: true
  name:
    description: Name of the canary to remove, as O(state=present) returned it.
    type: str
  umask:
    description:
      - Umask to write with, as an octal number in quotes.
      - With O(process_id) that of the process and its children together, where the kernel tells it (Linux 4.7 and later).
    type: str
    default: "0027"
  process_id:
    description:
      - Process whose view of the file system is written through, so that a read-only mount of its service counts. Needs root.
    type: int
author:
  - flaskworks (@flaskworks)
seealso:
  - module: flaskworks.static_media.path_access_info
"""

EXAMPLES = r"""
- name: Compare a file's way through Nginx, and leave nothing behind
  block:
    - name: Place a canary in media
      flaskworks.static_media.media_canary:
        directory: /var/www/gallery/media
        user: gallery
      register: canary

    - name: Fetch it
      ansible.builtin.uri:
        url: "http://127.0.0.1/media/{{ canary.name }}"
        use_proxy: false
        return_content: true
      register: response
      failed_when: response.content != canary.content
      when: canary.written
  always:
    - name: Remove the canary
      flaskworks.static_media.media_canary:
        state: absent
        directory: /var/www/gallery/media
        user: gallery
        name: "{{ canary.name | default(omit) }}"
"""

RETURN = r"""
written:
  description: Whether the canary was written.
  returned: O(state=present)
  type: bool
  sample: true
path:
  description: Where it was written.
  returned: when RV(written)
  type: str
  sample: /var/www/gallery/media/flask-verify-0f1e2d3c4b5a69788796a5b4c3d2e1f0.txt
name:
  description: Its name.
  returned: when RV(written)
  type: str
  sample: flask-verify-0f1e2d3c4b5a69788796a5b4c3d2e1f0.txt
content:
  description: Its content, plain ASCII.
  returned: when RV(written)
  type: str
  sample: |
    This file is a canary of flaskworks.static_media and may be removed.
    6f1c…
sha256:
  description: SHA-256 of its content.
  returned: when RV(written)
  type: str
  sample: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
size:
  description: Its size in bytes.
  returned: when RV(written)
  type: int
  sample: 134
mode:
  description: Its mode as made, after umask and default ACL.
  returned: when RV(written)
  type: str
  sample: "0640"
umask:
  description: Umask that it was written with.
  returned: O(state=present), but for check mode
  type: str
  sample: "0027"
owner:
  description: Its owner as made.
  returned: when RV(written)
  type: str
  sample: gallery
group:
  description: Its group as made, which a setgid directory hands down.
  returned: when RV(written)
  type: str
  sample: www-data
names:
  description: Canaries that were removed, or would be in check mode.
  returned: O(state=absent)
  type: list
  elements: str
  sample: [flask-verify-0f1e2d3c4b5a69788796a5b4c3d2e1f0.txt]
error:
  description:
    - Why it could not be written or removed, or null.
    - RV(ignore:reason) is V(not-traversable), V(not-writable), V(missing), V(not-a-directory), V(read-only-filesystem),
      V(disk-full), V(acl-mask), V(symlink-blocked) or V(selinux-label); RV(ignore:component) is the first path element that stops the user.
  returned: success
  type: dict
  sample:
    errno: EACCES
    strerror: Permission denied
    reason: not-traversable
    component: /var/www/gallery
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _media_canary,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "directory": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "name": {"type": "str"},
            "umask": {"type": "str", "default": "0027"},
            "process_id": {"type": "int"},
        },
        supports_check_mode=True,
    )
    try:
        _media_canary.check(module.params["directory"], module.params["name"])
        umask = _as_user.parse_umask(module.params["umask"])
        result = _place(module, umask) if module.params["state"] == "present" else _remove(module)
    except (_media_canary.CanaryError, _as_user.AsUserError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


def _place(module: AnsibleModule, umask: int) -> _media_canary.Facts:
    if module.check_mode:
        return {"written": False, "skipped": True, "error": None}
    return _media_canary.place(
        _as_user.account(module.params["user"]),
        module.params["directory"],
        umask=umask,
        process_id=module.params["process_id"],
    )


def _remove(module: AnsibleModule) -> _media_canary.Facts:
    user, directory = module.params["user"], module.params["directory"]
    name, process_id = module.params["name"], module.params["process_id"]
    if module.check_mode:
        if not _as_user.exists(user):
            return {"names": [], "skipped": True, "error": None}
        who = _as_user.account(user)
        planned = _media_canary.plan_removal(who, directory, name, process_id=process_id)
        return {**planned, "skipped": True}
    who = _as_user.account(user)
    result = _media_canary.apply_removal(who, directory, name, process_id=process_id)
    if result["error"]:
        # No failure: whatever stops the user here is what the checks are about to report.
        module.warn(
            f"{user} can't look for canaries in {directory} or remove one: "
            f"{result['error']['strerror']} at {result['error']['component']}. "
            "The next run removes what is left."
        )
    return result


if __name__ == "__main__":
    main()
