#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_image
short_description: Make a container image a release of a Flask app
version_added: 0.1.0
description:
  - Pulls the image that O(image) names when it isn't on the host, or builds one from O(source), the user's own project with its Dockerfile.
  - Then asks the app in the image for its static folders, and copies them to C(ROOT/releases/ID/image), from where they are published.
  - A release is named after its image. Nothing is switched, and no container is left behind.
attributes:
  check_mode:
    description: Can run in check mode and tell what would change.
    details: An image that isn't there yet is not pulled or built, and so not named.
    support: partial
  diff_mode:
    description: Shows the release before and after.
    support: full
  action:
    description: Packs O(source) on the control node, and sends it only where it is not built yet.
    support: full
options:
  root:
    description: Directory of the releases.
    type: path
    required: true
  name:
    description: Name of the app. Its images are kept by tags C(flaskworks/NAME:ID).
    type: str
    required: true
  image:
    description: Reference of an image, used as it is when it is on the host.
    type: str
  source:
    description: A project directory on the control node that has a Dockerfile, or a git URL of one.
    type: str
  callable:
    description: The app or its factory, as Gunicorn reads it.
    type: str
    required: true
  user:
    description: User of the host's whose numeric ids the app has in its container.
    type: str
    required: true
  python:
    description: In the image, the Python that has the app.
    type: str
    default: python3
  environment_files:
    description: Env files of the host's whose variables the app gets.
    type: list
    elements: path
    default: []
  media_root:
    description: Directory of the uploads.
    type: path
    required: true
  networks:
    description: Networks of the engine's that the container joins.
    type: list
    elements: str
    default: []
  timeout_seconds:
    description: How long the app may take to be imported.
    type: int
    default: 60
  fingerprint:
    description: SHA-256 of the source. Set by the control node.
    type: str
  archive:
    description: The packed source on the host. Set by the control node.
    type: path
author:
  - flaskworks (@flaskworks)
seealso:
  - module: flaskworks.static_media.flask_container
"""

EXAMPLES = r"""
- name: Make the image a release
  flaskworks.static_media.flask_image:
    root: /opt/gallery
    name: gallery
    image: registry.example.com/gallery:1.4
    callable: gallery:create_app()
    user: gallery
    media_root: /var/www/gallery/media
    environment_files:
      - /etc/gallery/secret_key.env
      - /etc/gallery/gallery.env
  register: release
"""

RETURN = r"""
id:
  description: Name of the release, the first 12 digits of the image's id.
  returned: success
  type: str
  sample: 3f1c0a9be2d4
path:
  description: Directory of the release.
  returned: success
  type: str
  sample: /opt/gallery/releases/3f1c0a9be2d4
image:
  description: Id of the image. Null in check mode, when the image isn't there yet.
  returned: success
  type: str
  sample: sha256:3f1c0a9be2d4f0c1
archive_needed:
  description: Whether the source has to be sent before the image can be built.
  returned: success
  type: bool
  sample: false
copied:
  description: Static folders that this task copied out of the image.
  returned: success
  type: list
  elements: str
  sample: [/app/gallery/static]
left_out:
  description: What was not copied. Links that lead out of their folder, and what is neither file nor directory.
  returned: success
  type: list
  elements: str
  sample: []
"""

import hashlib
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import _image
from ansible_collections.flaskworks.static_media.plugins.module_utils._as_user import AsUserError
from ansible_collections.flaskworks.static_media.plugins.module_utils._docker import (
    Engine,
    EngineError,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._flask_app import (
    FlaskAppError,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._release import (
    ReleaseError,
    Releases,
)

Result = dict[str, t.Any]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "image": {"type": "str"},
            "source": {"type": "str"},
            "callable": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "python": {"type": "str", "default": "python3"},
            "environment_files": {"type": "list", "elements": "path", "default": []},
            "media_root": {"type": "path", "required": True},
            "networks": {"type": "list", "elements": "str", "default": []},
            "timeout_seconds": {"type": "int", "default": 60},
            "fingerprint": {"type": "str"},
            "archive": {"type": "path"},
        },
        required_one_of=[("image", "source")],
        mutually_exclusive=[("image", "source")],
        required_by={"source": ("fingerprint",)},
        supports_check_mode=True,
    )
    releases = Releases(module.params["root"])
    try:
        result = _make(module, releases)
    except (EngineError, ReleaseError, FlaskAppError, AsUserError) as error:
        module.fail_json(msg=str(error))
    if result["left_out"]:
        module.warn(
            "Left out of the static files, since they lead out of their folder or are no files: "
            + ", ".join(result["left_out"][:10])
        )
    module.exit_json(**result)


def _make(module: AnsibleModule, releases: Releases) -> Result:
    engine = Engine()
    engine.require_compose()
    name, reference = module.params["name"], module.params["image"]
    built = False
    tag = None if reference else _image.source_tag(name, module.params["fingerprint"])
    image = engine.image(tag or reference)
    if image is None and tag and module.params["archive"] and not module.check_mode:
        _image.build(engine, module.params["archive"], tag)
        built = True
        image = engine.image(tag)
    elif image is None and tag and not module.check_mode:
        return _result(releases, "0" * 12, changed=True, archive_needed=True)
    elif image is None and not module.check_mode:
        image = _image.obtain(engine, reference)
    if image is None:
        # A run would have it, under a name that only it can know.
        assumed = hashlib.sha256((tag or reference).encode()).hexdigest()[:12]
        return _result(releases, assumed, changed=True)
    release = image["Id"].rpartition(":")[2][:12]
    known = releases.is_built(release)
    if not module.check_mode:
        _image.keep(engine, releases, name, image, module.params["source"] or reference)
    answer = _question(module.params).of_image(engine, image["Id"])
    missing = _image.missing_copies(releases.path(release), answer)
    left_out = []
    if missing and not module.check_mode:
        left_out = _image.copy_folders(engine, releases, release, image["Id"], missing)
    path = releases.path(release)
    return _result(
        releases,
        release,
        changed=built or not known or bool(missing),
        image=image["Id"],
        copied=missing,
        left_out=left_out,
        diff={"before": f"{path}\n" if known else "", "after": f"{path}\n"},
    )


def _question(parameters: t.Mapping[str, t.Any]) -> _image.Question:
    names = (
        "name",
        "callable",
        "user",
        "python",
        "media_root",
        "environment_files",
        "networks",
        "timeout_seconds",
    )
    return _image.Question(**{name: parameters[name] for name in names})


def _result(releases: Releases, release: str, **result: object) -> Result:
    return {
        "id": release,
        "path": releases.path(release),
        "image": None,
        "archive_needed": False,
        "copied": [],
        "left_out": [],
        **result,
    }


if __name__ == "__main__":
    main()
