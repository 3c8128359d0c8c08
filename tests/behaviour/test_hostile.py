"""What an upload may never do, asked of a deployed site: hostile.py has the uploads."""

from __future__ import annotations

import json
import os
from urllib.parse import quote_from_bytes

import contract
import corpus
import hostile
import hosts
import pytest
import uploads
from raw_http import Connection

UPLOADS = [*hostile.active(), *hostile.passive()]

# Runs as the app's user; says how the kernel answers each.
HARD_LINKS = r"""
import errno, json, os, sys
targets, directory = json.load(sys.stdin)
found = {}
for number, target in enumerate(targets):
    path = f"{directory}/foreign-{number}.txt"
    try:
        os.link(target, path)
        os.unlink(path)
        found[target] = "linked"
    except OSError as error:
        found[target] = errno.errorcode[error.errno]
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module", autouse=True)
def placed(site: hosts.Site, host: hosts.Host, probes: None) -> None:
    host.place(hostile.probes(site), site.app_user)


@pytest.mark.parametrize("upload", UPLOADS, ids=lambda upload: str(upload.id))
def test_an_upload_has_every_header_on_every_answer(
    upload: hostile.Upload, site: hosts.Site, connection: Connection
) -> None:
    found = {line.id: contract.violations(connection, line) for line in hostile.lines(site, upload)}
    assert {line: wrong for line, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("upload", hostile.hidden(), ids=lambda upload: str(upload.id))
def test_a_dotfile_does_not_come_out(
    upload: hostile.Upload, site: hosts.Site, connection: Connection
) -> None:
    for line in hostile.refused(upload.url(site), "dotfile"):
        assert contract.violations(connection, line) == []


def test_no_link_leads_out(
    site: hosts.Site, host: hosts.Host, connection: Connection, figures: object
) -> None:
    names = [*hostile.links(site), *hostile.extract(site, host)]
    asked = [
        f"{site.media_url}{hostile.DIRECTORY}/{quote_from_bytes(name)}{below}"
        for name in names
        for below in hostile.BELOW
    ]
    known = corpus.markers(site, host)
    wrong = {}
    for target in asked:
        response = connection.request("GET", target)
        # "/../" leaves the link behind, for what is beside it.
        reason = corpus.leaked(response, known, set())
        if reason or response.status not in (400, 403, 404):
            wrong[target] = reason or str(response)
    assert wrong == {}
    assert callable(figures)
    figures(
        f"{site.host_name}: {len(UPLOADS)} uploads, {len(names)} links, {len(asked)} ways into them"
    )


def test_no_file_of_others_can_be_linked_into_media(site: hosts.Site, host: hosts.Host) -> None:
    """Nginx can't tell a hard link: what keeps it out is fs.protected_hardlinks, proc(5)."""
    targets = ["/etc/passwd", site.env_file, f"{site.app_root}/secret.txt"]
    request = json.dumps([targets, f"{site.media_root}/{hostile.DIRECTORY}"]).encode()
    answers = json.loads(host.python(HARD_LINKS, request, site.app_user))
    assert set(answers) == set(targets)
    assert set(answers.values()) <= {"EPERM", "EACCES", "EXDEV"}, answers


def test_an_executable_upload_is_not_executed(
    site: hosts.Site, host: hosts.Host, connection: Connection
) -> None:
    for upload in UPLOADS:
        if upload.mode & 0o111:
            assert connection.request("GET", upload.url(site)).body == upload.content


@pytest.mark.parametrize(
    "upload",
    [each for each in hostile.active() if each.name != b"polyglot.png"],
    ids=lambda upload: str(upload.id),
)
def test_the_gallery_refuses_what_is_no_picture(upload: hostile.Upload, site: hosts.Site) -> None:
    visitor = uploads.Visitor(site)
    before = visitor.media()
    with pytest.raises(uploads.UploadError):
        visitor.upload(upload.content, "picture.png")
    assert visitor.media() == before


NAMES = (
    "page.html",
    "../../static/static/x.png",
    "..\\x.svg",
    ".htaccess",
    "x.png%00.html",
    "x" * 300,
)


@pytest.mark.parametrize("name", NAMES)
def test_a_polyglot_picture_is_stored_under_a_name_of_the_apps_own(
    name: str, site: hosts.Site, host: hosts.Host, connection: Connection
) -> None:
    picture = uploads.picture() + hostile.markup("polyglot")
    visitor = uploads.Visitor(site)
    before = set(host.hash_tree("/var/www"))
    brought = visitor.upload(picture, name)
    after = set(host.hash_tree("/var/www")) - before
    host.placed += sorted(after)
    paths = {site.media_root + "/" + url.removeprefix(site.media_url) for url in brought}
    assert after == paths
    assert uploads.digest(picture) in {uploads.digest(uploads.fetch(site, url)) for url in brought}
    for url in brought:
        extension = os.path.splitext(url)[1]
        assert extension in (".png", ".webp"), url
        assert name.rpartition("/")[2] not in url
        line = contract.Line(
            url,
            url,
            (200,),
            {**contract.MEDIA_FOUND, "Content-Type": hostile.INLINE[extension[1:]]},
            ("Content-Disposition", "Set-Cookie"),
        )
        assert contract.violations(connection, line) == []
