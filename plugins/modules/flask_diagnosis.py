#!/usr/bin/python
# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flask_diagnosis
short_description: Find out what a host serves, and name what is wrong with it
version_added: 0.1.0
description:
  - Needs to know nothing of the host. It finds the running Nginx and the app servers behind it, and asks the apps what they are.
  - Then it makes requests, and asks the kernel who may do what.
  - Prints a summary, and writes a report for each app found, as JSON, as a page and as JUnit, on the control node.
  - Changes nothing, but for small files of its own in the directories of uploads, which it removes.
  - Needs crossplane on the control node.
attributes:
  check_mode:
    description: Asks all that can be asked without placing a file.
    support: partial
    details: Nothing is placed in the directories of uploads, so what that would show is reported as not seen.
  diff_mode:
    description: Changes nothing on the host, so there is nothing to show.
    support: none
  action:
    description: Judges on the control node, and runs other modules on the host.
    support: full
options:
  callable:
    description: The app as Gunicorn takes it, C(module:app) or C(module:create_app(\)), where no running process tells.
    type: str
  virtualenv:
    description: Virtualenv that the app is installed in, where no running process tells.
    type: path
  user:
    description: User that the app runs as, where no running process tells.
    type: str
  app_directory:
    description: Working directory of the app, where no running process tells.
    type: path
  domains:
    description: Host names that the site should answer to. Without them, those of its server block are asked for.
    type: list
    elements: str
    default: []
  directory:
    description: Directory on the control node for the reports.
    type: path
    required: true
  baseline:
    description: A JSON report of an earlier run. What has changed since is reported, too.
    type: path
  fail_on:
    description: Severity of a finding from which on the task fails.
    type: str
    choices: [error, warning, never]
    default: error
author:
  - flaskworks (@flaskworks)
seealso:
  - module: flaskworks.static_media.nginx_config_info
  - module: flaskworks.static_media.flask_process_info
  - module: flaskworks.static_media.flask_app_info
  - module: flaskworks.static_media.flask_evidence_info
"""

EXAMPLES = r"""
- name: Diagnose whatever this host serves
  flaskworks.static_media.flask_diagnosis:
    directory: report
"""

RETURN = r"""
sites:
  description: For each app found, what M(flaskworks.static_media.flask_report) returns of its report.
  returned: always
  type: list
  elements: dict
  contains:
    findings:
      description: Ids of what is wrong. The report says where, and how to mend it.
      type: list
      elements: str
      sample: [alias-wrong-path]
    path:
      description: The report on the control node, as JSON.
      type: str
      sample: /home/me/report/web1-gallery.json
    html_path:
      description: The report as a page.
      type: str
      sample: /home/me/report/web1-gallery.html
    junit_path:
      description: The report for CI.
      type: str
      sample: /home/me/report/web1-gallery.xml
    drift:
      description: What has changed since O(baseline), or null.
      type: dict
      sample: null
"""
