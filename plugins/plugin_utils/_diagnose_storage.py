# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""TO BE WRITTEN"""

from __future__ import annotations

import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils._diagnosis_case import Case
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import Findings


def questions(case: Case) -> t.Iterator[dict[str, t.Any]]:
    yield from ()


def judge(case: Case, findings: Findings) -> None:
    return
