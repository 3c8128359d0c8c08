"""What a browser and an attacker see of a site, asked over HTTP.

test_rig.py, test_raw_http.py, test_load.py, test_mutations.py and test_hostile_mutations.py run by
themselves (the last two need nginx). All others ask a deployed site, described by the environment:

BEHAVIOUR_ADDRESS      IP:PORT where it answers
BEHAVIOUR_CONTAINER    its Docker container, or "localhost" for this machine
BEHAVIOUR_HOST         its name; APP.example.com if unset
BEHAVIOUR_APP          the app's name; gallery if unset
BEHAVIOUR_URL_PREFIX   the prefix it is under; / if unset
BEHAVIOUR_STATIC_URLS  its own URLs of its static mounts, separated by commas; the gallery's if unset
SCREENSHOT_DIR         where test_browser.py leaves pictures of the pages; nowhere if unset
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import contract
import hosts
import play
import pytest
from measured import figures, pytest_terminal_summary
from raw_http import Connection

__all__ = ["figures", "pytest_terminal_summary"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a site to ask there is nothing to prove: an error at once, and never a skip."""
    if any("site" in getattr(item, "fixturenames", ()) for item in items):
        try:
            hosts.site_from_environment()
            hosts.host_from_environment()
        except hosts.HostError as error:
            raise pytest.UsageError(str(error)) from error


@pytest.fixture(scope="session")
def site() -> hosts.Site:
    return hosts.site_from_environment()


@pytest.fixture(scope="session")
def host() -> Iterator[hosts.Host]:
    host = hosts.host_from_environment()
    yield host
    host.remove_placed()


@pytest.fixture(scope="session")
def probes(site: hosts.Site, host: hosts.Host) -> None:
    """The contract's files are on the host; ``host`` takes them away, also after a failure."""
    host.place(contract.probes(site), site.app_user)


@pytest.fixture
def connection(site: hosts.Site) -> Iterator[Connection]:
    with site.connection() as connection:
        yield connection


@pytest.fixture(scope="session")
def control(host: hosts.Host, tmp_path_factory: pytest.TempPathFactory) -> play.Control:
    """The control node, for those tests that run playbooks."""
    name = os.environ.get("PLAY_HOST", os.environ["BEHAVIOUR_CONTAINER"])
    return play.Control(host, name, tmp_path_factory.mktemp("report"))
