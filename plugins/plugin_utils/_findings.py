# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""What is wrong on a host, and how a cause is told from its symptoms."""

from __future__ import annotations

import dataclasses
import posixpath
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils._rules import contains


@dataclasses.dataclass
class Finding:
    """A fault: the component at fault, how it shows, and the mend, which never widens access.

    :ivar variable: what of this collection's variables mends it, where one does.
    """

    id: str
    severity: str
    component: str
    message: str
    evidence: str
    fix: str
    variable: str | None = None


class Findings:
    """What has been found so far, causes before their symptoms.

    A cause is added with its *subjects*: the paths and URLs that fail because of it. Whoever judges
    later asks :meth:`explained` before saying of one of these that it fails.
    """

    def __init__(self) -> None:
        self.found: list[Finding] = []
        self._subjects: list[tuple[str, Finding]] = []

    def add(self, finding: Finding, *, subjects: t.Iterable[str] = ()) -> None:
        """Add a finding, unless the same is said of the same component already."""
        same = [f for f in self.found if (f.id, f.component) == (finding.id, finding.component)]
        known = same[0] if same else finding
        if not same:
            self.found.append(finding)
        self._subjects += [(subject, known) for subject in (finding.component, *subjects)]

    def explained(self, subject: str, besides: t.Collection[str] = ()) -> Finding | None:
        """Return the finding by which a path or URL fails, or one that it lies below.

        :param besides: ids of findings that are no reason here.
        """
        for known, finding in self._subjects:
            if finding.id in besides:
                continue
            if subject == known or subject.startswith(known.rstrip("/") + "/"):
                return finding
        return None

    def of(self, *ids: str) -> list[Finding]:
        """Return what was found of these ids."""
        return [finding for finding in self.found if finding.id in ids]

    def sorted(self) -> list[Finding]:
        """Return all, errors first, else in the order that they were found in."""
        return sorted(self.found, key=lambda finding: finding.severity != "error")


def below(directory: str, path: str) -> bool:
    """Return whether a path is a directory or lies in it, by their names."""
    return contains(posixpath.normpath(directory), posixpath.normpath(path))
