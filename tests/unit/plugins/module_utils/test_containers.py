"""Which containers run, are switched to and ended; with an engine that only remembers."""

from __future__ import annotations

import dataclasses
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _container,
    _docker,
    _release,
)

MEDIA = "/var/www/gallery/media"


def container(instance: str = "gallery-1", **changes: t.Any) -> dict[str, t.Any]:
    """As the engine describes it."""
    return {
        "Id": instance.ljust(64, "0"),
        "Name": f"/{instance}-app-1",
        "Image": "sha256:3f1c0a9be2d4" + "0" * 52,
        "State": {"Running": True, "Restarting": False, "Pid": 77},
        "Config": {"User": "998:998", "Labels": {_docker.INSTANCE_LABEL: instance}},
        "HostConfig": {"ReadonlyRootfs": True, "Tmpfs": {"/tmp": ""}},
        "Mounts": [{"Type": "bind", "Source": MEDIA, "Destination": MEDIA, "RW": True}],
        **changes,
    }


@dataclasses.dataclass
class Engine:
    """Knows containers, and writes down what it is told to do."""

    found: list[dict[str, t.Any]]
    commands: list[tuple[str, ...]] = dataclasses.field(default_factory=list)
    tags: dict[str, str] = dataclasses.field(default_factory=dict)
    others: tuple[str, ...] = ()

    def containers(self, app: str, instance: str | None = None) -> list[dict[str, t.Any]]:
        return [
            each
            for each in self.found
            if instance in (None, each["Config"]["Labels"][_docker.INSTANCE_LABEL])
        ]

    def run(self, *arguments: str) -> str:
        self.commands.append(arguments)
        if arguments[0] == "rm":
            self.found = [each for each in self.found if each["Id"] != arguments[-1]]
        if arguments[:2] == ("image", "ls"):
            return "".join(f"{tag} {image}\n" for tag, image in self.tags.items())
        if arguments[:2] == ("image", "rm"):
            del self.tags[arguments[2]]
        if arguments[0] == "ps" and arguments[-1].partition("ancestor=")[2] in self.others:
            return "5b1f0c7a90de\n"
        return ""


def containers(directory: Path, *found: dict[str, t.Any]) -> _container.Containers:
    engine = t.cast(_docker.Engine, Engine(list(found)))
    return _container.Containers(engine, "gallery", str(directory), "gallery.sock")


def told(subject: _container.Containers) -> list[tuple[str, ...]]:
    return t.cast(Engine, subject.engine).commands


def test_a_switch_is_one_link_and_ends_the_others(tmp_path: Path) -> None:
    subject = containers(tmp_path, container("gallery-1"), container("gallery-2"))
    os.symlink("gallery-1/gallery.sock", subject.link)
    for name in ("gallery-1", "gallery-2"):
        (tmp_path / name).mkdir()
    planned = subject.switch("gallery-2", 30, apply=False)
    assert (subject.current(), told(subject)) == ("gallery-1", [])
    assert subject.switch("gallery-2", 30, apply=True) == planned
    assert subject.current() == "gallery-2"
    assert [command[0] for command in told(subject)] == ["stop", "rm"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gallery-2", "gallery.sock"]
    assert subject.switch("gallery-2", 30, apply=True) == []


def test_a_killed_switch_is_finished_by_the_next(tmp_path: Path) -> None:
    subject = containers(tmp_path, container("gallery-2"))
    os.symlink("gallery-1/gallery.sock", f"{subject.link}.new")
    assert subject.switch("gallery-2", 30, apply=True)
    assert subject.current() == "gallery-2"


def test_volumes_of_a_container_that_is_ended_are_not(tmp_path: Path) -> None:
    subject = containers(tmp_path, container("gallery-1"))
    subject.remove("gallery-1", 30)
    assert not [command for command in told(subject) if "--volumes" in command]


def test_only_what_no_release_and_no_container_needs_is_pruned(tmp_path: Path) -> None:
    sockets, root = tmp_path / "sockets", tmp_path / "root"
    for name in ("gallery-1", "gallery-2", "gallery-3", "others"):
        (sockets / name).mkdir(parents=True)
    (root / "releases/3f1c0a9be2d4").mkdir(parents=True)
    releases = _release.Releases(str(root))
    releases.write_record("3f1c0a9be2d4", {"id": "3f1c0a9be2d4", "image": "sha256:kept"})
    subject = containers(sockets, container("gallery-1"))
    os.symlink("gallery-2/gallery.sock", subject.link)
    engine = t.cast(Engine, subject.engine)
    engine.tags = {"flaskworks/gallery:1": "sha256:kept", "flaskworks/gallery:2": "sha256:gone"}
    engine.tags["flaskworks/gallery:3"] = "sha256:others"
    engine.others = ("sha256:others",)
    gone = ["flaskworks/gallery:2", str(sockets / "gallery-3")]
    assert subject.plan_pruning(releases) == gone
    assert subject.prune(releases) == gone
    assert sorted(path.name for path in sockets.iterdir() if path.is_dir()) == [
        "gallery-1",
        "gallery-2",
        "others",
    ]
    assert subject.plan_pruning(releases) == []


@pytest.mark.parametrize(
    "mounts",
    [
        [],
        [{"Type": "tmpfs", "Source": "", "Destination": MEDIA, "RW": True}],
        [{"Type": "bind", "Source": MEDIA, "Destination": MEDIA, "RW": False}],
        [{"Type": "bind", "Source": MEDIA + "-old", "Destination": MEDIA, "RW": True}],
        [{"Type": "bind", "Source": MEDIA + "/x", "Destination": MEDIA, "RW": True}],
    ],
    ids=str,
)
def test_what_may_hold_uploads_in_its_layer_is_left_alone(
    tmp_path: Path, mounts: list[dict[str, t.Any]]
) -> None:
    subject = containers(tmp_path, container(Mounts=mounts))
    with pytest.raises(_container.ContainerError, match="docker cp --archive gallery-1-app-1:"):
        subject._refuse_ephemeral(MEDIA)
    assert told(subject) == []


@pytest.mark.parametrize(
    "mount",
    [
        {"Type": "bind", "Source": MEDIA, "Destination": "/app/uploads", "RW": True},
        {"Type": "volume", "Name": "m", "Source": MEDIA, "Destination": MEDIA, "RW": True},
        {"Type": "bind", "Source": "/var/www/", "Destination": "/www", "RW": True},
    ],
    ids=str,
)
def test_what_mounts_uploads_keeps_them(tmp_path: Path, mount: dict[str, t.Any]) -> None:
    containers(tmp_path, container(Mounts=[mount]))._refuse_ephemeral(MEDIA)


@pytest.mark.parametrize(
    ("state", "runs"),
    [
        ({"Running": True}, True),
        ({"Running": True, "Restarting": True}, False),
        ({"Running": False}, False),
    ],
    ids=str,
)
def test_what_begins_again_and_again_does_not_run(
    tmp_path: Path, state: dict[str, bool], runs: bool
) -> None:
    subject = containers(tmp_path, container(State=state))
    assert subject.is_running("gallery-1") is runs
    assert not subject.is_running("gallery-2")


def test_a_process_is_the_containers_only_where_its_mounts_say_so(tmp_path: Path) -> None:
    found = container(Id="a" * 64)
    (tmp_path / "77").mkdir()
    mountinfo = tmp_path / "77" / "mountinfo"
    mountinfo.write_text("1 2 0:1 / / rw - ext4 /dev/vda rw\n")
    assert _docker.process_id(found, str(tmp_path)) is None
    mountinfo.write_text(f"1 2 0:1 /var/lib/docker/containers/{'a' * 64}/hosts /etc/hosts rw\n")
    assert _docker.process_id(found, str(tmp_path)) == 77
    assert _docker.process_id({**found, "State": {"Running": False}}, str(tmp_path)) is None


def test_facts_name_every_mount_and_no_secret(tmp_path: Path) -> None:
    found = container()
    found["Config"]["Env"] = ["FLASK_SECRET_KEY=hush"]
    facts = _docker.facts_of(found, str(tmp_path))
    assert [mount["target"] for mount in facts["mounts"]] == ["/tmp", MEDIA]
    assert "hush" not in str(facts)


def test_a_host_without_an_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(_docker.NoEngineError, match="docker-compose"):
        _docker.Engine()


def test_an_engine_without_compose_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexit 1\n")
    docker.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda *_, **__: str(docker))
    with pytest.raises(_docker.NoEngineError, match="version 1, is not enough"):
        _docker.Engine().require_compose()
