#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_settings
short_description: Read and check the description of an app
version_added: 0.1.0
description:
  - Reads every C(flask_*) variable of the collection's roles, fills in the roles' defaults, and checks types, choices and the rules between them.
  - Then looks at the host, and on demand asks the app, for what contradicts the description.
  - Fails with every problem at once, each naming the variable, its value and what to write. Changes nothing.
  - Every role begins with this task and reads only its answer, so each role works alone.
attributes:
  check_mode:
    description: Can run in check mode and return the same.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
  action:
    description: Runs on the control node, and runs M(flaskworks.static_media.flask_host_info) and M(flaskworks.static_media.flask_app_info) on the host.
    support: full
options:
  ask_app:
    description:
      - Whether to ask the app for its static mounts and its config.
      - An app described by C(flask_static_mounts) is not asked.
    type: bool
    default: false
  ask_deployed_app:
    description:
      - Whether to ask the app that is deployed already, where there is one.
      - A media prefix that clashes with its static mounts is then refused before the first change.
      - An app that can't be asked is passed over.
    type: bool
    default: false
  virtualenv:
    description:
      - Virtualenv to ask the app in, when it isn't C(flask_app_virtualenv). A new release is asked before it is switched to.
    type: path
  as_it_runs:
    description:
      - Ask the app with the environment of its running process, and with those env files only that are there. For an app that is yet to be
        taken over, whose uploads are looked for.
    type: bool
    default: false
  on_contradiction:
    description:
      - What to do when the app can't be asked, or when its answer contradicts the description.
      - V(fail) refuses, before anything is changed. V(report) returns it, for M(flaskworks.static_media.flask_report) to judge.
    type: str
    choices: [fail, report]
    default: fail
author:
  - flaskworks (@flaskworks)
seealso:
  - module: flaskworks.static_media.flask_app_info
"""

EXAMPLES = r"""
- name: Read and check the description, and ask the app
  flaskworks.static_media.flask_settings:
    ask_app: true
  register: __flask_static
"""

RETURN = r"""
settings:
  description:
    - The description, complete and checked. One key a role, such as C(app) and C(media), with the role's variables less their prefix.
    - C(host) has the facts of the host and C(answer) the app's own answer.
  returned: success
  type: dict
  sample:
    app: {name: gallery, user: gallery}
    media: {root: /var/www/gallery/media, url: /media/}
"""
