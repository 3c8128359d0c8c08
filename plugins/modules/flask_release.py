#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_release
short_description: Build releases of a Flask app, switch between them, and prune them
version_added: 0.1.0
description:
  - Builds a root-owned virtualenv of its own for each version of the app, below C(ROOT/releases/ID), and switches C(ROOT/current) by one rename.
  - Code that comes with a source is run as the app's user only; root installs finished wheels. Where the host has uv, it does the work, else pip.
  - A release that is there, and was built with another minor version of Python than O(python) now is, is built anew beside it, by a name of its own.
  - A release that a killed run left half-made is taken away. Something else than a link named C(current) is refused, and left as it is.
  - Runs on the same root wait for each other.
attributes:
  check_mode:
    description: Can run in check mode and tell what would change.
    support: full
  diff_mode:
    description: Shows the release before and after, and which are taken away.
    support: full
  action:
    description: Packs O(source) on the control node, and sends it only where it is not built yet.
    support: full
options:
  state:
    description:
      - V(built) builds the release.
      - V(found) looks up the release that O(id) names, and fails with the list of all when it isn't there.
      - V(current) makes it the one in use, and builds nothing.
      - V(pruned) takes away the releases that O(keep_releases) doesn't keep, and what killed runs left.
    type: str
    choices: [built, found, current, pruned]
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
    description:
      - Name of the release. With O(state=built) it follows from O(source).
      - With O(state=found) and O(state=current) V(previous) is the one that was in use when the current one was deployed.
    type: str
  process_id:
    description:
      - The app's main process, from M(flaskworks.static_media.flask_host_info). For O(id=previous).
      - A rollback that was killed after its switch then goes no further back when it is run again.
    type: int
  rollback:
    description:
      - Whether O(state=current) goes back to a release, which then keeps its place in the order of deploys.
    type: bool
    default: false
  keep_releases:
    description:
      - How many releases to go back to O(state=pruned) keeps; after a rollback also as many of those deployed after the one in use.
      - The one in use is kept in any case, and what any process runs in.
    type: int
    default: 3
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

- name: Go back to the one before
  flaskworks.static_media.flask_release:
    state: current
    root: /opt/gallery
    id: previous
    rollback: true

- name: Take away all but the last three
  flaskworks.static_media.flask_release:
    state: pruned
    root: /opt/gallery
    keep_releases: 3
"""

RETURN = r"""
id:
  description: Name of the release. With O(state=pruned), of the one in use, or null.
  returned: success
  type: str
  sample: 3f1c0a9be2d4
path:
  description: Directory of the release, which is its virtualenv.
  returned: success
  type: str
  sample: /opt/gallery/releases/3f1c0a9be2d4
previous:
  description: Release that was in use before this task, or null.
  returned: success
  type: str
  sample: 9d2b7c41aa07
archive_needed:
  description: Whether the source has to be sent before the release can be built.
  returned: success
  type: bool
  sample: false
installer:
  description: Which of V(uv) and V(pip) built the release, when this task did.
  returned: when O(state=built)
  type: str
  sample: uv
removed:
  description: Names of the releases that were taken away, or would be.
  returned: when O(state=pruned)
  type: list
  elements: str
  sample: [77aa01c4e9b3]
leftovers:
  description: Paths of what killed runs had left, and that was taken away, or would be.
  returned: when O(state=pruned)
  type: list
  elements: str
  sample: [/opt/gallery/.build-x1y2z3]
kept:
  description: Names of the releases that stay.
  returned: when O(state=pruned)
  type: list
  elements: str
  sample: [3f1c0a9be2d4, 9d2b7c41aa07]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import _release_build
from ansible_collections.flaskworks.static_media.plugins.module_utils._release import (
    ReleaseError,
    Releases,
)

Result = dict[str, object]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "choices": ["built", "found", "current", "pruned"],
                "default": "built",
            },
            "root": {"type": "path", "required": True},
            "source": {"type": "str"},
            "id": {"type": "str"},
            "process_id": {"type": "int"},
            "rollback": {"type": "bool", "default": False},
            "keep_releases": {"type": "int", "default": 3},
            "user": {"type": "str"},
            "python": {"type": "path", "default": "/usr/bin/python3"},
            "extra_requirements": {"type": "list", "elements": "str", "default": []},
            "archive": {"type": "path"},
            "requirement": {"type": "str"},
        },
        required_if=[
            ("state", "built", ("source", "user", "id")),
            ("state", "found", ("id",)),
            ("state", "current", ("id",)),
        ],
        supports_check_mode=True,
    )
    if module.params["keep_releases"] < 0:
        module.fail_json(msg="keep_releases is no number of releases. Write 0 or more.")
    act = {"built": _build, "found": _find, "current": _switch, "pruned": _prune}
    releases = Releases(module.params["root"])
    try:
        result = act[module.params["state"]](module, releases)
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def _result(releases: Releases, release: str | None, **result: object) -> Result:
    return {
        "changed": False,
        "id": release,
        "path": releases.path(release) if release else None,
        "archive_needed": False,
        **result,
    }


def _build(module: AnsibleModule, releases: Releases) -> Result:
    release = _release_build.release_id(releases, module.params["id"], module.params["python"])
    path = releases.path(release)
    previous = releases.current_id()
    target = module.params["archive"] or module.params["requirement"]
    built = releases.is_built(release)
    installer = ""
    if not built and target and not module.check_mode:
        installer, refused = _release_build.build(
            releases,
            release,
            _release_build.Build(
                source=module.params["source"],
                target=target,
                extra_requirements=module.params["extra_requirements"],
                python=module.params["python"],
                user=module.params["user"],
            ),
        )
        if refused:
            module.warn(f"pip was used in place of uv, which failed: {refused}")
    return _result(
        releases,
        release,
        changed=not built,
        previous=previous,
        archive_needed=not built and not target and not module.check_mode,
        installer=installer or None,
        diff={"before": f"{path}\n" if built else "", "after": f"{path}\n"},
    )


def _find(module: AnsibleModule, releases: Releases) -> Result:
    previous = releases.current_id()
    release = releases.find(module.params["id"], module.params["process_id"])
    return _result(releases, release, previous=previous)


def _switch(module: AnsibleModule, releases: Releases) -> Result:
    previous = releases.current_id()
    release = module.params["id"]
    # In check mode, the release may be one that a run would build.
    if not module.check_mode or release == "previous":
        release = releases.find(release, module.params["process_id"])
    changed = previous != release
    if changed and not module.check_mode:
        releases.switch(release, is_deploy=not module.params["rollback"])
    return _result(
        releases,
        release,
        changed=changed,
        previous=previous,
        diff={
            "before": f"{releases.current} -> {previous or 'nothing'}\n",
            "after": f"{releases.current} -> {release}\n",
        },
    )


def _prune(module: AnsibleModule, releases: Releases) -> Result:
    keep = module.params["keep_releases"]
    current = releases.current_id()
    plan = releases.plan_pruning(keep)
    gone = bool(plan.removed or plan.leftovers)
    if gone and not module.check_mode:
        plan = releases.prune(keep)
    before = [*map(releases.path, sorted([*plan.kept, *plan.removed])), *plan.leftovers]
    return _result(
        releases,
        current,
        changed=gone,
        previous=current,
        removed=plan.removed,
        leftovers=plan.leftovers,
        kept=plan.kept,
        diff={
            "before": "".join(f"{path}\n" for path in before),
            "after": "".join(f"{releases.path(release)}\n" for release in plan.kept),
        },
    )


if __name__ == "__main__":
    main()
