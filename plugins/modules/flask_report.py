#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_report
short_description: Judge the evidence of a site, and report
version_added: 0.1.0
description:
  - Judges what the role C(flask_verify) gathered, prints a summary, writes a report as JSON on the control node, and fails when a check fails.
  - In check mode no requests were made, so nothing is judged and nothing written.
attributes:
  check_mode:
    description: Says that nothing was verified.
    support: partial
    details: Verification makes requests, which check mode does not.
  diff_mode:
    description: Changes nothing on the host, so there is nothing to show.
    support: none
  action:
    description: Runs on the control node only.
    support: full
options:
  settings:
    description: The answer of M(flaskworks.static_media.flask_settings).
    type: dict
    required: true
  app_access:
    description: What the app's user can do, from M(flaskworks.static_media.path_access_info).
    type: list
    elements: dict
    required: true
  nginx_access:
    description: What Nginx's user can do, from M(flaskworks.static_media.path_access_info).
    type: list
    elements: dict
    required: true
  static_access:
    description: What the app's user could do with static files outside of its service, from M(flaskworks.static_media.path_access_info).
    type: list
    elements: dict
    required: true
  canary:
    description: The answer of M(flaskworks.static_media.media_canary).
    type: dict
    required: true
  private_canaries:
    description: Its answers for the media areas that are not public, each with the area as C(item).
    type: list
    elements: dict
    default: []
  private_access:
    description: The answers of M(flaskworks.static_media.path_access_info) for these canaries and Nginx's user, each with the canary as C(item).
    type: list
    elements: dict
    default: []
  static:
    description: The answer of M(flaskworks.static_media.static_release) in check mode.
    type: dict
    required: true
  site:
    description: The answer of M(flaskworks.static_media.flask_site_info).
    type: dict
    required: true
  storage:
    description: The answer of M(flaskworks.static_media.media_storage_info).
    type: dict
    required: true
  responses:
    description: The results of M(ansible.builtin.uri), each with its request.
    type: list
    elements: dict
    required: true
  directory:
    description: Directory on the control node for the report.
    type: path
    required: true
author:
  - flaskworks (@flaskworks)
"""

EXAMPLES = r"""
- name: Judge and report
  flaskworks.static_media.flask_report:
    settings: "{{ __flask_verify.settings }}"
    app_access: "{{ __flask_verify_app.paths }}"
    nginx_access: "{{ __flask_verify_nginx.paths }}"
    canary: "{{ __flask_verify_canary }}"
    static: "{{ __flask_verify_static }}"
    site: "{{ __flask_verify_site }}"
    storage: "{{ __flask_verify_storage }}"
    responses: "{{ __flask_verify_responses.results }}"
    directory: report
"""

RETURN = r"""
findings:
  description: Ids of what is wrong. The report says where, and how to mend it.
  returned: outside check mode
  type: list
  elements: str
  sample: []
path:
  description: Where the report is, on the control node.
  returned: outside check mode
  type: str
  sample: /home/me/report/web1-gallery.json
"""
