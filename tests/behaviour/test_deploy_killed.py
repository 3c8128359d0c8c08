"""A deploy killed (-9) at any moment leaves one version whole, and the next deploy converges.

DEPLOY_KILLED_MOMENTS  number of random moments; 20 if unset
DEPLOY_KILLED_SEED     seed of the moments, to repeat a run that failed
"""

from __future__ import annotations

import dataclasses
import os
import random
import time
from collections.abc import Callable

import hosts
import load
import play
import pytest

MOMENTS = int(os.environ.get("DEPLOY_KILLED_MOMENTS", "20"))
SEED = int(os.environ.get("DEPLOY_KILLED_SEED", str(random.SystemRandom().randrange(10**6))))


def numbers_that_answer(
    control: play.Control, site: hosts.Site, contents: load.Contents, moment: str
) -> set[int]:
    """The versions of the pages, each of which is there with all that it refers to."""
    control.shell("nginx -t -q")
    visitors = load.Load(site, contents)
    result = visitors.visit_once()
    assert result.ok, f"{moment}: {result}"
    found: set[int] = set()
    for page in load.PAGES:
        versions = play.versions_of(visitors.assets(page))
        assert len(versions) == 1, f"{moment}: {page} is of {versions}"
        found.add(int(versions.pop().removeprefix("v")))
    return found


def test_deploys_killed_at_random_moments(
    control: play.Control,
    site: hosts.Site,
    host: hosts.Host,
    figures: Callable[[str], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    control = dataclasses.replace(control, pipelining=False)
    print(f"DEPLOY_KILLED_SEED={SEED}")
    moments = random.Random(SEED)
    directory = tmp_path_factory.mktemp("versions")
    control.converge(flask_app_source=str(play.version_of_gallery(directory, "v0")))
    # A deploy of its own tells how long one takes.
    projects = [play.version_of_gallery(directory, f"v{n}") for n in range(MOMENTS + 2)]
    started = time.monotonic()
    control.deploy(flask_app_source=str(projects[1]))
    deploy_seconds = time.monotonic() - started
    contents = load.Contents()
    contents.add(load.published_static(host, site))

    oldest, finished = 1, 0
    for number in range(2, MOMENTS + 2):
        source = str(projects[number])
        contents.add(load.static_of_project(projects[number]))
        after_seconds = moments.uniform(0, deploy_seconds)
        moment = f"v{number}, {after_seconds:.2f} s of {deploy_seconds:.1f}, seed {SEED}"
        # Half of the kills take along what Ansible runs on the host.
        killed = control.kill(
            "deploy", after_seconds, modules=bool(number % 2), flask_app_source=source
        ).was_running
        found = numbers_that_answer(control, site, contents, moment)
        assert oldest <= min(found), f"{moment}: v{min(found)} answers again"
        # What outlived the play may have switched meanwhile.
        control.wait_for_modules()
        found = numbers_that_answer(control, site, contents, moment)
        assert oldest <= min(found), f"{moment}: v{min(found)} answers again"
        assert killed or found == {number}, f"{moment}: ended, and {found} answer"
        oldest = min(found)
        finished += not killed

    last = {"flask_app_source": str(projects[-1])}
    control.deploy(**last)
    assert numbers_that_answer(control, site, contents, "after the last") == {MOMENTS + 1}
    assert control.deploy(**last).changed == 0
    leftovers = control.leftovers()
    assert leftovers == "", leftovers
    figures(
        f"{MOMENTS} deploys of {deploy_seconds:.1f} s killed, {finished} of them too late:"
        f" 0 broken, converged (seed {SEED})"
    )
