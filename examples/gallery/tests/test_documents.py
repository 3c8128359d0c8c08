from __future__ import annotations

import io
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.security import generate_password_hash
from werkzeug.test import TestResponse

from gallery import vault
from gallery.config import ConfigError
from support import MakeApp

PASSWORD = "a password"
USERS = dict.fromkeys(("ann", "bob"), generate_password_hash(PASSWORD, "pbkdf2:sha256:1000"))
KEY = "k" * 32


@pytest.fixture
def areas(tmp_path: Path, upload_folder: Path) -> dict[str, Any]:
    for name in ("documents", "members", "shared"):
        (tmp_path / name).mkdir()
    return {
        "/media/": {"root": str(upload_folder), "access": "public"},
        "/documents/": {
            "root": str(tmp_path / "documents"),
            "access": "accel",
            "accel_location": "/_gallery_accel/documents/",
            "cache_control": "private, no-cache",
            "inline_types": ["image/png", "text/plain"],
        },
        "/members/": {"root": str(tmp_path / "members"), "access": "auth_request"},
        "/shared/": {"root": str(tmp_path / "shared"), "access": "signed"},
    }


@pytest.fixture
def visitor(make_app: MakeApp, areas: dict[str, Any]) -> FlaskClient:
    app = make_app(MEDIA_AREAS=areas, USERS=USERS, MEDIA_SIGNING_KEY=KEY)
    return app.test_client()


@pytest.fixture
def ann(visitor: FlaskClient) -> FlaskClient:
    log_in(visitor, "ann")
    return visitor


def log_in(client: FlaskClient, name: str, password: str = PASSWORD) -> TestResponse:
    return client.post("/login", data={"name": name, "password": password})


def keep(client: FlaskClient, name: str, content: bytes = b"secret", **more: Any) -> str:
    before = links(client)
    answer = client.post("/documents/", data={"document": (io.BytesIO(content), name), **more})
    assert (answer.status_code, answer.location) == (303, "/documents/")
    new = links(client) - before
    return new.pop() if new else ""


def links(client: FlaskClient) -> set[str]:
    page = client.get("/documents/").text
    return set(re.findall(r'href="(/(?:documents|members)/[0-9a-f]{32}[^"]*)"', page))


def test_without_an_area_the_gallery_is_as_it_was(client: FlaskClient) -> None:
    for url in ("/documents/", "/login", "/may-read"):
        assert client.get(url).status_code == 404
    assert "Documents" not in client.get("/").text


def test_anonymous_is_sent_to_the_login(visitor: FlaskClient) -> None:
    for url in ("/documents/", "/documents/" + "0" * 32):
        answer = visitor.get(url)
        assert (answer.status_code, answer.location) == (302, "/login")
        assert answer.headers["Cache-Control"] == "no-store"
    assert visitor.get("/may-read").status_code == 401


@pytest.mark.parametrize(("name", "password"), [("ann", "wrong"), ("nobody", ""), ("nobody", "x")])
def test_wrong_login_says_no_more_than_that(visitor: FlaskClient, name: str, password: str) -> None:
    answer = log_in(visitor, name, password)
    assert answer.status_code in (400, 403)
    assert visitor.get("/may-read").status_code == 401


def test_login_lasts_until_logout_or_until_the_user_is_taken_away(ann: FlaskClient) -> None:
    assert ann.get("/may-read").status_code == 204
    ann.application.config["USERS"] = {"bob": USERS["bob"]}
    assert ann.get("/may-read").status_code == 401
    ann.application.config["USERS"] = USERS
    assert ann.post("/logout").status_code == 303
    assert ann.get("/may-read").status_code == 401


def test_document_is_handed_to_nginx_for_its_owner_alone(
    ann: FlaskClient, areas: dict[str, Any]
) -> None:
    url = keep(ann, "päge 1.html", b"<script>")
    answer = ann.get(url)
    document_id = url.rpartition("/")[2]
    assert (answer.status_code, answer.data) == (200, b"")
    assert "X-Sendfile" not in answer.headers
    location = f"/_gallery_accel/documents/ann/{document_id}"
    assert answer.headers.getlist("X-Accel-Redirect") == [location]
    assert answer.headers.getlist("Cache-Control") == ["private, no-cache"]
    disposition = answer.headers["Content-Disposition"]
    assert disposition.startswith("attachment; filename")
    assert "filename*=UTF-8''p%C3%A4ge%201.html" in disposition
    root = Path(areas["/documents/"]["root"])
    assert (root / "ann" / document_id).read_bytes() == b"<script>"

    ann.post("/logout")
    log_in(ann, "bob")
    assert ann.get(url).status_code == 404
    assert ann.post(f"{url}/link").status_code == 404
    assert links(ann) == set()


def test_picture_is_shown_in_the_browser(ann: FlaskClient) -> None:
    answer = ann.get(keep(ann, "a.png"))
    assert answer.headers["Content-Disposition"].startswith("inline")
    assert answer.content_type == "image/png"


@pytest.mark.parametrize(
    "wrong", ["../bob/" + "0" * 32, "..%2fbob", "0" * 31, "0" * 32 + ".name", ".name"]
)
def test_nothing_else_is_to_be_had(ann: FlaskClient, wrong: str) -> None:
    keep(ann, "a.txt")
    assert ann.get(f"/documents/{wrong}").status_code == 404


def test_shared_document_is_a_copy_with_an_end(ann: FlaskClient, areas: dict[str, Any]) -> None:
    root = Path(areas["/shared/"]["root"])
    old = root / ("1600000000-" + "0" * 32)
    old.mkdir()
    (old / "gone.txt").write_text("x")
    answer = ann.post(keep(ann, "ännual 'report' 100%.pdf") + "/link")
    assert answer.status_code == 201
    link = r'value="http://localhost(/shared/([^?"]+)\?md5=[\w-]{22}&amp;expires=(\d+))"'
    match = re.search(link, answer.text)
    assert match, answer.text
    assert match[2].endswith("/%C3%A4nnual%20%27report%27%20100%25.pdf")
    (folder,) = root.iterdir()
    assert folder.name.startswith(f"{match[3]}-")
    assert (folder / "ännual 'report' 100%.pdf").read_bytes() == b"secret"


def test_two_who_share_at_once_clean_up_together(
    ann: FlaskClient, areas: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(areas["/shared/"]["root"])
    for digit in "12":
        folder = root / ("1600000000-" + digit * 32)
        folder.mkdir()
        (folder / "a.txt").write_text("x")
    rmtree = shutil.rmtree

    def another_was_first(path: Path, *arguments: Any, **options: Any) -> None:
        rmtree(path)
        rmtree(path, *arguments, **options)

    url = keep(ann, "b.txt")
    monkeypatch.setattr(shutil, "rmtree", another_was_first)
    assert ann.post(f"{url}/link").status_code == 201
    (folder,) = root.iterdir()
    assert (folder / "b.txt").read_bytes() == b"secret"


def test_members_documents_are_listed_for_all(ann: FlaskClient) -> None:
    url = keep(ann, "minutes #1.txt", for_members="y")
    assert url.startswith("/members/")
    assert url.endswith("/minutes%20%231.txt")
    ann.post("/logout")
    log_in(ann, "bob")
    assert url in links(ann)


def test_forms_from_elsewhere_are_refused(make_app: MakeApp, areas: dict[str, Any]) -> None:
    client = make_app(MEDIA_AREAS=areas, USERS=USERS, WTF_CSRF_ENABLED=True).test_client()
    for url in ("/login", "/logout", "/documents/", "/documents/" + "0" * 32 + "/link"):
        assert client.post(url).status_code == 400


def test_area_that_is_not_there_is_an_error_and_not_empty(
    ann: FlaskClient, areas: dict[str, Any]
) -> None:
    Path(areas["/documents/"]["root"]).rmdir()
    assert ann.get("/documents/").status_code == 503


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ("C:\\x\\a.doc", "C:_x_a.doc"),
        (".htaccess", "htaccess"),
        ("a\r\nb.txt", "a__b.txt"),
        (" . ", "document"),
        ("", "document"),
        (None, "document"),
        ("ä" * 150 + ".pdf", "ä" * 98 + ".pdf"),
    ],
)
def test_names_are_made_safe(given: str | None, kept: str) -> None:
    assert vault.safe_name(given) == kept


@pytest.mark.parametrize("users", [["ann"], {"../ann": "x"}, {"ann": 7}, {"Ann": "x"}, "ann"])
def test_users_that_can_not_work_are_refused(make_app: MakeApp, users: Any) -> None:
    with pytest.raises(ConfigError, match=r"USERS .*Set FLASK_USERS to "):
        make_app(USERS=users)
