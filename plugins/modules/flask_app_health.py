#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_app_health
short_description: Ask a release of a Flask app for a page, before it is switched to
version_added: 0.1.0
description:
  - Starts Gunicorn of the release as the app's user, by the service's configuration and with its env, but with one worker and on a private socket.
  - Asks it for O(url), as Nginx would. An answer of 200 to 399 is healthy; anything else fails, with the end of Gunicorn's log.
  - Gunicorn is ended in any case, and the service that runs is not touched. What the app itself does when it starts it does here too.
attributes:
  check_mode:
    description:
      - Can run in check mode and does the same, for a release that is there.
      - One that isn't there yet is no failure in check mode, since a run would make it. RV(asked) is V(false) then.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
options:
  virtualenv:
    description: Virtualenv of the release, which has Gunicorn.
    type: path
    required: true
  user:
    description: User that the app runs as. Root is refused.
    type: str
    required: true
  directory:
    description: Working directory of the app.
    type: path
    required: true
  config_file:
    description: Gunicorn's configuration. Its C(bind), C(workers), C(pidfile) and C(chdir) are not used.
    type: path
    required: true
  environment_files:
    description:
      - Env files of the app, as systemd reads them with C(EnvironmentFile=). A later one wins.
      - They may be readable to root only. Their values are masked in what is shown of log and answer, paths that are there excepted.
    type: list
    elements: path
    default: []
  url:
    description: Path of the page, as the app itself sees it.
    type: str
    default: /
  site_url:
    description: URL of the site, from which C(Host) and the headers C(X-Forwarded-*) follow.
    type: str
    default: http://localhost
  prefix:
    description: URL prefix that the site is mounted at, which Nginx takes away and tells the app as C(X-Forwarded-Prefix).
    type: str
    default: /
  timeout_seconds:
    description: How long all of it may take, from Gunicorn's start to the answer.
    type: int
    default: 60
  umask:
    description: Umask of the app, as an octal number in quotes, in case it makes files at import.
    type: str
    default: "0027"
author:
  - flaskworks (@flaskworks)
seealso:
  - module: flaskworks.static_media.flask_release
  - module: flaskworks.static_media.flask_app_info
"""

EXAMPLES = r"""
- name: Ask the new release for a page
  flaskworks.static_media.flask_app_health:
    virtualenv: /opt/gallery/releases/3f1c0a9be2d4
    directory: /opt/gallery/releases/3f1c0a9be2d4
    user: gallery
    config_file: /etc/gallery/gunicorn.conf.py
    environment_files:
      - /etc/gallery/secret_key.env
      - /etc/gallery/gallery.env
    site_url: http://gallery.example.com
    url: /health
"""

RETURN = r"""
asked:
  description: Whether the release was asked. V(false) only in check mode, when a run is still to make it.
  returned: success
  type: bool
  sample: true
reason:
  description: Why it was not asked, or null.
  returned: success
  type: str
  sample: null
status:
  description: Status of the answer, or null when it was not asked.
  returned: success
  type: int
  sample: 200
elapsed_seconds:
  description: Time from Gunicorn's start to the answer, or null.
  returned: success
  type: float
  sample: 0.84
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.flaskworks.static_media.plugins.module_utils import _as_user
from ansible_collections.flaskworks.static_media.plugins.module_utils._app_health import (
    FlaskAppError,
    HealthCheck,
    HealthError,
    NotYetError,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "virtualenv": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "config_file": {"type": "path", "required": True},
            "environment_files": {"type": "list", "elements": "path", "default": []},
            "url": {"type": "str", "default": "/"},
            "site_url": {"type": "str", "default": "http://localhost"},
            "prefix": {"type": "str", "default": "/"},
            "timeout_seconds": {"type": "int", "default": 60},
            "umask": {"type": "str", "default": "0027"},
        },
        supports_check_mode=True,
    )
    try:
        umask = _as_user.parse_umask(module.params["umask"])
        answer = HealthCheck(**{**module.params, "umask": umask}).ask()
    except NotYetError as error:
        if not module.check_mode:
            module.fail_json(msg=str(error))
        module.exit_json(
            changed=False, asked=False, reason=str(error), status=None, elapsed_seconds=None
        )
    except (HealthError, FlaskAppError, _as_user.AsUserError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        asked=True,
        reason=None,
        status=answer.status,
        elapsed_seconds=round(answer.seconds, 3),
    )


if __name__ == "__main__":
    main()
