# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""How a task reports: on the terminal, in files, and by failing."""

from __future__ import annotations

import sys
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.utils.display import Display
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _report,
    _report_drift,
    _report_files,
    _report_text,
)

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "directory": {"type": "path", "required": True},
    "baseline": {"type": "path"},
    "fail_on": {"type": "str", "choices": [*_report.FAIL_ON], "default": "error"},
}

display = Display()


def earlier(path: str | None) -> dict[str, t.Any] | None:
    """Return the report to compare with, if one is named.

    :raises AnsibleActionFail: when it is none.
    """
    try:
        return _report_drift.load(path) if path else None
    except _report_drift.BaselineError as error:
        raise AnsibleActionFail(str(error)) from error


def publish(
    judged: dict[str, t.Any],
    compared: dict[str, t.Any] | None,
    arguments: t.Mapping[str, t.Any],
) -> dict[str, t.Any]:
    """Write a report, print it, and return what a task returns of it."""
    report, drift = _report_files.finished(judged, compared, arguments["baseline"])
    files = _report_files.place(arguments["directory"], report["host"], report["app"])
    _report_files.write(report, files, arguments["fail_on"])
    paths = [str(path) for path in (files.html, files.json, files.junit)]
    # Of a log, Ansible takes it to be 79.
    width = display.columns if sys.stdout.isatty() else _report_text.WIDEST
    display.display(_report_text.summary(report, paths, width))
    result: dict[str, t.Any] = {
        "findings": [found["id"] for found in report["findings"]],
        "path": str(files.json),
        "html_path": str(files.html),
        "junit_path": str(files.junit),
        "drift": drift,
    }
    if _report.fails(report, arguments["fail_on"]):
        result.update(failed=True, msg=_report.failure(report, paths[0]))
    return result
