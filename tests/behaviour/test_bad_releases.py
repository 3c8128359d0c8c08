"""A release that can't serve is not switched to, and a rollback brings all of an earlier one back.

RELEASES_OTHER_HOST  a second host of the inventory, to see that a deploy stops at the first that fails
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hosts
import play
import pytest

UPLOAD = "/var/www/gallery/media/kept.jpg"


def said(done: play.Run) -> str:
    """What a run printed, without the line breaks that Ansible puts into it."""
    return re.sub(r"\s+", " ", done.output)


def current(control: play.Control) -> str:
    return Path(control.shell("readlink /opt/gallery/current")).name


def edited(project: Path, path: str, old: str, new: str) -> Path:
    file = project / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return project


def with_syntax_error(project: Path) -> Path:
    return edited(project, "src/gallery/pages.py", "def index()", "def index(")


def with_broken_page(project: Path) -> Path:
    line = "    folder = _upload_folder()\n"
    return edited(
        project, "src/gallery/pages.py", line, line + "    raise LookupError('no such table')\n"
    )


def with_unknown_requirement(project: Path) -> Path:
    return edited(
        project, "pyproject.toml", "dependencies = [", 'dependencies = [ "flaskworks-none==9.9",'
    )


BROKEN: list[tuple[str, Callable[[Path], Path], list[str]]] = [
    ("syntax", with_syntax_error, ["SyntaxError", "pages.py"]),
    (
        "health",
        with_broken_page,
        ["GET / was answered by 500", "no such table", "flask_app_health_url"],
    ),
    (
        "requirement",
        with_unknown_requirement,
        ["flaskworks-none==9.9", "the release in use goes on"],
    ),
]


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("versions")


@pytest.fixture(scope="module")
def first(control: play.Control, versions: Path) -> str:
    """The id of a good release that is in use; with an upload."""
    done = control.run("deploy", flask_app_source=str(play.version_of_gallery(versions, "first")))
    assert done.returncode == 0, done.output
    control.shell(f"echo precious > {UPLOAD} && chown gallery:www-data {UPLOAD}")
    return current(control)


def seen(site: hosts.Site) -> dict[str, tuple[int, str]]:
    """What a visitor sees: the page, the style sheet that every release has, the upload."""
    with site.connection() as connection:
        answers = {
            path: connection.request("GET", path)
            for path in ("/", "/static/css/gallery.css", "/media/kept.jpg")
        }
    return {
        path: (answer.status, hashlib.sha256(answer.body).hexdigest())
        for path, answer in answers.items()
    }


@pytest.fixture
def nothing_changes(control: play.Control, site: hosts.Site, first: str) -> Iterator[None]:
    """The old site answers as before, and is the current one."""
    before = seen(site), current(control), control.shell(f"stat --format=%n%y%i {UPLOAD}")
    assert [status for status, _body in before[0].values()] == [200, 200, 200]
    yield
    after = seen(site), current(control), control.shell(f"stat --format=%n%y%i {UPLOAD}")
    assert after == before


@pytest.mark.parametrize(("name", "breaks", "words"), BROKEN, ids=[row[0] for row in BROKEN])
def test_a_release_that_cannot_serve_is_refused(
    control: play.Control,
    nothing_changes: None,
    versions: Path,
    name: str,
    breaks: Callable[[Path], Path],
    words: list[str],
) -> None:
    project = breaks(play.version_of_gallery(versions, name))
    done = control.run("deploy", flask_app_source=str(project))
    assert done.returncode != 0, done.output
    missing = [word for word in words if word not in said(done)]
    assert not missing, done.output
    assert control.shell("ls -d /run/flask-health-* 2>/dev/null || true") == ""


# A deploy of code alone reloads; one that changes the unit too restarts.
@pytest.mark.parametrize("variables", [{}, {"flask_app_gunicorn_timeout_seconds": 29}], ids=str)
def test_a_release_that_does_not_run_is_switched_back(
    control: play.Control, nothing_changes: None, versions: Path, variables: dict[str, Any]
) -> None:
    project = play.version_of_gallery(versions, f"unservable{len(variables)}")
    # It looks at what only its service has.
    edited(
        project,
        "src/gallery/__init__.py",
        "    app = Flask(__name__)\n",
        "    import os\n"
        "    if 'INVOCATION_ID' in os.environ:\n"
        "        raise LookupError('no service for it')\n"
        "    app = Flask(__name__)\n",
    )
    before = current(control)
    done = control.run("deploy", flask_app_source=str(project), **variables)
    assert done.returncode != 0, done.output
    assert f"does not run, and {before} is in use again" in said(done)
    assert "no service for it" in said(done)


def test_the_next_deploy_works_and_a_rollback_brings_all_of_the_first_one_back(
    control: play.Control, site: hosts.Site, first: str, versions: Path
) -> None:
    old = seen(site)
    done = control.run("deploy", flask_app_source=str(play.version_of_gallery(versions, "second")))
    assert done.returncode == 0, done.output
    second, new = current(control), seen(site)
    assert second != first
    assert new["/static/css/gallery.css"] != old["/static/css/gallery.css"]

    done = control.run("rollback")
    assert done.returncode == 0, done.output
    assert (current(control), seen(site)) == (first, old)
    # Pages of the second release that are still open find their files.
    with site.connection() as connection:
        assert connection.request("GET", "/static/css/second.css").status == 200

    done = control.run("rollback", flask_app_release=second)
    assert done.returncode == 0, done.output
    assert (current(control), seen(site)) == (second, new)
    assert control.run("rollback", flask_app_release=second).changed == 0


def test_a_rollback_to_an_unknown_release_is_refused_with_the_list(
    control: play.Control, nothing_changes: None, first: str
) -> None:
    before = control.snapshot()
    done = control.run("rollback", flask_app_release="000000000000")
    assert done.returncode != 0, done.output
    assert 'flask_app_release is "000000000000"' in said(done)
    assert first in done.output
    assert control.snapshot() == before


def test_releases_are_pruned_but_for_those_kept(control: play.Control, versions: Path) -> None:
    done = control.run(
        "deploy",
        flask_app_source=str(play.version_of_gallery(versions, "third")),
        flask_app_keep_releases=1,
    )
    assert done.returncode == 0, done.output
    records = json.loads(
        "["
        + control.shell("for f in /opt/gallery/releases/*/release.json; do cat $f; echo ,; done")[
            :-1
        ]
        + "]"
    )
    assert len(records) == 2
    assert current(control) in [record["id"] for record in records]


def test_a_deploy_stops_at_the_first_host_that_fails(
    control: play.Control, versions: Path, tmp_path: Path
) -> None:
    name = os.environ.get("RELEASES_OTHER_HOST", "")
    assert name, "RELEASES_OTHER_HOST is not set. It names a second host of the inventory."
    other = play.Control(hosts.DockerHost(container=name), name, tmp_path)
    before = [each.snapshot() for each in (control, other)]
    project = with_broken_page(play.version_of_gallery(versions, "stops"))
    done = control.run("deploy", f"--limit={control.name},{name}", flask_app_source=str(project))
    assert done.returncode != 0, done.output
    recap = done.output.rpartition("PLAY RECAP")[2]
    assert control.name in recap
    assert name not in recap
    assert other.snapshot() == before[1]
