"""An app under a prefix lives in another one's server block, and neither is in the other's way.

The site under test is the one under the prefix; the gallery is at the root of the same host name.
"""

from __future__ import annotations

from pathlib import Path

import contract
import hosts
import play
import pytest
import uploads

# All that belongs to the gallery alone, and what its processes are.
GALLERY = r"""
find /opt/gallery /etc/gallery /var/www/gallery/static -printf '%p %u:%g %m %T@ %l\n' | sort
find /var/www/gallery/media /etc/nginx/conf.d/gallery.conf -printf '%p %u:%g %m %T@\n' | sort
systemctl show --property MainPID --value gallery.service
"""


@pytest.fixture
def gallery(site: hosts.Site) -> hosts.Site:
    return hosts.Site.deployed("gallery", site.host_name, site.address, ["/static/"])


def test_uploads_go_to_the_app_that_took_them(site: hosts.Site, gallery: hosts.Site) -> None:
    for one, other in ((site, gallery), (gallery, site)):
        before = uploads.Visitor(other).media()
        new = uploads.save(one, 1)
        assert all(url.startswith(one.media_url) for url in new)
        assert uploads.Visitor(other).media() == before


def test_every_link_of_a_page_carries_the_prefix(site: hosts.Site) -> None:
    visitor = uploads.Visitor(site)
    links = visitor.page(site.url_prefix).links
    inside = [link for link in links if link.startswith("/")]
    assert inside
    assert [link for link in inside if not link.startswith(site.url_prefix)] == []


def test_the_prefix_without_its_slash_leads_to_it(site: hosts.Site) -> None:
    with site.connection() as connection:
        response = connection.request("GET", site.url_prefix.rstrip("/") + "?page=2")
    assert response.status == 301
    assert response.first("Location").endswith(f"{site.url_prefix}?page=2")


def test_a_path_arrives_as_it_was_sent(site: hosts.Site, gallery: hosts.Site) -> None:
    # Nginx decodes and encodes what it sends on where it takes a prefix off.
    for path in ("no%20such%20page", "no%2Fsuch", "no%3Fsuch", "n%C3%B6", "a%25b"):
        with site.connection() as connection:
            under = connection.request("GET", site.url_prefix + path)
            root = connection.request("GET", gallery.url_prefix + path)
        assert (under.status, root.status) == (404, 404), path
        # The app's own page, not Nginx's.
        assert contract.NGINX_PAGE not in under.body, path


def test_each_session_is_for_its_own_app(site: hosts.Site, gallery: hosts.Site) -> None:
    for one in (site, gallery):
        with one.connection() as connection:
            response = connection.request("GET", uploads.Visitor(one).url(uploads.UPLOAD_PAGE))
        paths = [
            part.strip().removeprefix("Path=")
            for cookie in response.all("Set-Cookie")
            for part in cookie.split(";")
            if part.strip().startswith("Path=")
        ]
        assert set(paths) == {one.url_prefix}


def test_a_deploy_of_one_leaves_the_other_alone(
    control: play.Control, site: hosts.Site, gallery: hosts.Site, tmp_path: Path
) -> None:
    saved = {one.app: uploads.save(one, 1) for one in (site, gallery)}
    before = control.shell(GALLERY)
    running = control.shell("systemctl show --property MainPID --value shop.service")

    project = str(play.version_of_gallery(tmp_path, "v2"))
    control.deploy(
        flask_apps_limit="shop",
        flask_apps=_edited(control, flask_app_source=project, flask_app_gunicorn_workers=1),
    )

    assert control.shell(GALLERY) == before
    assert control.shell("systemctl show --property MainPID --value shop.service") != running
    for one in (site, gallery):
        assert uploads.check(one, saved[one.app]) == {}


def test_a_name_that_is_no_app_s_is_refused(control: play.Control) -> None:
    done = control.run("deploy", flask_apps_limit="shopp")
    assert done.returncode != 0
    assert "Write names of gallery, shop" in done.output.replace("\n", " ")
    assert done.changed == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"flask_media_root": "/var/www/gallery/media"}, ["flask_media_root", "would lie in"]),
        ({"flask_site_url_prefix": "/media/"}, ["flask_site_url_prefix", "uploads of gallery"]),
        ({"flask_site_server": "blog"}, ["flask_site_server", "no app of flask_apps"]),
    ],
)
def test_an_app_in_the_other_s_way_is_refused(
    control: play.Control, changes: dict[str, str], words: list[str]
) -> None:
    before = control.snapshot()
    done = control.run("site", flask_apps=_edited(control, **changes))
    assert done.returncode != 0
    assert [word for word in words if word not in " ".join(done.output.split())] == []
    assert control.snapshot() == before


def _edited(control: play.Control, **changes: object) -> list[dict[str, object]]:
    """The host's apps, the second of them changed."""
    first, second = control.inventory_variable("flask_apps")
    return [first, {**second, **changes}]
