"""An app in a container: what outlives it, what a new image brings, and what is refused.

The version of the example app that the inventory names, v0, is deployed.

COMPOSE_DOCKERFILE  the Dockerfile that every version of the example app is given
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hosts
import load
import play
import pytest
import uploads

APP = "label=flaskworks.static_media.app=gallery"
UPLOADS_A_SECOND = 5.0


def said(done: play.Run) -> str:
    """What a run printed, without the line breaks that Ansible puts into it."""
    return re.sub(r"\s+", " ", done.output)


def containers(control: play.Control) -> list[dict[str, Any]]:
    """The app's containers, running or not, as the engine describes them."""
    ids = control.shell(f"docker ps --all --quiet --filter {APP}").split()
    found: list[dict[str, Any]] = json.loads(control.shell(f"docker inspect {' '.join(ids)}"))
    return found


def the_container(control: play.Control) -> dict[str, Any]:
    (found,) = containers(control)
    return found


def version(directory: Path, marker: str) -> Path:
    """The example app as its next version, with a Dockerfile."""
    project = play.version_of_gallery(directory, marker)
    shutil.copyfile(os.environ["COMPOSE_DOCKERFILE"], project / "Dockerfile")
    return project


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("versions")


@pytest.fixture(scope="module")
def saved(site: hosts.Site) -> dict[str, str]:
    return uploads.save(site, 2)


@pytest.fixture
def nothing_changes(control: play.Control) -> Iterator[None]:
    before = [the_container(control)["Id"], control.shell("readlink /opt/gallery/current")]
    yield
    assert [the_container(control)["Id"], control.shell("readlink /opt/gallery/current")] == before


def test_the_container_can_write_nothing_but_uploads(
    control: play.Control, saved: dict[str, str]
) -> None:
    found = the_container(control)
    assert found["HostConfig"]["ReadonlyRootfs"]
    assert found["HostConfig"]["CapDrop"] == ["ALL"]
    assert found["HostConfig"]["SecurityOpt"] == ["no-new-privileges:true"]
    assert found["Config"]["User"] == control.shell('echo "$(id -u gallery):$(id -g gallery)"')
    for path, allowed in (("/tmp", True), ("/opt", False), ("/srv", False)):
        answer = control.shell(f"docker exec {found['Id']} touch {path}/x 2>&1 || true")
        assert ("Read-only file system" in answer) is not allowed, (path, answer)


def test_a_container_made_anew_has_the_uploads(
    control: play.Control, site: hosts.Site, saved: dict[str, str]
) -> None:
    control.shell(f"docker rm --force {the_container(control)['Id']}")
    promised = control.run("site", "--check")
    assert promised.returncode == 0, promised.output
    assert control.shell(f"docker ps --all --quiet --filter {APP}") == ""
    assert promised.changed > 0
    done = control.converge()
    assert done.changed == promised.changed, done.output
    assert uploads.check(site, saved) == {}


def test_a_new_image_brings_new_css_while_visitors_come(
    control: play.Control,
    site: hosts.Site,
    host: hosts.Host,
    versions: Path,
    saved: dict[str, str],
    figures: Callable[[str], None],
) -> None:
    contents = load.Contents()
    contents.add(load.published_static(host, site))
    with load.Load(site, contents, uploads_a_second=UPLOADS_A_SECOND) as visitors:
        visitors.revisit()
        assert play.versions_of(visitors.assets()) == {"v0"}
        project = version(versions, "v1")
        contents.add(load.static_of_project(project))
        control.deploy(flask_app_source=str(project))
        # Also what pages that were loaded before the deploy ask for
        visitors.revisit()
        assert play.versions_of(visitors.assets()) == {"v1"}
        back = control.run("rollback")
        assert back.returncode == 0, back.output
        visitors.revisit()
        assert play.versions_of(visitors.assets()) == {"v0"}
        result = visitors.stop()
    figures(f"a deploy and a rollback under load: {result.line()}")
    assert result.ok, str(result)
    assert uploads.check(site, saved) == {}
    for marker in ("v0", "v1"):
        path = f"/static/css/{marker}.css"
        assert uploads.fetch(site, path) == f"/* {marker} */\n".encode()
    # One container goes on, of the release in use.
    assert the_container(control)["State"]["Running"]


def test_an_image_that_cannot_serve_is_not_switched_to(
    control: play.Control, site: hosts.Site, nothing_changes: None, versions: Path
) -> None:
    project = version(versions, "v9")
    pages = project / "src/gallery/pages.py"
    line = "    folder = _upload_folder()\n"
    pages.write_text(
        pages.read_text().replace(line, line + "    raise LookupError('no such table')\n", 1)
    )
    done = control.run("deploy", flask_app_source=str(project))
    assert done.returncode != 0, done.output
    missing = [
        word for word in ("GET / was answered by 500", "no such table") if word not in said(done)
    ]
    assert not missing, done.output
    with site.connection() as connection:
        assert connection.request("GET", "/").status == 200
        assert connection.request("GET", "/static/css/v9.css").status == 404


def test_a_named_volume_over_static_is_refused(
    control: play.Control, nothing_changes: None
) -> None:
    folder = control.shell(
        f"docker exec {the_container(control)['Id']} "
        "python3 -c 'import gallery, os; print(os.path.dirname(gallery.__file__))'"
    )
    volume = f"gallery_static:{folder}/static"
    done = control.run("site", flask_app_container_volumes=[volume])
    assert done.returncode != 0, done.output
    words = ("flask_app_container_volumes", volume, "fills a named volume once", "Leave it out")
    assert [word for word in words if word not in said(done)] == [], done.output


def test_uploads_in_a_containers_own_layer_are_a_finding(
    control: play.Control, site: hosts.Site, saved: dict[str, str]
) -> None:
    """As when somebody starts it by hand, and forgets the volume."""
    right = the_container(control)
    labels = [f"--label={key}={value}" for key, value in right["Config"]["Labels"].items()]
    mounts = [
        f"--volume={mount['Source']}:{mount['Destination']}"
        for mount in right["Mounts"]
        if not mount["Destination"].endswith("/media")
    ]
    assert len(mounts) == len(right["Mounts"]) - 1
    environment = [f"--env={value}" for value in right["Config"]["Env"]]
    name, media = right["Name"].lstrip("/"), "$FLASK_UPLOAD_FOLDER"
    entry, *arguments = right["Config"]["Entrypoint"]
    control.shell(f"docker rm --force {right['Id']}")
    options = " ".join([*labels, *mounts, *environment])
    user = right["Config"]["User"]
    control.shell(
        f"docker run --detach --name={name} --user=0 {options} --entrypoint=sh {right['Image']} "
        f"-c 'mkdir -p {media} && chown {user} {media} && exec {entry} {' '.join(arguments)} "
        f"--user {user.partition(':')[0]}'"
    )
    control.shell(f"timeout 60 sh -c 'until docker exec {name} true; do :; done'")
    red = control.run("verify")
    assert red.returncode != 0, red.output
    assert ("media-ephemeral", name) in red.findings(), red.output
    assert "uploads-survive-redeploy" in red.failed_checks()
    assert red.report
    (found,) = [each for each in red.report["findings"] if each["id"] == "media-ephemeral"]
    assert "docker cp --archive" in found["fix"]

    # What is in it is somebody's: it is not removed to mend this.
    refused = control.run("site")
    assert refused.returncode != 0, refused.output
    assert "docker cp --archive" in said(refused), refused.output
    assert the_container(control)["Name"] == f"/{name}"

    control.shell(f"docker stop {name} && docker rm {name}")
    # Ends with the proof.
    control.converge()
    assert uploads.check(site, saved) == {}
