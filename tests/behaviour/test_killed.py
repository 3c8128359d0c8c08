"""A play killed at any moment leaves a site that answers, and the next run converges.

KILLED_MOMENTS  number of random moments; 10 if unset
KILLED_SEED     seed of the moments, to repeat a run that failed
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import hosts
import play
import pytest

MOMENTS = int(os.environ.get("KILLED_MOMENTS", "10"))
SEED = int(os.environ.get("KILLED_SEED", str(random.SystemRandom().randrange(10**6))))


def assert_answers(control: play.Control, site: hosts.Site, moment: str) -> None:
    control.shell("nginx -t -q")
    with site.connection() as connection:
        css = connection.request("GET", "/static/css/gallery.css")
        assert css.nginx_served_a_file, f"{moment}: {css}"
        page = connection.request("GET", "/")
        assert page.status == 200, f"{moment}: {page}"


def test_killed_at_random_moments(
    control: play.Control, site: hosts.Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory: Path = tmp_path_factory.mktemp("versions")
    moments = random.Random(SEED)
    print(f"KILLED_SEED={SEED}")
    started = time.monotonic()
    control.converge(flask_app_source=str(play.version_of_gallery(directory, "v0")))
    whole_run_seconds = time.monotonic() - started

    for number in range(1, MOMENTS + 1):
        # Each run has everything to do: a new release, new static files, another configuration.
        variables = {
            "flask_app_source": str(play.version_of_gallery(directory, f"v{number}")),
            "flask_static_expires": f"{number}d",
            "flask_app_env": {"FLASK_VERSION": str(number)},
        }
        after_seconds = moments.uniform(0, whole_run_seconds)
        moment = f"moment {number}, {after_seconds:.2f} s of {whole_run_seconds:.0f}, seed {SEED}"
        # Half of the kills take along what Ansible runs on the host.
        control.kill("site", after_seconds, modules=bool(number % 2), **variables)
        assert_answers(control, site, moment)

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
    print(f"killed at {MOMENTS} moments: 0 broken, converged")
