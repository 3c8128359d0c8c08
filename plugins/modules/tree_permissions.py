#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tree_permissions
short_description: Give a tree of files one owner, group, modes and ACLs
version_added: 0.1.0
description:
  - Gives all directories and files of a tree the same owner and group, each kind its mode, and ACLs, in one pass at about the speed of C(find).
    Memory does not grow with the number of files.
  - May run while an app writes to the tree. What vanishes meanwhile is no error. What comes meanwhile is looked at, or left to the next run.
  - Symbolic links are neither followed nor changed, wherever they lead and whenever they are made.
  - Sockets, pipes and devices are left alone, and so is whatever lies on another file system or mount.
  - A file with several names (hard links) is left alone while its owner is neither O(owner) nor, without O(owner), that of O(path), and
    there is a warning. Whoever may write to the tree could have linked somebody else's file into it in order to be given it.
    Linux prevents that with the sysctl C(fs.protected_hardlinks=1), but for files that they can write anyway.
  - What can't be changed does not keep the other files from it. The module fails at the end then, and names the first five.
    On a file system that is mounted read-only it fails at the first difference.
  - A directory comes before what is in it, so what is made in it meanwhile inherits the right group and default ACL.
attributes:
  check_mode:
    description: Can run in check mode and tell what would change. What keeps a single file from being changed, such as C(chattr +i), is not foreseen.
    support: full
  diff_mode:
    description: Shows the first 10 that differ, as they are and as they should be, and how many more do. RV(mended) has the number.
    support: full
options:
  path:
    description:
      - The directory, which must be there; in check mode one that isn't has nothing to change.
      - Refused when it is a symbolic link, passes through a link that neither root nor the user of the module made, or is shared by the system,
        such as C(/var/www).
    type: path
    required: true
  owner:
    description: Owner of all of it, by name or number. Left alone when unset.
    type: str
  group:
    description: Group of all of it, by name or number. Left alone when unset.
    type: str
  directory_mode:
    description:
      - Mode of directories, four octal digits in quotes, with the set-group-ID and sticky bits as they stand there.
      - Left alone when unset.
    type: raw
  file_mode:
    description:
      - Mode of files, four octal digits in quotes. It says plainly whether they can be executed. Set-user-ID and set-group-ID bits are refused.
      - Left alone when unset.
    type: raw
  acl:
    description:
      - What users and groups may do besides O(owner) and O(group). It becomes the access ACL of all that is there, and the default ACL of
        the directories, which what is made later inherits. All other ACL entries are removed.
      - The entries of owner, group and others are those of the modes. The group digit that C(ls) shows is the ACL's mask then.
      - With an empty list ACLs are removed. When unset they are left alone, and the group digit of the modes is the mask of those there are.
      - What programs make with mode C(0600), such as C(mkstemp), has an empty mask, which takes the permissions away again, until the next run.
      - Needs O(directory_mode) and O(file_mode). Needs no command on the host.
    type: list
    elements: dict
    suboptions:
      etype:
        description: Whether O(acl[].entity) is a user or a group.
        type: str
        choices: [user, group]
        required: true
      entity:
        description: Name or number of the user or group.
        type: str
        required: true
      permissions:
        description: Letters of V(rwxX). V(X) is V(x) for directories, and nothing for files.
        type: str
        required: true
  recurse:
    description:
      - Whether to look at all that is in O(path) too. V(false) sets O(path) alone, and RV(has_more) tells whether it holds anything.
    type: bool
    default: true
author:
  - flaskworks (@flaskworks)
seealso:
  - module: flaskworks.static_media.path_access_info
"""

EXAMPLES = r"""
- name: Let Nginx's group read all uploads
  flaskworks.static_media.tree_permissions:
    path: /var/www/gallery/media
    owner: gallery
    group: www-data
    directory_mode: "2750"
    file_mode: "0640"

- name: Let Nginx's user read all uploads, those to come too
  flaskworks.static_media.tree_permissions:
    path: /var/www/gallery/media
    owner: gallery
    group: gallery
    directory_mode: "0750"
    file_mode: "0640"
    acl:
      - etype: user
        entity: www-data
        permissions: rX

- name: Take all ACLs from the media root, and leave the uploads in it alone
  flaskworks.static_media.tree_permissions:
    path: /var/www/gallery/media
    directory_mode: "2750"
    file_mode: "0640"
    acl: []
    recurse: false

- name: Find out how many uploads have another owner
  flaskworks.static_media.tree_permissions:
    path: /var/www/gallery/media
    owner: gallery
  check_mode: true
  register: uploads
"""

RETURN = r"""
mended:
  description: Number of files and directories that differed in owner, group, mode or ACL.
  returned: success
  type: int
  sample: 2
directories:
  description: Number of directories that were looked at, O(path) included.
  returned: success
  type: int
  sample: 214
files:
  description: Number of files that were looked at.
  returned: success
  type: int
  sample: 10000
symlinks:
  description: Number of symbolic links, which are left alone.
  returned: success
  type: int
  sample: 0
special:
  description: Number of sockets, pipes and devices, which are left alone.
  returned: success
  type: int
  sample: 0
hard_links:
  description: Number of other users' files with several names, which are left alone.
  returned: success
  type: int
  sample: 0
mounts:
  description: Number of directories and files on other file systems or mounts, which are left alone.
  returned: success
  type: int
  sample: 0
has_more:
  description: Whether O(path) holds anything that was not looked at. Only with O(recurse=false).
  returned: success
  type: bool
  sample: false
paths:
  description: The first 10 paths of each kind, below O(path), which is C(.) itself. Characters that can't be printed are escaped.
  returned: success
  type: dict
  contains:
    mended:
      description: What differed. A directory ends in a slash.
      type: list
      elements: str
      sample: [2026/, 2026/a.png]
    hard_links:
      description: Other users' files with several names.
      type: list
      elements: str
      sample: []
    mounts:
      description: Directories and files on other file systems or mounts.
      type: list
      elements: str
      sample: []
"""

import grp
import pwd
import re
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils._tree_permissions import (
    TO_COME,
    Grant,
    Report,
    TreePermissionsError,
    Wanted,
    apply,
    exists,
    plan,
)

PROTECTED_HARDLINKS = "/proc/sys/fs/protected_hardlinks"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            # As text it could no longer be told from a number that YAML has made of it.
            "directory_mode": {"type": "raw"},
            "file_mode": {"type": "raw"},
            "acl": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "etype": {"type": "str", "choices": ["user", "group"], "required": True},
                    "entity": {"type": "str", "required": True},
                    "permissions": {"type": "str", "required": True},
                },
            },
            "recurse": {"type": "bool", "default": True},
        },
        required_one_of=[("owner", "group", "directory_mode", "file_mode")],
        required_by={"acl": ("directory_mode", "file_mode")},
        supports_check_mode=True,
    )
    path = module.params["path"]
    try:
        wanted = _wanted(module.params, module.check_mode)
        if module.check_mode and not exists(path):
            report = Report()
        else:
            report = (plan if module.check_mode else apply)(path, wanted, module.params["recurse"])
    except TreePermissionsError as error:
        done = error.report or Report()
        _warn(module, done)
        module.fail_json(msg=str(error), **_answer(done, module.check_mode))
    _warn(module, report)
    module.exit_json(**_answer(report, False))


def _wanted(params: dict[str, t.Any], is_check_mode: bool) -> Wanted:
    owner, group, grants = params["owner"], params["group"], params["acl"]
    return Wanted(
        None if owner is None else _id("owner", owner, True, is_check_mode),
        None if group is None else _id("group", group, False, is_check_mode),
        _mode("directory_mode", params["directory_mode"], "2750"),
        _mode("file_mode", params["file_mode"], "0640"),
        None if grants is None else _grants(grants, is_check_mode),
    )


def _id(option: str, name: str, is_user: bool, is_check_mode: bool) -> int:
    try:
        return pwd.getpwnam(name).pw_uid if is_user else grp.getgrnam(name).gr_gid
    except KeyError:
        pass
    # 4294967295 is no id (chown(2)).
    if re.fullmatch("[0-9]{1,10}", name, re.ASCII) and int(name) < 0xFFFFFFFF:
        return int(name)
    if is_check_mode:
        return TO_COME
    kind = "user" if is_user else "group"
    raise TreePermissionsError(
        f"{option}: this host has no {kind} {name!r}. Make it first, or set {option} to one it has."
    )


def _mode(option: str, value: t.Any, example: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise TreePermissionsError(
            f"{option}: {value!r} has lost its digits, since YAML reads an unquoted mode as a number. "
            f"Write it in quotes, such as '{example}'."
        )
    if not re.fullmatch("[0-7]{4}", value):
        raise TreePermissionsError(
            f"{option}: {value!r} is not four octal digits. Write all of the mode, such as '{example}'; "
            "letters such as u=rwX say what to change, not what it should be."
        )
    mode = int(value, 8)
    if option == "file_mode" and mode > 0o777:
        raise TreePermissionsError(
            f"file_mode: {value!r} would let all files run with the rights of their owner or group. "
            f"Begin it with 0, such as '{example}'."
        )
    return mode


def _grants(items: list[dict[str, str]], is_check_mode: bool) -> tuple[Grant, ...]:
    seen = set()
    grants = []
    for number, item in enumerate(items):
        option = f"acl[{number}]"
        permissions = item["permissions"]
        if not re.fullmatch("[rwxX-]+", permissions):
            raise TreePermissionsError(
                f"{option}.permissions: {permissions!r} has other letters than r, w, x and X. Write 'rX' "
                "to let files be read."
            )
        is_user = item["etype"] == "user"
        who = _id(f"{option}.entity", item["entity"], is_user, is_check_mode)
        if (is_user, who) in seen and who != TO_COME:
            raise TreePermissionsError(
                f"{option}: {item['etype']} {item['entity']} is there before. Write all of its "
                "permissions into one entry."
            )
        seen.add((is_user, who))
        grants.append(Grant(is_user, who, permissions))
    return tuple(grants)


def _warn(module: AnsibleModule, report: Report) -> None:
    if report.hard_links.count:
        module.warn(
            f"{report.hard_links.count} files below {module.params['path']} belong to others and have "
            "other names elsewhere too, so they were left alone: "
            f"{', '.join(report.hard_links.first)}. Look for the names with find -samefile. Replace each by a "
            "copy (cp -p FILE COPY && mv COPY FILE), or remove it."
        )
    if report.foreign and _links_are_free():
        module.warn(
            f"{report.foreign} files got another owner while fs.protected_hardlinks is 0, so any user who "
            "writes here could have linked them in, and the other names may be gone. Set that sysctl to 1."
        )


def _links_are_free() -> bool:
    try:
        with open(PROTECTED_HARDLINKS, encoding="ascii") as file:
            return file.read().strip() == "0"
    except OSError:
        return False


def _answer(report: Report, is_check_mode: bool) -> dict[str, t.Any]:
    hidden = report.mended - len(report.changes)
    more = f"and {hidden} more\n" if hidden else ""
    return {
        "changed": report.changed and not is_check_mode,
        "mended": report.mended,
        "directories": report.directories,
        "files": report.files,
        "symlinks": report.symlinks,
        "special": report.special,
        "hard_links": report.hard_links.count,
        "mounts": report.mounts.count,
        "has_more": report.has_more,
        "paths": {
            "mended": [change.path for change in report.changes],
            "hard_links": report.hard_links.first,
            "mounts": report.mounts.first,
        },
        "diff": {
            "before": "".join(f"{item.path} {item.before}\n" for item in report.changes) + more,
            "after": "".join(f"{item.path} {item.after}\n" for item in report.changes) + more,
        },
    }


if __name__ == "__main__":
    main()
