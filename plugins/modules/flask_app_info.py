#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_app_info
short_description: What a Flask app says about itself
version_added: 0.1.0
description:
  - Imports the app in its own virtualenv, as its own user and with the env that it runs with.
  - Asks it for its static mounts, its rules and the part of its config that concerns files.
  - The app's code is never run as root. Nothing is written, no byte code either; what the app itself does at import it does here too.
  - Of the config only a fixed list of names is returned, no secret.
attributes:
  check_mode:
    description:
      - Can run in check mode and return the same.
      - In check mode a virtualenv, user or env file that isn't there yet is no failure, since a run would make it.
      - The answer is assumed then, and RV(asked) is V(false).
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
options:
  virtualenv:
    description: Virtualenv that the app is installed in. In a container, its path there.
    type: path
  python:
    description:
      - The Python that has the app, when that is no virtualenv's.
      - In a container, a command or path there.
    type: str
  container:
    description:
      - Running container that the app is in, by its id or name. The app is asked in it, by C(docker exec) with its own Python, or by C(podman exec).
      - O(user), O(directory), O(python), O(virtualenv) and O(callable) are the container's then.
    type: str
  callable:
    description:
      - The app as Gunicorn takes it, C(module:app) or C(module:create_app(config="production")).
      - A file's absolute path may stand in for the module, as uWSGI's C(wsgi-file) has it.
      - Arguments are plain literals. Middleware around the app is looked through.
    type: str
    required: true
  loader:
    description: Whose rules hold for O(callable). With V(flask) it is what C(flask --app) takes.
    type: str
    choices: [gunicorn, flask]
    default: gunicorn
  user:
    description:
      - User that the app runs as. Root is refused.
      - In a container, a name or number, with a group behind a colon if need be.
    type: str
    required: true
  python_path:
    description: Directories in which modules are looked for before all others.
    type: list
    elements: path
    default: []
  environment_files:
    description:
      - Env files of the app, as systemd reads them with C(EnvironmentFile=). A later one wins.
      - They may be readable to root only. Their values are masked in what the app says when it fails.
    type: list
    elements: path
    default: []
  require_environment_files:
    description: Whether each of O(environment_files) has to be there. Those of an app that is run by other means may be yet to come.
    type: bool
    default: true
  process_id:
    description:
      - Process whose environment comes before O(environment_files), so that an app is asked as it runs.
      - Variables that its server sets (Gunicorn's C(--env), uWSGI's C(env)) are added.
      - Passed over when it is not of O(user), whose secrets it would tell to the app's code. In a container it has to be one of its processes.
    type: int
  environment:
    description:
      - Variables on top of O(environment_files). Values that are no strings are handed over as JSON, as C(from_prefixed_env(\)) reads them.
      - Secrets belong into a file, since a task's arguments are logged.
    type: dict
    default: {}
  directory:
    description:
      - Working directory of the app, where its modules are also looked for. Also its C(HOME).
      - Without it, the app starts in C(/), and C(HOME) is the user's own.
    type: path
  timeout_seconds:
    description: How long the app may take to be imported and built.
    type: int
    default: 60
  umask:
    description: Umask of the app, as an octal number in quotes, in case it makes files at import.
    type: str
    default: "0027"
author:
  - flaskworks (@flaskworks)
seealso:
  - module: flaskworks.static_media.flask_settings
  - module: flaskworks.static_media.static_release
"""

EXAMPLES = r"""
- name: Ask the app for its static mounts
  flaskworks.static_media.flask_app_info:
    virtualenv: /opt/gallery/current
    callable: gallery:create_app()
    user: gallery
    directory: /opt/gallery/current
    environment_files:
      - /etc/gallery/secret_key.env
      - /etc/gallery/gallery.env
  register: gallery

- name: Ask an app that runs in a container
  flaskworks.static_media.flask_app_info:
    container: gallery-web-1
    python: python3
    callable: wsgi:app
    user: "1000:1000"
    directory: /app

- name: Ask the app that flask run serves, installed from Debian's packages
  flaskworks.static_media.flask_app_info:
    python: /usr/bin/python3
    loader: flask
    callable: hello.py
    user: hello
    directory: /srv/hello

- name: Show the URL prefixes of its static files
  ansible.builtin.debug:
    msg: "{{ gallery.app.mounts | map(attribute='url') }}"
"""

RETURN = r"""
asked:
  description: Whether the app was asked. V(false) only in check mode, when a run is still to install it.
  returned: success
  type: bool
  sample: true
reason:
  description: Why the app was not asked, or null.
  returned: success
  type: str
  sample: null
app:
  description: The app's answer. When RV(asked) is V(false), one assumed mount C(/static/), and nothing else is known.
  returned: success
  type: dict
  contains:
    mounts:
      description:
        - Every URL prefix below which the app serves a folder. Its own and those of blueprints and extensions, sorted by URL.
      type: list
      elements: dict
      contains:
        endpoint:
          description: Flask's endpoint.
          type: str
          sample: about.static
        url:
          description: URL prefix, begins and ends with a slash.
          type: str
          sample: /about/static/
        host:
          description: Host that it is bound to by host matching or a subdomain, or null for any.
          type: str
          sample: null
        folder:
          description: Directory behind its links. Null when the app was not asked.
          type: str
          sample: /opt/gallery/releases/3f1c0a9be2d4/lib/python3.11/site-packages/gallery/about/static
        exists:
          description: Whether the app's user finds it.
          type: bool
          sample: true
        shadowed_by:
          description: Endpoint that answers below this prefix in place of this one, which nobody can reach. Null is the good case.
          type: str
          sample: null
    config:
      description:
        - Config values that concern files, null where they are not set. Intervals are in seconds.
      type: dict
      sample:
        UPLOAD_FOLDER: /var/www/gallery/media
        MAX_CONTENT_LENGTH: 16777216
    config_types:
      description: Python type of each of these values that the app has.
      type: dict
      sample: {UPLOAD_FOLDER: str, MAX_CONTENT_LENGTH: int}
    rules:
      description: The first 2000 URL rules, in the order that the router tries them.
      type: list
      elements: dict
      sample:
        - {rule: "/about/", endpoint: about.index, methods: [GET, HEAD, OPTIONS], build_only: false}
    rules_total:
      description: How many rules there are.
      type: int
      sample: 12
    import_name:
      description: Name of the app's package.
      type: str
      sample: gallery
    root_path:
      description: Directory of the app's package.
      type: str
      sample: /opt/gallery/releases/3f1c0a9be2d4/lib/python3.11/site-packages/gallery
    instance_path:
      description: The app's instance directory.
      type: str
      sample: /opt/gallery/releases/3f1c0a9be2d4/var/gallery-instance
    warnings:
      description: What could not be asked, such as a static folder below a variable URL or apps beside this one.
      type: list
      elements: str
      sample: []
    versions:
      description: Versions that the app runs with.
      type: dict
      sample: {python: 3.11.2, flask: 3.1.3, werkzeug: 3.1.9}
    process:
      description: As whom the app was asked.
      type: dict
      sample: {uid: 998, gid: 998, groups: [998], umask: "0027"}
    heeds_forwarded_prefix:
      description:
        - Whether a prefix in C(X-Forwarded-Prefix) becomes part of the app's links, as with C(ProxyFix(x_prefix=1)).
        - Null when the app was not asked.
      type: bool
      sample: true
    heeds_forwarded_proto:
      description:
        - Whether the scheme in C(X-Forwarded-Proto) becomes that of the app's links, as with C(ProxyFix(x_proto=1)).
        - Null when the app was not asked.
      type: bool
      sample: true
    accel_redirects:
      description: Endpoints whose code names C(X-Accel-Redirect), with the URL paths that it spells out. The code is read, not run.
      type: list
      elements: dict
      sample:
        - {endpoint: download, paths: [/_protected/]}
"""

import json
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _app_process,
    _as_user,
    _hosted_app,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._flask_app import (
    Callable,
    FlaskApp,
    FlaskAppError,
    NotYetError,
    assumed,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "virtualenv": {"type": "path"},
            "python": {"type": "str"},
            "container": {"type": "str"},
            "callable": {"type": "str", "required": True},
            "loader": {"type": "str", "choices": ["gunicorn", "flask"], "default": "gunicorn"},
            "user": {"type": "str", "required": True},
            "python_path": {"type": "list", "elements": "path", "default": []},
            "environment_files": {"type": "list", "elements": "path", "default": []},
            "require_environment_files": {"type": "bool", "default": True},
            "process_id": {"type": "int"},
            "environment": {"type": "dict", "default": {}},
            "directory": {"type": "path"},
            "timeout_seconds": {"type": "int", "default": 60},
            "umask": {"type": "str", "default": "0027"},
        },
        mutually_exclusive=[("virtualenv", "python")],
        required_one_of=[("virtualenv", "python")],
        supports_check_mode=True,
    )
    try:
        answer = _app(module).ask()
    except NotYetError as error:
        if not module.check_mode:
            module.fail_json(msg=str(error))
        module.exit_json(changed=False, asked=False, reason=str(error), app=assumed())
    except (FlaskAppError, _as_user.AsUserError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, asked=True, reason=None, app=answer)


def _app(module: AnsibleModule) -> FlaskApp:
    params = module.params
    question = {
        "virtualenv": params["virtualenv"],
        "interpreter": params["python"],
        "callable": Callable.of(params["callable"], params["loader"]),
        "user": params["user"],
        "directory": params["directory"],
        "python_path": params["python_path"],
        "environment_files": [
            path
            for path in params["environment_files"]
            if params["require_environment_files"] or os.path.lexists(path)
        ],
        "process_id": params["process_id"],
        "server_environment": _app_process.server_environment(
            params["process_id"], None if params["container"] else params["user"]
        ),
        "environment": {
            str(name): value if isinstance(value, str) else json.dumps(value)
            for name, value in params["environment"].items()
        },
        "timeout_seconds": params["timeout_seconds"],
        "umask": _as_user.parse_umask(params["umask"]),
    }
    if params["container"]:
        return _hosted_app.HostedApp(container=params["container"], **question)
    return FlaskApp(**question)


if __name__ == "__main__":
    main()
