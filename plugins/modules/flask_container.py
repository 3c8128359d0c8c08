#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_container
short_description: Run a Flask app in a container, and switch from one to the next
version_added: 0.1.0
description:
  - Writes the Compose file of a release and runs its container beside the one in use, on a unix socket of its own, until it answers.
  - Then leads Nginx to it by one rename of a link, and ends the old one, which finishes its requests. No request is refused or waits.
  - The container's file system is read-only but for the uploads, C(/tmp) in memory, the directory of its socket and O(volumes).
attributes:
  check_mode:
    description: Can run in check mode and tell what would change.
    support: full
  diff_mode:
    description: Shows which container is in use before and after.
    support: full
options:
  state:
    description:
      - V(started) runs the container of O(release), and asks it for O(health_url). Nothing is switched.
      - V(current) switches to it, and ends all others of the app.
      - V(pruned) takes away the tags of images and the directories of sockets that no release and no container needs.
    type: str
    choices: [started, current, pruned]
    default: started
  root:
    description: Directory of the releases.
    type: path
    required: true
  name:
    description: Name of the app.
    type: str
    required: true
  release:
    description: Name of the release. Required with O(state=started).
    type: str
  instance:
    description: The container to switch to, as O(state=started) returns it.
    type: str
  socket:
    description: The link that Nginx connects to. Beside it, each container has a directory of its own.
    type: path
    required: true
  user:
    description: User of the host's whose numeric ids the app has in its container. Required with O(state=started).
    type: str
  socket_group:
    description: Group that may connect. Nginx's.
    type: str
    default: www-data
  python:
    description: In the image, the Python that has Gunicorn and the app.
    type: str
    default: python3
  gunicorn_file:
    description: Gunicorn's configuration. Required with O(state=started).
    type: path
  environment_files:
    description: Env files of the host's whose variables the app gets.
    type: list
    elements: path
    default: []
  media_root:
    description: Directory of the uploads, at the same path on the host and in the container. Required with O(state=started).
    type: path
  volumes:
    description: Further volumes, as C(SOURCE:TARGET) or C(SOURCE:TARGET:ro).
    type: list
    elements: str
    default: []
  networks:
    description: Networks of the engine's that the container joins. They have to be there.
    type: list
    elements: str
    default: []
  health_url:
    description: URL path of the app's that the container is asked for.
    type: str
    default: /
  site_url:
    description: Scheme, host and port by which visitors ask.
    type: str
    default: http://localhost
  prefix:
    description: URL prefix that Nginx takes away.
    type: str
    default: /
  timeout_seconds:
    description: How long it may take from the container's start to the answer.
    type: int
    default: 60
  stop_seconds:
    description: How long a container that is ended may take to finish its requests.
    type: int
    default: 45
author:
  - flaskworks (@flaskworks)
seealso:
  - module: flaskworks.static_media.flask_image
"""

EXAMPLES = r"""
- name: Run the container of the release
  flaskworks.static_media.flask_container:
    root: /opt/gallery
    name: gallery
    release: "{{ release.id }}"
    socket: /var/lib/gallery-sockets/gallery.sock
    user: gallery
    gunicorn_file: /etc/gallery/gunicorn.conf.py
    media_root: /var/www/gallery/media
  register: container

- name: Switch to it
  flaskworks.static_media.flask_container:
    state: current
    root: /opt/gallery
    name: gallery
    instance: "{{ container.instance }}"
    socket: /var/lib/gallery-sockets/gallery.sock
"""

RETURN = r"""
instance:
  description: Name of the container's Compose project. It follows from app, image and settings. Null with O(state=pruned).
  returned: success
  type: str
  sample: gallery-3f1c0a9be2d4-0b7a91
previous:
  description: The one that was in use before this task, or null.
  returned: success
  type: str
  sample: gallery-9d2b7c41aa07-77c1f0
status:
  description: Status of the answer, or null when it was not asked.
  returned: success
  type: int
  sample: 200
changes:
  description: What changed, or would, in words.
  returned: success
  type: list
  elements: str
  sample: [end of gallery-9d2b7c41aa07-77c1f0]
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _app_health,
    _container,
    _image,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._docker import (
    Engine,
    EngineError,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._flask_app import (
    FlaskAppError,
    NotYetError,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._release import (
    ReleaseError,
    Releases,
)

Result = dict[str, t.Any]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "choices": ["started", "current", "pruned"],
                "default": "started",
            },
            "root": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "release": {"type": "str"},
            "instance": {"type": "str"},
            "socket": {"type": "path", "required": True},
            "user": {"type": "str"},
            "socket_group": {"type": "str", "default": "www-data"},
            "python": {"type": "str", "default": "python3"},
            "gunicorn_file": {"type": "path"},
            "environment_files": {"type": "list", "elements": "path", "default": []},
            "media_root": {"type": "path"},
            "volumes": {"type": "list", "elements": "str", "default": []},
            "networks": {"type": "list", "elements": "str", "default": []},
            "health_url": {"type": "str", "default": "/"},
            "site_url": {"type": "str", "default": "http://localhost"},
            "prefix": {"type": "str", "default": "/"},
            "timeout_seconds": {"type": "int", "default": 60},
            "stop_seconds": {"type": "int", "default": 45},
        },
        required_if=[
            ("state", "started", ("release", "user", "gunicorn_file", "media_root")),
            ("state", "current", ("instance",)),
        ],
        supports_check_mode=True,
    )
    act = {"started": _start, "current": _switch, "pruned": _prune}
    try:
        containers = _container.Containers(
            Engine(),
            module.params["name"],
            os.path.dirname(module.params["socket"]),
            os.path.basename(module.params["socket"]),
        )
        result = act[module.params["state"]](module, containers)
    except NotYetError as error:
        if not module.check_mode:
            module.fail_json(msg=str(error))
        result = _result(None, None, [str(error)])
    except (_container.ContainerError, EngineError, FlaskAppError, ReleaseError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def _start(module: AnsibleModule, containers: _container.Containers) -> Result:
    parameters = module.params
    releases = Releases(parameters["root"])
    if not releases.is_built(parameters["release"]):
        raise NotYetError(f"{releases.path(parameters['release'])} isn't there. Build it first.")
    for path in (parameters["gunicorn_file"], *parameters["environment_files"]):
        if not os.path.exists(path):
            raise NotYetError(f"{path} isn't there. Write it first.")
    service, masking = _container.service(
        app=parameters["name"],
        image=_image.image_of(releases, parameters["release"]),
        sockets=containers.sockets,
        **{
            name: parameters[name]
            for name in (
                "user",
                "environment_files",
                "volumes",
                "networks",
                "gunicorn_file",
                "python",
                "media_root",
                "stop_seconds",
            )
        },
    )
    health = _container.Health(
        url=parameters["health_url"],
        headers=_app_health.headers(parameters["site_url"], parameters["prefix"]),
        timeout_seconds=parameters["timeout_seconds"],
    )
    previous = containers.current()
    started = containers.start(
        releases,
        parameters["release"],
        service,
        health,
        group=parameters["socket_group"],
        masking=masking,
        apply=not module.check_mode,
    )
    changes = [f"start of {started.instance}"] if started.changed else []
    return _result(started.instance, previous, changes, status=started.status)


def _switch(module: AnsibleModule, containers: _container.Containers) -> Result:
    previous, instance = containers.current(), module.params["instance"]
    changes = containers.switch(
        instance, module.params["stop_seconds"], apply=not module.check_mode
    )
    return _result(instance, previous, changes)


def _prune(module: AnsibleModule, containers: _container.Containers) -> Result:
    releases = Releases(module.params["root"])
    gone = containers.plan_pruning(releases)
    if gone and not module.check_mode:
        gone = containers.prune(releases)
    return _result(None, containers.current(), gone)


def _result(
    instance: str | None, previous: str | None, changes: list[str], status: int | None = None
) -> Result:
    return {
        "changed": bool(changes),
        "instance": instance,
        "previous": previous,
        "status": status,
        "changes": changes,
        "diff": {
            "before": f"{previous or ''}\n",
            "after": f"{instance or previous or ''}\n",
        },
    }


if __name__ == "__main__":
    main()
