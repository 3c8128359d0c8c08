"""What can't work is refused before the first change, and the old site goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hosts
import play
import pytest

# Each row: variables that can't work, and what the refusal must say.
REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"flask_app_name": "Gallery!"}, ["flask_app_name", "Gallery!", "lower-case"]),
    ({"flask_media_root": "/var/www/gallery/static/media"}, ["flask_media_root", "side by side"]),
    ({"flask_media_root": "/opt/gallery/media"}, ["flask_media_root", "a deploy replaces"]),
    ({"flask_media_root": "/tmp/media"}, ["flask_media_root", "/tmp"]),
    ({"flask_media_root": "/home/gallery/media"}, ["flask_media_root", "/home"]),
    ({"flask_media_root": "media"}, ["flask_media_root", "absolute path"]),
    ({"flask_media_url": "/static/"}, ["/static/", "flask_media_url", "the same"]),
    (
        {"flask_media_url": "/static/uploads/"},
        ["flask_media_url", "one lies in the other", "/static/"],
    ),
    ({"flask_media_url": "/media"}, ["flask_media_url", "'/media/'"]),
    ({"flask_media_url": "/"}, ["flask_media_url", "every request"]),
    ({"flask_site_domains": "gallery.example.com"}, ["flask_site_domains", "no list", '[\\"']),
    ({"flask_site_domain": ["a.example"]}, ["flask_site_domain", "flask_site_domains instead"]),
    ({"flask_site_mode": "vhost"}, ["flask_site_mode", "server", "include"]),
    ({"flask_app_max_content_length": "16 cats"}, ["flask_app_max_content_length", "16M"]),
    ({"flask_app_source": "/nowhere/app"}, ["flask_app_source", "/nowhere/app", "no such file"]),
    (
        {"flask_media_url": "/media", "flask_site_port": 99999},
        ["2 problems", "flask_media_url", "flask_site_port"],
    ),
]


@pytest.fixture
def answering(site: hosts.Site) -> Iterator[None]:
    """The site answers before and after, from Nginx and from the app."""

    def ask() -> None:
        with site.connection() as connection:
            css = connection.request("GET", "/static/css/gallery.css")
            assert css.nginx_served_a_file, css
            assert connection.request("GET", "/").status == 200

    ask()
    yield
    ask()


@pytest.mark.parametrize(("variables", "words"), REFUSED, ids=[str(row[0]) for row in REFUSED])
def test_a_bad_description_changes_nothing(
    control: play.Control, answering: None, variables: dict[str, Any], words: list[str]
) -> None:
    before = control.snapshot()
    done = control.run("site", **variables)
    assert done.returncode != 0, done.output
    # A long message is wrapped when it is printed.
    said = re.sub(r"\s+", " ", done.output)
    missing = [word for word in words if word not in said and word.replace("\\", "") not in said]
    assert not missing, done.output
    assert control.snapshot() == before


def test_a_port_of_another_program_is_refused(control: play.Control, answering: None) -> None:
    before = control.snapshot()
    pid = control.shell(
        "setsid python3 -m http.server 8081 --directory /usr/share/doc >/dev/null 2>&1 & echo $!;"
        "for _ in $(seq 100); do ss -ltn | grep -q :8081 && exit 0; sleep 0.1; done; exit 1"
    )
    try:
        done = control.run("site", flask_site_port=8081)
        assert done.returncode != 0, done.output
        assert "python3" in done.output
        assert "flask_site_port" in done.output
        assert control.snapshot() == before
    finally:
        control.shell(f"kill {pid}")


FOREIGN = "/etc/nginx/conf.d/zz-foreign.conf"


@pytest.fixture
def broken_foreign_file(control: play.Control) -> Iterator[str]:
    """Somebody else's file in the Nginx tree, with a directive that Nginx does not know."""
    control.shell(f"printf '# mine\\nno_such_directive on;\\n' > {FOREIGN}")
    yield FOREIGN
    control.shell(f"rm -f {FOREIGN}")


def test_a_broken_foreign_file_is_named_and_nothing_changed(
    control: play.Control, answering: None, broken_foreign_file: str
) -> None:
    before = control.snapshot()
    for _second_time_too in range(2):
        done = control.run("site", flask_static_expires="7d")
        assert done.returncode != 0, done.output
        assert f"{broken_foreign_file}:2" in done.output
        assert "no_such_directive" in done.output
        assert control.snapshot() == before


def test_a_release_that_cannot_be_imported_is_not_switched_to(
    control: play.Control, answering: None, tmp_path: Path
) -> None:
    project = play.version_of_gallery(tmp_path, "broken")
    with (project / "src" / "gallery" / "__init__.py").open("a") as stream:
        stream.write("\nraise RuntimeError('this release is broken')\n")
    current = control.shell("readlink /opt/gallery/current")
    done = control.run("site", flask_app_source=str(project))
    assert done.returncode != 0, done.output
    assert "this release is broken" in done.output
    assert control.shell("readlink /opt/gallery/current") == current


def test_no_secret_is_shown(control: play.Control) -> None:
    secret = control.shell("cat /etc/gallery/secret_key").strip()
    assert len(secret) == 64
    done = control.run(
        "site", "--check", "--diff", "-vvv", flask_app_env={"FLASK_API_KEY": "hush-hush-hush"}
    )
    assert done.returncode == 0, done.output
    # The command line itself shows what was given on it.
    shown = done.output.replace(json.dumps({"FLASK_API_KEY": "hush-hush-hush"}), "")
    assert secret not in shown
    assert "hush-hush-hush" not in shown
