"""Deploys and rollbacks while visitors come and upload: nothing is lost, nothing flickers.

REDEPLOY_DEPLOYS    number of deploys, each of a new version; 50 if unset
REDEPLOY_ROLLBACKS  number of rollbacks in between; 10 if unset
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import hosts
import load
import play
import pytest

DEPLOYS = int(os.environ.get("REDEPLOY_DEPLOYS", "50"))
ROLLBACKS = int(os.environ.get("REDEPLOY_ROLLBACKS", "10"))
# Of flask_app_keep_releases.
KEPT_RELEASES = 3


@dataclass
class Releases:
    """What should be on the host: the versions in the order in which they were deployed."""

    control: play.Control
    directory: Path
    visitors: load.Load
    contents: load.Contents
    deployed: list[str] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    current: str = ""
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"deploy": [], "rollback": []})

    def deploy(self, marker: str) -> None:
        project = play.version_of_gallery(self.directory, marker)
        self.contents.add(load.static_of_project(project))
        self._run("deploy", marker, flask_app_source=str(project))
        self.note(marker)

    def note(self, marker: str) -> None:
        """This one is deployed now."""
        self.deployed.append(marker)
        self.ids[marker] = self.control.shell("basename $(readlink /opt/gallery/current)")

    def roll_back(self, steps: int) -> None:
        """To the previous release, or by name to an earlier one."""
        marker = self.deployed[self.deployed.index(self.current) - steps]
        release = "previous" if steps == 1 else self.ids[marker]
        self._run("rollback", marker, flask_app_release=release)

    def _run(self, playbook: str, marker: str, **variables: str) -> None:
        uploads = self.visitors.result.uploads_accepted
        begin = time.monotonic()
        done = self.control.run(playbook, **variables)
        self.seconds[playbook].append(time.monotonic() - begin)
        assert done.returncode == 0, f"{playbook}, {marker}: {done.output}\n{self.visitors.result}"
        self.current = marker
        # All that is kept, of all versions that are.
        self.visitors.revisit()
        shown = play.versions_of(self.visitors.assets())
        assert shown == {marker}, f"{playbook}: the page is of {shown}, not of {marker}"
        assert self.visitors.result.uploads_accepted > uploads, "nobody uploaded meanwhile"

    def times(self) -> str:
        return ", ".join(
            f"{len(seconds)} {playbook}s of {statistics.median(seconds):.1f} s"
            f" (at most {max(seconds):.1f})"
            for playbook, seconds in self.seconds.items()
            if seconds
        )


def plan(deploys: int, rollbacks: int) -> Iterator[int]:
    """0 for a deploy, else by how many releases to go back: spread evenly, 1 and 2 in turn."""
    rolled_back = 0
    for number in range(1, deploys + 1):
        yield 0
        while rolled_back < rollbacks * number // deploys:
            yield min(number, 1 + rolled_back % 2)
            rolled_back += 1


def test_deploys_and_rollbacks_under_load(
    control: play.Control,
    site: hosts.Site,
    host: hosts.Host,
    figures: Callable[[str], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory = tmp_path_factory.mktemp("versions")
    control.converge(flask_app_source=str(play.version_of_gallery(directory, "v0")))
    contents = load.Contents()
    contents.add(load.published_static(host, site))
    with load.Load(site, contents, kept_versions=KEPT_RELEASES) as visitors:
        releases = Releases(control, directory, visitors, contents)
        releases.note("v0")
        numbers = iter(range(1, DEPLOYS + 1))
        for steps in plan(DEPLOYS, ROLLBACKS):
            if steps:
                releases.roll_back(steps)
            else:
                releases.deploy(f"v{next(numbers)}")
        result = visitors.stop()
    figures(f"{releases.times()}, under load: {result.line()}")
    assert result.ok, str(result)
    assert result.versions == DEPLOYS + 1, str(result)
