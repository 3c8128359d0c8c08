#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_image_info
short_description: Ask a Flask app in a container image what it is
version_added: 0.1.0
description:
  - Runs the image of a release once, as its service runs it, and asks the app for its static mounts and its config.
  - That is what M(flaskworks.static_media.flask_app_info) does in a virtualenv.
  - The folders of the mounts are those of the copies that M(flaskworks.static_media.flask_image) has made on the host.
attributes:
  check_mode:
    description: Can run in check mode and return the same.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
options:
  root:
    description: Directory of the releases.
    type: path
    required: true
  release:
    description: Name of the release. When unset the one in use is asked.
    type: str
  name:
    description: Name of the app.
    type: str
    required: true
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
author:
  - flaskworks (@flaskworks)
seealso:
  - module: flaskworks.static_media.flask_app_info
  - module: flaskworks.static_media.flask_image
"""

EXAMPLES = r"""
- name: Ask the app in the release in use
  flaskworks.static_media.flask_image_info:
    root: /opt/gallery
    name: gallery
    callable: gallery:create_app()
    user: gallery
    media_root: /var/www/gallery/media
    environment_files:
      - /etc/gallery/secret_key.env
      - /etc/gallery/gallery.env
  register: gallery
"""

RETURN = r"""
asked:
  description: Whether the app was asked. V(false) only in check mode, when a run is still to make the release.
  returned: success
  type: bool
  sample: true
reason:
  description: Why the app was not asked, or null.
  returned: success
  type: str
  sample: null
app:
  description:
    - The app's answer, as that of M(flaskworks.static_media.flask_app_info).
    - Each mount also has C(container_folder), where the image has it.
  returned: success
  type: dict
  sample:
    mounts:
      - endpoint: static
        url: /static/
        folder: /opt/gallery/releases/3f1c0a9be2d4/image/app/gallery/static
        container_folder: /app/gallery/static
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import _flask_app, _image
from ansible_collections.flaskworks.static_media.plugins.module_utils._as_user import AsUserError
from ansible_collections.flaskworks.static_media.plugins.module_utils._docker import (
    Engine,
    EngineError,
    NoEngineError,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._release import Releases


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "release": {"type": "str"},
            "name": {"type": "str", "required": True},
            "callable": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "python": {"type": "str", "default": "python3"},
            "environment_files": {"type": "list", "elements": "path", "default": []},
            "media_root": {"type": "path", "required": True},
            "networks": {"type": "list", "elements": "str", "default": []},
            "timeout_seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    try:
        answer = _ask(module)
    except (_flask_app.NotYetError, NoEngineError) as error:
        if not module.check_mode:
            module.fail_json(msg=str(error))
        module.exit_json(changed=False, asked=False, reason=str(error), app=_flask_app.assumed())
    except (_flask_app.FlaskAppError, EngineError, AsUserError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, asked=True, reason=None, app=answer)


def _ask(module: AnsibleModule) -> _flask_app.Answer:
    parameters = dict(module.params)
    releases = Releases(parameters.pop("root"))
    release = parameters.pop("release")
    question = _image.Question(**parameters)
    engine = Engine()
    release = release or releases.current_id()
    if release is None or not releases.is_built(release):
        raise _flask_app.NotYetError(
            f"{releases.path(release) if release else releases.current} isn't there. Deploy the app first."
        )
    answer = question.of_image(engine, _image.image_of(releases, release))
    return _image.on_host(answer, releases.path(release))


if __name__ == "__main__":
    main()
