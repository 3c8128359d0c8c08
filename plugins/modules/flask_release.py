#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_release
short_description: Build a release of a Flask app, and switch to it
version_added: 0.1.0
description:
  - Builds a root-owned virtualenv of its own for each version of the app, below C(ROOT/releases/ID), and switches C(ROOT/current) by one rename.
  - Code that comes with a source is run as the app's user only; root installs finished wheels.
  - A release that a killed run left half-made is made anew.
attributes:
  check_mode:
    description: Can run in check mode and tell what would change.
    support: full
  diff_mode:
    description: Shows the release before and after.
    support: full
  action:
    description: Packs O(source) on the control node, and sends it only where it is not built yet.
    support: full
options:
  state:
    description:
      - V(built) builds the release. V(current) also makes it the one in use, and builds nothing.
    type: str
    choices: [built, current]
    default: built
  root:
    description: Directory of the releases.
    type: path
    required: true
  source:
    description:
      - A project directory, a wheel or an sdist on the control node, a git URL, or a requirement. For O(state=built).
    type: str
  id:
    description: Name of the release to switch to. With O(state=built) it follows from O(source).
    type: str
  user:
    description: User that builds. For O(state=built).
    type: str
  python:
    description: Python from which the virtualenv is made.
    type: path
    default: /usr/bin/python3
  extra_requirements:
    description: Requirements installed beside the app.
    type: list
    elements: str
    default: []
  archive:
    description: The packed source on the host. Set by the control node.
    type: path
  requirement:
    description: The requirement to install. Set by the control node.
    type: str
author:
  - flaskworks (@flaskworks)
"""

EXAMPLES = r"""
- name: Build the release
  flaskworks.static_media.flask_release:
    root: /opt/gallery
    source: /home/me/gallery
    user: gallery
    extra_requirements: [gunicorn]
  register: release

- name: Switch to it
  flaskworks.static_media.flask_release:
    state: current
    root: /opt/gallery
    id: "{{ release.id }}"
"""

RETURN = r"""
id:
  description: Name of the release.
  returned: success
  type: str
  sample: 3f1c0a9be2d4
path:
  description: Directory of the release, which is its virtualenv.
  returned: success
  type: str
  sample: /opt/gallery/releases/3f1c0a9be2d4
previous:
  description: Release that was in use before, or null.
  returned: success
  type: str
  sample: 9d2b7c41aa07
archive_needed:
  description: Whether the source has to be sent before the release can be built.
  returned: success
  type: bool
  sample: false
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils._release import (
    Release,
    ReleaseError,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["built", "current"], "default": "built"},
            "root": {"type": "path", "required": True},
            "source": {"type": "str"},
            "id": {"type": "str"},
            "user": {"type": "str"},
            "python": {"type": "path", "default": "/usr/bin/python3"},
            "extra_requirements": {"type": "list", "elements": "str", "default": []},
            "archive": {"type": "path"},
            "requirement": {"type": "str"},
        },
        required_if=[("state", "built", ("source", "user", "id")), ("state", "current", ("id",))],
        supports_check_mode=True,
    )
    release = Release(module.params["root"], module.params["id"])
    try:
        result = (
            _build(module, release)
            if module.params["state"] == "built"
            else _switch(module, release)
        )
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(id=release.id, path=release.path, **result)


def _build(module: AnsibleModule, release: Release) -> dict[str, object]:
    previous = release.current_id()
    target = module.params["archive"] or module.params["requirement"]
    built = release.is_built()
    if not built and target and not module.check_mode:
        release.build(
            source=module.params["source"],
            target=target,
            extra_requirements=module.params["extra_requirements"],
            python=module.params["python"],
            user=module.params["user"],
        )
    return {
        "changed": not built,
        "previous": previous,
        "archive_needed": not built and not target and not module.check_mode,
        "diff": {
            "before": "" if not built else f"{release.path}\n",
            "after": f"{release.path}\n",
        },
    }


def _switch(module: AnsibleModule, release: Release) -> dict[str, object]:
    previous = release.current_id()
    changed = previous != release.id
    if not module.check_mode:
        if not release.is_built():
            raise ReleaseError(f"{release.path} is not there, or half-made. Build it first.")
        if changed:
            release.switch()
    return {
        "changed": changed,
        "previous": previous,
        "archive_needed": False,
        "diff": {
            "before": f"{release.current} -> {previous or 'nothing'}\n",
            "after": f"{release.current} -> {release.id}\n",
        },
    }


if __name__ == "__main__":
    main()
