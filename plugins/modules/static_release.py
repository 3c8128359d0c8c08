#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: static_release
short_description: Publish an app's static files
version_added: 0.1.0
description:
  - Publishes each static mount of an app to one tree that mirrors the URLs. C(/admin/static/) becomes C(ROOT/admin/static/).
  - Each file appears whole, by a rename. A file whose content is the same is left alone, so its ETag stays.
    One whose content differs gets a later modification time, so that it gets an ETag it never had, also when a build tool gives all files one fixed time.
  - Files that an earlier version had stay, so a page that was loaded before a deploy still finds them.
  - Names with a leading dot, sockets and pipes are not published. A link in a static folder is refused, also one that stays in the folder.
    No wheel holds any, and publishing runs as root.
  - Everything is compared and checked before the first change, and nothing is changed when a single file can't be published.
attributes:
  check_mode:
    description: Can run in check mode and tell what would change.
    support: full
  diff_mode:
    description:
      - Lists what is added (C(+)), replaced (C(~)) and given another owner or mode (C(o)).
      - Temporary files that a killed run left, which are removed, are marked C(-), and mounts that are not known yet C(?).
    support: full
options:
  root:
    description: The static root. Made when missing, with what is above it.
    type: path
    required: true
  mounts:
    description:
      - The app's static mounts, as M(flaskworks.static_media.flask_app_info) returns them.
      - A mount within another one answers for all of its own URLs, as in Flask.
    type: list
    elements: dict
    required: true
    suboptions:
      url:
        description: URL prefix; begins and ends with a slash.
        type: str
        required: true
      folder:
        description: Directory with the files, taken literally. Null in check mode when the app could not be asked yet.
        type: str
      endpoint:
        description: Endpoint of the mount in the app. Not used.
        type: str
      directory:
        description: Where the mount is published to. Not used, since it follows from O(root) and O(mounts[].url).
        type: str
  source_user:
    description:
      - User with whose rights the folders are read; the app's.
      - The app says what its folders are, so without it whoever changes the app could have any file of the host published.
      - When unset, they are read with the rights that the module runs with.
    type: str
  owner:
    description: Owner of what is published.
    type: str
    default: root
  group:
    description: Group of what is published, which reads it; that of Nginx's workers.
    type: str
    default: www-data
  directory_mode:
    description: Mode of directories, in octal digits.
    type: str
    default: "0750"
  file_mode:
    description: Mode of files, in octal digits.
    type: str
    default: "0640"
author:
  - flaskworks (@flaskworks)
seealso:
  - module: flaskworks.static_media.flask_app_info
"""

EXAMPLES = r"""
- name: Publish the app's static files
  flaskworks.static_media.static_release:
    root: /var/www/gallery/static
    source_user: gallery
    mounts:
      - url: /static/
        folder: /opt/gallery/current/lib/python3.11/site-packages/gallery/static
      - url: /admin/static/
        folder: /opt/gallery/current/lib/python3.11/site-packages/flask_admin/static

- name: Compare what is published with what the app has
  flaskworks.static_media.static_release:
    root: /var/www/gallery/static
    source_user: gallery
    mounts: "{{ gallery.app.mounts }}"
  check_mode: true
"""

RETURN = r"""
added:
  description: Number of files that are new.
  returned: success
  type: int
  sample: 12
replaced:
  description: Number of files whose content differed.
  returned: success
  type: int
  sample: 0
mended:
  description: Number of published files and directories whose owner, group or mode differed.
  returned: success
  type: int
  sample: 0
kept:
  description: Number of files below the root that the app has not, or no longer. They are left alone.
  returned: success
  type: int
  sample: 3
unchanged:
  description: Number of files that were as they should be.
  returned: success
  type: int
  sample: 0
paths:
  description: The first 20 paths of each kind, below the root. Characters that can't be printed are escaped.
  returned: success
  type: dict
  contains:
    added:
      description: Files that are new.
      type: list
      elements: str
      sample: [static/css/app.css]
    replaced:
      description: Files whose content differed.
      type: list
      elements: str
      sample: []
    mended:
      description: What got another owner, group or mode. A directory ends in a slash.
      type: list
      elements: str
      sample: []
    ignored:
      description: What is not published. Names with a leading dot, sockets, pipes.
      type: list
      elements: str
      sample: [static/.DS_Store]
mounts:
  description: What is published of each mount.
  returned: success
  type: list
  elements: dict
  contains:
    url:
      description: URL prefix.
      type: str
      sample: /static/
    directory:
      description: Where it is published to.
      type: str
      sample: /var/www/gallery/static/static
    files:
      description: Number of its files.
      type: int
      sample: 12
    sample:
      description:
        - A file that a proof can ask for; the first style sheet, script, or other file by name. Null when there is none.
        - C(path) is below the mount, C(size) in bytes.
      type: dict
      sample: {path: css/app.css, size: 4096}
unknown:
  description: Mounts whose folder is not known before the app is installed. In check mode only.
  returned: success
  type: list
  elements: str
  sample: []
"""

import grp
import os
import pwd
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import _as_user
from ansible_collections.flaskworks.static_media.plugins.module_utils._static_release import (
    Look,
    Mount,
    Plan,
    PublishError,
    apply,
    known_file,
    plan,
    printable,
)

SHOWN = 20
DIFF_LINES = 1000
# The id of whom a run would make.
TO_COME = -1


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "mounts": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "url": {"type": "str", "required": True},
                    "folder": {"type": "str"},
                    "endpoint": {"type": "str"},
                    "directory": {"type": "str"},
                },
            },
            "source_user": {"type": "str"},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "www-data"},
            "directory_mode": {"type": "str", "default": "0750"},
            "file_mode": {"type": "str", "default": "0640"},
        },
        supports_check_mode=True,
    )
    root = module.params["root"]
    mounts = [Mount(mount["url"], mount["folder"]) for mount in module.params["mounts"]]
    try:
        look = _look(module.params, module.check_mode)
        reader = _reader(module.params["source_user"], module.check_mode)
        if module.params["source_user"] and reader is None:
            # Whoever can't be acted as yet has not got the files yet.
            mounts = [mount._replace(folder=None) for mount in mounts]
        planned = plan(root, mounts, look, reader)
        if planned.changed and not module.check_mode:
            apply(root, planned, look, reader)
    except PublishError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=planned.changed,
        **_counts(planned),
        mounts=[_published(root, mount.url, planned) for mount in mounts],
        diff={"before": "", "after": _listing(planned.lines())},
    )


def _look(params: dict[str, t.Any], is_check_mode: bool) -> Look:
    return Look(
        uid=_id("owner", params["owner"], is_check_mode),
        gid=_id("group", params["group"], is_check_mode),
        directory_mode=_mode("directory_mode", params["directory_mode"]),
        file_mode=_mode("file_mode", params["file_mode"]),
    )


def _id(option: str, name: str, is_check_mode: bool) -> int:
    try:
        return pwd.getpwnam(name).pw_uid if option == "owner" else grp.getgrnam(name).gr_gid
    except KeyError:
        if is_check_mode:
            return TO_COME
        raise PublishError(
            f"{option}: this host has no {name!r}. Install Nginx first, which makes its own, or set "
            f"{option} to another one."
        ) from None


def _mode(option: str, text: str) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise PublishError(f"{option}: {text!r} is no mode. Write octal digits, such as '0640'.")
    return mode


def _reader(name: str | None, is_check_mode: bool) -> _as_user.Account | None:
    if name is None or (is_check_mode and not _as_user.exists(name)):
        return None
    try:
        return _as_user.account(name)
    except _as_user.AsUserError as error:
        raise PublishError(f"source_user: {error}") from error


def _counts(planned: Plan) -> dict[str, t.Any]:
    paths = {
        "added": [copy.target for copy in planned.added],
        "replaced": [copy.target for copy in planned.replaced],
        "mended": planned.mended,
        "ignored": planned.ignored,
    }
    return {
        "added": len(planned.added),
        "replaced": len(planned.replaced),
        "mended": len(planned.mended),
        "kept": planned.kept,
        "unchanged": planned.unchanged,
        "paths": {kind: [printable(path) for path in some[:SHOWN]] for kind, some in paths.items()},
        "unknown": planned.unknown,
    }


def _published(root: str, url: str, planned: Plan) -> dict[str, t.Any]:
    copies = [copy for copy in planned.copies.values() if copy.url == url]
    return {
        "url": url,
        "directory": os.path.join(root, url.strip("/")),
        "files": len(copies),
        "sample": known_file(copies),
    }


def _listing(lines: list[str]) -> str:
    hidden = len(lines) - DIFF_LINES
    more = [f"and {hidden} more"] if hidden > 0 else []
    return "".join(f"{line}\n" for line in [*lines[:DIFF_LINES], *more])


if __name__ == "__main__":
    main()
