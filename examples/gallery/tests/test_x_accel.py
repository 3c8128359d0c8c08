from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request, send_file
from flask.testing import FlaskClient

from gallery.signed_links import signed_path
from gallery.x_accel import XAccelRedirect

CONTENT = bytes(range(256)) * 100
LATER, EARLIER = "Fri, 01 Jan 2100 00:00:00 GMT", "Mon, 01 Jan 1990 00:00:00 GMT"
CONDITIONS = {
    "If-Match": '"another"',
    "If-Modified-Since": LATER,
    "If-None-Match": "*",
    "If-Range": '"another"',
    "If-Unmodified-Since": EARLIER,
    "Range": "bytes=5-9,20-29",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "documents").mkdir()
    return tmp_path / "documents"


@pytest.fixture
def client(root: Path) -> FlaskClient:
    app = Flask("app")
    app.config["USE_X_SENDFILE"] = True

    @app.get("/send")
    @app.get("/documents/send")
    def send() -> Any:
        return send_file(request.args["path"], mimetype=request.args.get("type"))

    @app.get("/page")
    def page() -> str:
        return "a page"

    @app.route("/documents/told", methods=["GET", "PUT"])
    @app.get("/documents-old/told")
    def told() -> dict[str, str]:
        return {name: request.headers[name] for name in CONDITIONS if name in request.headers}

    area = {
        "root": str(root),
        "accel_location": "/_app_accel/documents/",
        "cache_control": "private, no-cache",
        "inline_types": ["image/png"],
    }
    app.wsgi_app = XAccelRedirect(app.wsgi_app, {"/documents/": area})  # type: ignore[method-assign]
    return app.test_client()


def send(client: FlaskClient, path: Path | str, **options: Any) -> Any:
    kind = options.pop("type", "image/png")
    url = options.pop("url", "/send")
    return client.get(url, query_string={"path": str(path), "type": kind}, **options)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("a.png", "a.png"),
        ("a b%3F?#+.png", "a%20b%253F%3F%23%2B.png"),
        ("zoë/'\"ü.png", "zo%C3%AB/%27%22%C3%BC.png"),
        ("日本.png", "%E6%97%A5%E6%9C%AC.png"),
    ],
)
def test_file_of_the_area_is_named_to_nginx(
    client: FlaskClient, root: Path, name: str, sent: str
) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(CONTENT)
    answer = send(client, root / name)
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["X-Accel-Redirect"] == f"/_app_accel/documents/{sent}"
    assert answer.headers["Content-Length"] == "0"
    for gone in ("X-Sendfile", "ETag", "Last-Modified", "Accept-Ranges"):
        assert gone not in answer.headers


def test_name_that_no_header_can_hold_is_an_error(client: FlaskClient, root: Path) -> None:
    (root / "line\nbreak.png").write_bytes(CONTENT)
    answer = send(client, root / "line\nbreak.png")
    assert answer.status_code == 500
    assert "X-Accel-Redirect" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_range_and_conditions_are_left_to_nginx(
    client: FlaskClient, root: Path, method: str
) -> None:
    (root / "a.png").write_bytes(CONTENT)
    headers = {"Range": "bytes=5-9"}
    answer = send(client, root / "a.png", method=method, headers=headers)
    assert answer.headers["X-Accel-Redirect"].endswith("/a.png")
    assert "Content-Range" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_app_never_answers_for_nginx(
    client: FlaskClient, root: Path, method: str, condition: str
) -> None:
    (root / "a.png").write_bytes(CONTENT)
    answer = send(
        client,
        root / "a.png",
        url="/documents/send",
        method=method,
        headers={condition: CONDITIONS[condition]},
    )
    assert answer.status_code == 200
    assert answer.headers["X-Accel-Redirect"].endswith("/a.png")


def test_conditions_on_anything_else_reach_the_app(client: FlaskClient) -> None:
    assert client.get("/documents/told", headers=CONDITIONS).json == {}
    assert client.get("/documents-old/told", headers=CONDITIONS).json == CONDITIONS
    # If-Match keeps a change from undoing another one.
    assert client.put("/documents/told", headers=CONDITIONS).json == CONDITIONS


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "text/plain", "application/pdf"])
def test_what_a_browser_should_not_show_becomes_a_download(
    client: FlaskClient, root: Path, kind: str
) -> None:
    (root / "a.x").write_bytes(CONTENT)
    answer = send(client, root / "a.x", type=kind)
    assert answer.headers.getlist("Content-Disposition") in (
        ["attachment"],
        ["attachment; filename=a.x"],
    )
    assert answer.headers.getlist("Cache-Control") == ["private, no-cache"]


@pytest.mark.parametrize(
    ("changes", "location", "disposition"),
    [
        ({}, "/_app_accel/documents/", "attachment"),
        # Another tool wrote MEDIA_AREAS: sandboxed, and never the other way round.
        ({"inline_types": ["application/pdf"]}, "/_app_accel/documents/", "inline"),
        ({"accel_pdf_location": "/pdf/"}, "/_app_accel/documents/", "attachment"),
        (
            {"inline_types": ["application/pdf", "text/plain"], "accel_pdf_location": "/pdf/"},
            "/pdf/",
            "inline",
        ),
    ],
)
def test_pdf_is_sent_from_where_viewers_show_it(
    client: FlaskClient, root: Path, changes: dict[str, Any], location: str, disposition: str
) -> None:
    client.application.wsgi_app.areas[0].update(changes)  # type: ignore[attr-defined]
    for kind in ("application/pdf", "Application/PDF; a=b"):
        (root / "0a1b").write_bytes(CONTENT)
        answer = send(client, root / "0a1b", type=kind)
        assert answer.headers["X-Accel-Redirect"] == f"{location}0a1b"
        assert answer.headers["Content-Disposition"].startswith(disposition)
    # By what the app says it is, and not by its name on disk.
    (root / "x.pdf").write_bytes(CONTENT)
    answer = send(client, root / "x.pdf", type="text/plain")
    assert answer.headers["X-Accel-Redirect"] == "/_app_accel/documents/x.pdf"


@pytest.mark.parametrize("inside", ["link", "sub/../../outside.png", "../outside.png"])
def test_file_outside_is_never_named_to_nginx(client: FlaskClient, root: Path, inside: str) -> None:
    outside = root.parent / "outside.png"
    outside.write_bytes(CONTENT)
    (root / "sub").mkdir()
    (root / "link").symlink_to(outside)
    answer = send(client, root / inside)
    assert "X-Accel-Redirect" not in answer.headers
    assert "X-Sendfile" not in answer.headers
    # A link out of the area is followed by nobody; the others are the app's own choice.
    expected = (404, b"") if inside == "link" else (200, CONTENT)
    assert (answer.status_code, answer.data) == expected


def test_sibling_of_the_root_is_outside(client: FlaskClient, root: Path) -> None:
    sibling = root.parent / "documents-old"
    sibling.mkdir()
    (sibling / "a.png").write_bytes(CONTENT)
    answer = send(client, sibling / "a.png")
    assert "X-Accel-Redirect" not in answer.headers
    assert answer.data == CONTENT


def test_link_within_the_area_is_resolved(client: FlaskClient, root: Path) -> None:
    (root / "a.png").write_bytes(CONTENT)
    (root / "b.png").symlink_to("a.png")
    assert send(client, root / "b.png").headers["X-Accel-Redirect"].endswith("/documents/a.png")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Range": "bytes=0-0"}, 206),
        ({"Range": "bytes=100-20000"}, 206),
        ({"Range": "bytes=-7"}, 206),
        ({"Range": "bytes=25000-"}, 206),
        ({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 304),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_file_of_no_area_is_sent_as_flask_sends_it(
    client: FlaskClient, tmp_path: Path, headers: dict[str, str], status: int, method: str
) -> None:
    path = tmp_path / "elsewhere.png"
    path.write_bytes(CONTENT)
    os.utime(path, (1_600_000_000,) * 2)
    answer = send(client, path, method=method, headers=headers)
    client.application.config["USE_X_SENDFILE"] = False
    plain = send(client, path, method=method, headers=headers)
    assert answer.status_code == plain.status_code == status
    assert answer.data == plain.data
    assert sorted(n for n in answer.headers if n[0] != "Date") == sorted(
        n for n in plain.headers if n[0] != "Date"
    )


@pytest.mark.parametrize(
    "name",
    ["X-Sendfile", "X-Accel-Redirect", "X-Accel-Mapping", "X-Sendfile-Type", "X-Original-URI"],
)
def test_request_headers_change_nothing(client: FlaskClient, root: Path, name: str) -> None:
    (root / "a.png").write_bytes(CONTENT)
    forged = {name: f"{root}=/static/"}
    assert (
        send(client, root / "a.png", headers=forged).headers == send(client, root / "a.png").headers
    )
    page = client.get("/page", headers=forged)
    assert page.text == "a page"
    assert "X-Accel-Redirect" not in page.headers


def test_signed_link_is_the_one_that_nginx_reckons() -> None:
    # As https://nginx.org/en/docs/http/ngx_http_secure_link_module.html makes it with openssl.
    url = signed_path("/s/a ü?.txt", "k" * 32, 2147483647)
    assert url == "/s/a%20%C3%BC%3F.txt?md5=h6kjQoJj2zho8b2P8nabng&expires=2147483647"
