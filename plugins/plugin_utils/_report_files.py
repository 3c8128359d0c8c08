# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""The files of a report: complete, without secrets, and each written at once."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _report,
    _report_drift,
    _report_html,
    _report_junit,
    _report_mask,
)

# Others on the control node need not read where a host is weak; who wants less sets a umask.
MODE = 0o640


@dataclasses.dataclass(frozen=True)
class Files:
    """Where a report lies on the control node, in each of its forms."""

    json: pathlib.Path
    html: pathlib.Path
    junit: pathlib.Path


def place(directory: str, host: str, app: str) -> Files:
    """Return where the report of an app on a host belongs.

    What an app is called may be read from a host's configuration: it leads to no other directory.
    """
    stem = re.sub(r"[^\w.,@+-]", "_", f"{host}-{app}").lstrip(".") or "report"
    parent = pathlib.Path(directory).absolute()
    return Files(*(parent / f"{stem}.{suffix}" for suffix in ("json", "html", "xml")))


def finished(
    judged: t.Mapping[str, t.Any], earlier: t.Mapping[str, t.Any] | None, path: str | None
) -> tuple[dict[str, t.Any], dict[str, t.Any] | None]:
    """Return a report as it is written: complete, without secrets, compared with an earlier one."""
    report = _report.completed(_report_mask.masked(judged))
    if earlier is None or path is None:
        return report, None
    drift = _report_mask.masked(_report_drift.compare(earlier, report, path))
    return {**report, "drift": drift}, drift


def write(report: t.Mapping[str, t.Any], files: Files, fail_on: str) -> None:
    """Write all forms of a report, each at once or not at all."""
    _write(files.json, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    _write(files.html, _report_html.page(report))
    _write(files.junit, _report_junit.junit(report, fail_on))


def _write(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    # What a killed run left may have another mode.
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    # A name that is no text is written as Python's and JSON's escape, which is the same.
    with open(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.write(text)
    os.replace(temporary, path)
