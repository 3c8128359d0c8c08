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
  - Judges what the role C(flask_verify) gathered, prints a summary, and writes a report on the control node, as JSON, as an HTML page
    that needs nothing but itself, and as JUnit's XML for CI.
  - Fails by the severity of what is wrong, see O(fail_on).
  - What looks like a secret is masked in all of it.
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
    description: Directory on the control node for the report. Its files have mode C(0640), less what the umask takes away.
    type: path
    required: true
  baseline:
    description:
      - Path on the control node of an earlier report, as JSON. What has changed since is part of the report.
      - It may be the report that is written now, which then tells what has changed since the last run.
    type: path
  fail_on:
    description:
      - Severity from which on a finding fails the task. A check that fails without a finding counts as an error.
      - With V(never) all is reported, and nothing fails.
    type: str
    choices: [error, warning, never]
    default: error
author:
  - flaskworks (@flaskworks)
"""

EXAMPLES = r"""
- name: Judge and report, tell what has changed since the release, and fail for warnings too
  flaskworks.static_media.flask_report:
    settings: "{{ __flask_verify.settings }}"
    app_access: "{{ __flask_verify_app.paths }}"
    nginx_access: "{{ __flask_verify_nginx.paths }}"
    static_access: "{{ __flask_verify_static_access.paths }}"
    canary: "{{ __flask_verify_canary }}"
    static: "{{ __flask_verify_static }}"
    site: "{{ __flask_verify_site }}"
    storage: "{{ __flask_verify_storage }}"
    responses: "{{ __flask_verify_responses.results }}"
    directory: report
    baseline: release/web1-gallery.json
    fail_on: warning
"""

RETURN = r"""
findings:
  description: Ids of what is wrong. The report says where, and how to mend it.
  returned: outside check mode
  type: list
  elements: str
  sample: []
path:
  description: Where the report is as JSON, on the control node.
  returned: outside check mode
  type: str
  sample: /home/me/report/web1-gallery.json
html_path:
  description: Where it is as a page.
  returned: outside check mode
  type: str
  sample: /home/me/report/web1-gallery.html
junit_path:
  description: Where it is as JUnit's XML.
  returned: outside check mode
  type: str
  sample: /home/me/report/web1-gallery.xml
drift:
  description: What has changed since O(baseline), or V(null) without one.
  returned: outside check mode
  type: dict
  contains:
    since:
      description: When the earlier report was made.
      type: str
      sample: "2026-11-23T10:00:00Z"
    host:
      description: Its host.
      type: str
      sample: web1
    app:
      description: Its app.
      type: str
      sample: gallery
    path:
      description: Where it is.
      type: str
      sample: /home/me/release/web1-gallery.json
    findings:
      description:
        - Which findings are C(new), which are C(gone), and which are the C(same), by their ids and components.
        - One whose severity is another now has what it C(was).
      type: dict
      sample: {"new": [], "gone": [], "same": []}
    checks:
      description: The checks that end otherwise, with their status C(before) and C(after).
      type: list
      elements: dict
      sample: [{"id": "nginx-reads-both", "title": "Nginx can read both", "before": "pass", "after": "fail"}]
    facts:
      description: What was found on the host and is not as it was.
      type: list
      elements: dict
      sample: [{"name": "nginx", "before": "1.22.1", "after": "1.26.3"}]
    routes:
      description: The requests that are answered otherwise.
      type: list
      elements: dict
      sample: []
"""
