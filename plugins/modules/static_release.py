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
  - Files that an earlier version had stay, so a page that was loaded before a deploy still finds them.
  - Names with a leading dot are not published, and a link in a static folder is refused.
attributes:
  check_mode:
    description: Can run in check mode and tell what would change.
    support: full
  diff_mode:
    description: Lists what is added, replaced and mended.
    support: full
options:
  root:
    description: The static root.
    type: path
    required: true
  mounts:
    description: The app's static mounts.
    type: list
    elements: dict
    required: true
    suboptions:
      url:
        description: URL prefix; begins and ends with a slash.
        type: str
        required: true
      folder:
        description: Directory with the files; null when the app could not be asked yet.
        type: path
      endpoint:
        description: Endpoint of the mount in the app. For messages only.
        type: str
      directory:
        description: Where the mount is published to. It follows from O(root) and O(mounts[].url).
        type: path
  owner:
    description: Owner of what is published.
    type: str
    default: root
  group:
    description: Group of what is published, which reads it.
    type: str
    default: www-data
  directory_mode:
    description: Mode of directories.
    type: str
    default: "0750"
  file_mode:
    description: Mode of files.
    type: str
    default: "0640"
author:
  - flaskworks (@flaskworks)
"""

EXAMPLES = r"""
- name: Publish the app's static files
  flaskworks.static_media.static_release:
    root: /var/www/gallery/static
    mounts:
      - url: /static/
        folder: /opt/gallery/current/lib/python3.11/site-packages/gallery/static
"""

RETURN = r"""
added:
  description: Files that are new, the first 20.
  returned: success
  type: list
  elements: str
  sample: [static/css/app.css]
replaced:
  description: Files whose content differed, the first 20.
  returned: success
  type: list
  elements: str
  sample: []
mended:
  description: Paths whose owner or mode differed, the first 20.
  returned: success
  type: list
  elements: str
  sample: []
counts:
  description: Number of files in each state.
  returned: success
  type: dict
  sample: {added: 12, replaced: 0, mended: 0, unchanged: 0}
mounts:
  description: Each mount with its number of files, and one file that a proof can ask for.
  returned: success
  type: list
  elements: dict
  sample:
    - {url: /static/, files: 12, sample: {path: css/app.css, size: 4096}}
unknown:
  description: Mounts whose folder is not known before the app is installed. In check mode only.
  returned: success
  type: list
  elements: str
  sample: []
"""

import grp
import pwd

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils._static_release import (
    Look,
    Mount,
    Plan,
    PublishError,
    apply,
    known_file,
    plan,
)

SHOWN = 20


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
                    "folder": {"type": "path"},
                    "endpoint": {"type": "str"},
                    "directory": {"type": "path"},
                },
            },
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "www-data"},
            "directory_mode": {"type": "str", "default": "0750"},
            "file_mode": {"type": "str", "default": "0640"},
        },
        supports_check_mode=True,
    )
    mounts = [Mount(mount["url"], mount["folder"]) for mount in module.params["mounts"]]
    root = module.params["root"]
    try:
        look = _look(module.params)
        planned = plan(root, mounts, look)
        if planned.unknown and not module.check_mode:
            raise PublishError(f"The folder of {planned.unknown[0]} is not known.")
        if planned.changed and not module.check_mode:
            apply(root, planned, look)
    except PublishError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=planned.changed,
        **_shown(planned),
        mounts=[
            {
                "url": mount.url,
                "files": sum(path.startswith(mount.url.lstrip("/")) for path in planned.files),
                "sample": known_file(mount.url, planned.files),
            }
            for mount in mounts
        ],
        diff={"before": "", "after": "".join(f"{line}\n" for line in planned.lines())},
    )


def _look(params: dict[str, str]) -> Look:
    try:
        return Look(
            uid=pwd.getpwnam(params["owner"]).pw_uid,
            gid=grp.getgrnam(params["group"]).gr_gid,
            directory_mode=int(params["directory_mode"], 8),
            file_mode=int(params["file_mode"], 8),
        )
    except KeyError as error:
        raise PublishError(f"{error.args[0]}. Install Nginx first, or set another group.") from None


def _shown(planned: Plan) -> dict[str, object]:
    states = {
        "added": [copy.target for copy in planned.added],
        "replaced": [copy.target for copy in planned.replaced],
        "mended": [path or "." for path in planned.mended],
    }
    return {
        **{name: paths[:SHOWN] for name, paths in states.items()},
        "counts": {
            **{name: len(paths) for name, paths in states.items()},
            "unchanged": planned.unchanged,
        },
        "unknown": planned.unknown,
    }


if __name__ == "__main__":
    main()
