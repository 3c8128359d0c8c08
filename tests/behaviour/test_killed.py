"""A play killed at any moment leaves a site that answers, and the next run converges.

Killed are the play on the control node and, but for every fourth time, what it runs on the host.
Every other kill is aimed at one of the modules that change the host, while it runs; the first of
these as soon as it is seen to run, so that at least one meets it.

KILLED_MOMENTS  number of random moments; 10 if unset
KILLED_SEED     seed of the moments, to repeat a run that failed
"""

from __future__ import annotations

import collections
import dataclasses
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import hosts
import play
import pytest

MOMENTS = int(os.environ.get("KILLED_MOMENTS", "10"))
SEED = int(os.environ.get("KILLED_SEED", str(random.SystemRandom().randrange(10**6))))

# The modules of ours that change the host.
CHANGING = ("flask_release", "static_release", "nginx_site", "flask_service")
# Some last no longer; one that has ended by then was missed, and is counted as such.
AIM_SECONDS = 0.6


def assert_answers(control: play.Control, site: hosts.Site, moment: str) -> None:
    control.shell("nginx -t -q")
    with site.connection() as connection:
        css = connection.request("GET", "/static/css/gallery.css")
        assert css.nginx_served_a_file, f"{moment}: {css}"
        page = connection.request("GET", "/")
        assert page.status == 200, f"{moment}: {page}"


def test_killed_at_random_moments(
    control: play.Control,
    site: hosts.Site,
    figures: Callable[[str], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    control = dataclasses.replace(control, pipelining=False)
    directory: Path = tmp_path_factory.mktemp("versions")
    moments = random.Random(SEED)
    print(f"KILLED_SEED={SEED}")
    started = time.monotonic()
    control.converge(flask_app_source=str(play.version_of_gallery(directory, "v0")))
    whole_run_seconds = time.monotonic() - started

    hit: collections.Counter[str] = collections.Counter()
    too_late = 0
    for number in range(1, MOMENTS + 1):
        # Each run has everything to do: a new release, new static files, another configuration.
        variables = {
            "flask_app_source": str(play.version_of_gallery(directory, f"v{number}")),
            "flask_static_expires": f"{number}d",
            "flask_app_env": {"FLASK_VERSION": str(number)},
        }
        aimed_at = "" if number % 2 else CHANGING[number // 2 % len(CHANGING)]
        after_seconds = moments.uniform(0, AIM_SECONDS if aimed_at else whole_run_seconds)
        if aimed_at and not any(hit[name] for name in CHANGING):
            after_seconds = 0.0
        of = f"of {aimed_at}" if aimed_at else f"of {whole_run_seconds:.0f} s"
        moment = f"moment {number}, {after_seconds:.2f} s {of}, seed {SEED}"
        # Else what Ansible runs on the host ends its work though the play is dead.
        killed = control.kill(
            "site", after_seconds, modules=number % 4 != 1, module=aimed_at, **variables
        )
        print(f"{moment}: {killed}")
        hit.update(killed.modules)
        too_late += not killed.was_running
        assert_answers(control, site, moment)

    hit_of_ours = sum(hit[name] for name in CHANGING)
    assert hit_of_ours, f"no kill met a module that changes the host: {hit}"
    done = control.converge(**variables)
    assert done.report is not None
    assert done.report["ok"]
    with site.connection() as connection:
        assert connection.request("GET", f"/static/css/v{MOMENTS}.css").status == 200
        css = connection.request("GET", "/static/css/gallery.css")
        assert f"max-age={MOMENTS * 86400}" in css.first("Cache-Control"), css
    assert control.converge(**variables).changed == 0
    leftovers = control.leftovers()
    assert leftovers == "", leftovers
    figures(
        f"killed at {MOMENTS} moments, {too_late} of them too late: in {hit_of_ours} a module that"
        f" changes the host ({dict(hit)}): 0 broken, converged (seed {SEED})"
    )
