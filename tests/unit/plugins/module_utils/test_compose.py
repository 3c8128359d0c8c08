"""The Compose file: what it holds, and that it says the same to a reader of YAML."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
import yaml
from ansible_collections.flaskworks.static_media.plugins.module_utils import _compose
from hypothesis import given
from hypothesis import strategies as st

SERVICE = _compose.Service(
    app="gallery",
    image="sha256:3f1c0a9be2d4" + "0" * 52,
    uid=998,
    gid=997,
    environment={"FLASK_SECRET_KEY": "a$b", "FLASK_UPLOAD_FOLDER": "/var/www/gallery/media"},
    gunicorn_file="/etc/gallery/gunicorn.conf.py",
    python="python3",
    media_root="/var/www/gallery/media",
    sockets="/var/lib/gallery-sockets",
)


def app(service: _compose.Service = SERVICE) -> dict[str, t.Any]:
    found: dict[str, t.Any] = service.file("gallery-1")["services"]["app"]
    return found


def test_the_container_may_write_uploads_and_nothing_else() -> None:
    found = app()
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert found["tmpfs"] == ["/tmp"]
    assert found["user"] == "998:997"
    assert [mount["target"] for mount in found["volumes"] if not mount["read_only"]] == [
        "/var/www/gallery/media",
        "/run/gallery",
    ]


def test_uploads_have_one_path_on_the_host_and_in_the_container() -> None:
    (media,) = [m for m in app()["volumes"] if m["target"] == "/var/www/gallery/media"]
    assert (media["type"], media["source"]) == ("bind", "/var/www/gallery/media")


def test_a_named_volume_is_one_to_all_instances() -> None:
    volumes = [_compose.Volume.parse("cache:/cache"), _compose.Volume.parse("/srv/m:/m:ro")]
    file = dataclasses.replace(SERVICE, volumes=volumes).file("gallery-1")
    assert file["volumes"] == {"cache": {"name": "cache"}}
    assert [m["type"] for m in file["services"]["app"]["volumes"][-2:]] == ["volume", "bind"]
    assert file["services"]["app"]["volumes"][-1]["read_only"] is True


def test_networks_are_those_that_are_there() -> None:
    file = dataclasses.replace(SERVICE, networks=["database"]).file("gallery-1")
    assert file["networks"] == {"database": {"external": True}}
    assert "network_mode" not in file["services"]["app"]
    assert app()["network_mode"] == "bridge"


@pytest.mark.parametrize(
    "change",
    [
        {"image": "sha256:" + "1" * 64},
        {"environment": {"FLASK_SECRET_KEY": "other"}},
        {"uid": 999},
        {"volumes": [_compose.Volume("/srv/m", "/m")]},
    ],
    ids=str,
)
def test_another_image_or_setting_is_another_instance(change: dict[str, t.Any]) -> None:
    names = {SERVICE.instance("x"), dataclasses.replace(SERVICE, **change).instance("x")}
    assert len({*names, SERVICE.instance("workers = 9")}) == 3
    assert SERVICE.instance("x") == dataclasses.replace(SERVICE).instance("x")


def test_the_longest_path_of_a_socket_is_known() -> None:
    path = f"{SERVICE.sockets}/{SERVICE.instance('x')}/{SERVICE.socket_name}"
    assert len(path) == len(_compose.socket_path(SERVICE.sockets, SERVICE.app))


def test_secrets_do_not_become_references() -> None:
    text = _compose.text(SERVICE.file("gallery-1"))
    assert '"a$$b"' in text


DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner.filter(lambda item: not isinstance(item, list)), min_size=1)
        | st.dictionaries(st.text(min_size=1), inner, min_size=1)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(min_size=1), DATA, min_size=1))
def test_what_is_written_is_what_is_read(data: dict[str, t.Any]) -> None:
    def interpolated(value: t.Any) -> t.Any:
        if isinstance(value, str):
            return value.replace("$$", "$")
        if isinstance(value, list):
            return [interpolated(item) for item in value]
        if isinstance(value, dict):
            return {interpolated(name): interpolated(item) for name, item in value.items()}
        return value

    # YAML has no lone surrogates, and neither has a file in UTF-8.
    try:
        text = _compose.text(data)
        text.encode()
    except UnicodeEncodeError:
        return
    assert interpolated(yaml.safe_load(text)) == data
