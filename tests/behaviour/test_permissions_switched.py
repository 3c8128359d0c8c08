"""From one way of reading uploads to another, with all that is there."""

from __future__ import annotations

from collections.abc import Callable

import hosts
import permissions
import play
import pytest
from permissions import MEDIA, PRIVATE
from test_permissions import bystander  # noqa: F401 - a fixture that counts here too

BEFORE = [f"{MEDIA}/before/a.jpg", f"{PRIVATE}/before/a.jpg"]


def served(site: hosts.Site) -> int:
    with site.connection() as connection:
        return connection.request("GET", f"{site.media_url}before/a.jpg").status


def looks(control: play.Control) -> set[str]:
    """Owner, group and mode of what was there before."""
    return set(control.shell(f"stat --format='%U:%G %a' {' '.join(BEFORE)}").splitlines())


def test_a_run_changes_the_roots_alone_and_says_so(control: play.Control, site: hosts.Site) -> None:
    permissions.save(control.host, *BEFORE)
    before = looks(control)
    done = control.converge(flask_media_permissions="acl")
    said = " ".join(done.output.split())
    assert f"{MEDIA} is now as flask_media_permissions=acl has it" in said
    assert "flask_media_repair: true" in said
    assert looks(control) == before == {"gallery:www-data 640"}
    assert served(site) == 200


# World has to take away what the ACLs have left.
@pytest.mark.parametrize(
    ("way", "look"),
    [("acl", "gallery:gallery 640"), ("world", "gallery:gallery 644")],
)
def test_repair_brings_the_uploads_along(
    control: play.Control,
    site: hosts.Site,
    figures: Callable[[str], None],
    way: str,
    look: str,
) -> None:
    done = control.converge(flask_media_permissions=way, flask_media_repair=True)
    assert "keeps its owner, group" not in " ".join(done.output.split())
    assert done.findings() == set()
    assert looks(control) == {look}
    assert served(site) == 200
    has_acl = control.shell(
        f'python3 -c \'import os; print("system.posix_acl_default" in os.listxattr("{MEDIA}/before"))\''
    )
    assert has_acl == str(way == "acl")
    tried, wrong = permissions.differences(control.host, way)
    assert wrong == []
    figures(f"permission matrix, switched to {way}: {tried} cells tried, all as designed")


def test_then_a_run_changes_nothing(control: play.Control) -> None:
    again = control.converge(flask_media_permissions="world", flask_media_repair=True)
    assert again.changed == 0, again.output
