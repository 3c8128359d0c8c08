"""A deploy killed (-9) at any moment leaves one version whole, and the next deploy converges.

DEPLOY_KILLED_MOMENTS  number of random moments; 20 if unset
DEPLOY_KILLED_SEED     seed of the moments, to repeat a run that failed
"""

from __future__ import annotations

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


def versions_that_answer(
    control: play.Control, site: hosts.Site, contents: load.Contents, moment: str
) -> set[str]:
    """The versions of the pages, each of which is there with all that it refers to."""
    control.shell("nginx -t -q")
    visitors = load.Load(site, contents)
    result = visitors.visit_once()
    assert result.ok, f"{moment}: {result}"
    return {version for page in load.PAGES for version in play.versions_of(visitors.assets(page))}


def test_deploys_killed_at_random_moments(
    control: play.Control,
    site: hosts.Site,
    host: hosts.Host,
    figures: Callable[[str], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
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

    current, finished = "v1", 0
    for number in range(2, MOMENTS + 2):
        project = projects[number]
        contents.add(load.static_of_project(project))
        after_seconds = moments.uniform(0, deploy_seconds)
        moment = f"v{number}, {after_seconds:.2f} s of {deploy_seconds:.1f}, seed {SEED}"
        # Half of the kills take along what Ansible runs on the host.
        killed = control.kill(
            "deploy", after_seconds, modules=bool(number % 2), flask_app_source=str(project)
        )
        versions = versions_that_answer(control, site, contents, moment)
        assert versions <= {current, f"v{number}"}, f"{moment}: {versions}, was {current}"
        # What outlived the play may have switched between two pages.
        control.wait_for_modules()
        versions = versions_that_answer(control, site, contents, moment)
        assert len(versions) == 1, f"{moment}: the pages are of {versions}"
        version = versions.pop()
        assert version in (current, f"v{number}"), f"{moment}: {version}, was {current}"
        assert killed or version == f"v{number}", f"{moment}: ended, and {version} answers"
        finished += not killed
        current = version

    last = f"v{MOMENTS + 1}"
    control.deploy(flask_app_source=str(project))
    assert versions_that_answer(control, site, contents, "after the last") == {last}
    assert control.deploy(flask_app_source=str(project)).changed == 0
    leftovers = control.leftovers()
    assert leftovers == "", leftovers
    figures(
        f"{MOMENTS} deploys of {deploy_seconds:.1f} s killed, {finished} of them too late:"
        f" 0 broken, converged (seed {SEED})"
    )
