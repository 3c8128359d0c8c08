"""Private files of an app that uses the gallery's middleware, asked of a real Nginx before it."""

from __future__ import annotations

import contextlib
import email.utils
import importlib.util
import os
import socketserver
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _media_areas
from flask import Flask, send_file
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.unit.roles.specs import CHECKOUT
from tests.unit.roles.test_media_locations import HEADERS, INLINE, MediaHost

SANDBOX = HEADERS["Content-Security-Policy"]
# Each on disk by a name that says nothing, as the gallery has it, with the name that people see.
DOCUMENTS = {
    "0a1b": "report.pdf",
    "1b2c": "photo.png",
    "2c3d": "page.html",
    "3d4e.pdf": "notes.txt",
    "4e5f": "data",
}
CONDITIONS = {
    "If_Match": '"another"',
    "If_Modified_Since": email.utils.formatdate(4102444800, usegmt=True),
    "If_None_Match": "*",
    "If_Unmodified_Since": email.utils.formatdate(0, usegmt=True),
}


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: t.Any) -> None:
        pass


def an_app(values: t.Mapping[str, t.Any]) -> Flask:
    """An app that sends each of its documents by its own name, as Flask does if nothing else is said."""
    file = CHECKOUT / "examples/gallery/src/gallery/x_accel.py"
    spec = importlib.util.spec_from_file_location("x_accel", file)
    assert spec is not None
    assert spec.loader is not None
    x_accel = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(x_accel)
    app = Flask("app")
    app.config["MEDIA_AREAS"] = _media_areas.env(values)
    root = app.config["MEDIA_AREAS"]["/documents/"]["root"]

    @app.get("/documents/<name>")
    def document(name: str) -> t.Any:
        return send_file(os.path.join(root, name), download_name=DOCUMENTS.get(name, "x.pdf"))

    x_accel.init_app(app)
    return app


class DocumentHost(MediaHost):
    def fill(self) -> None:
        super().fill()
        for name in (*DOCUMENTS, ".hidden"):
            (self.directory / "documents" / name).write_bytes(b"content of " + name.encode())
        (self.directory / "documents/link").symlink_to(self.directory / "nginx.conf")

    def server(self, path: str) -> socketserver.BaseServer:
        app = an_app(self.description())
        return make_server(f"unix://{path}", 0, app, threaded=True, request_handler=_Quiet)


class PdfHost(DocumentHost):
    inline: t.ClassVar[dict[str, list[str]]] = {**INLINE, "application/pdf": ["pdf"]}


@contextlib.contextmanager
def document_host(kind: type[DocumentHost]) -> t.Iterator[DocumentHost]:
    with tempfile.TemporaryDirectory(prefix="flaskworks-") as directory:
        os.chmod(directory, 0o755)
        host = kind(Path(directory).resolve())
        (host.directory / "media/.hidden").write_text("content of")
        host.fill()
        with host.app(), host.served():
            yield host


@pytest.fixture(scope="module")
def host() -> t.Iterator[DocumentHost]:
    """One whose browsers may show PDF."""
    with document_host(PdfHost) as host:
        yield host


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_a_document_is_said_to_be_decides(host: DocumentHost, name: str) -> None:
    answer = host.get(f"/documents/{name}")
    assert (answer.status, answer.body) == (200, b"content of " + name.encode())
    is_pdf = DOCUMENTS[name].endswith(".pdf")
    policy = _media_areas.PDF_POLICY if is_pdf else SANDBOX
    for header, value in {**HEADERS, "Content-Security-Policy": policy}.items():
        assert answer.one(header) == value
    assert answer.one("Cache-Control") == "private, no-cache"
    assert (answer.one("Content-Type") == "application/pdf") == is_pdf
    is_inline = DOCUMENTS[name].endswith((".pdf", ".png", ".txt"))
    shown = "inline" if is_inline else "attachment"
    assert answer.one("Content-Disposition") == f"{shown}; filename={DOCUMENTS[name]}"


def test_pdf_that_browsers_may_not_show_stays_in_the_sandbox() -> None:
    with document_host(DocumentHost) as host:
        for name in ("0a1b", "3d4e.pdf"):
            assert host.get(f"/documents/{name}").one("Content-Security-Policy") == SANDBOX
        disposition = str(host.get("/documents/0a1b").one("Content-Disposition"))
        assert disposition.startswith("attachment")
        assert "accel_pdf" not in host.locations()


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions_are_judged_by_the_file_alone(
    host: DocumentHost, name: str, condition: str
) -> None:
    whole = host.get(f"/documents/{name}")
    answer = host.get(f"/documents/{name}", **{condition: CONDITIONS[condition]})
    # Nginx has exact times only: If-Modified-Since is another one.
    expected = {
        "If_Match": 412,
        "If_Modified_Since": 200,
        "If_None_Match": 304,
        "If_Unmodified_Since": 412,
    }
    assert answer.status == expected[condition]
    for header in HEADERS:
        assert answer.one(header) == whole.one(header)
    for validators in (
        {"If_Modified_Since": str(whole.one("Last-Modified"))},
        {"If_None_Match": str(whole.one("ETag"))},
    ):
        again = host.get(f"/documents/{name}", **validators)
        assert (again.status, again.one("ETag")) == (304, whole.one("ETag"))
        for header in (*HEADERS, "Cache-Control", "Content-Disposition"):
            assert again.one(header) == whole.one(header)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_ranges_are_of_the_file(host: DocumentHost, name: str) -> None:
    whole = host.get(f"/documents/{name}")
    part = host.get(f"/documents/{name}", Range="bytes=3-6")
    assert (part.status, part.body) == (206, whole.body[3:7])
    assert part.one("Content-Security-Policy") == whole.one("Content-Security-Policy")
    beyond = host.get(f"/documents/{name}", Range="bytes=999-")
    assert (beyond.status, beyond.one("Content-Range")) == (416, f"bytes */{len(whole.body)}")
    for header in HEADERS:
        assert beyond.one(header) == whole.one(header)
    several = host.get(f"/documents/{name}", Range="bytes=0-1,3-4")
    assert (several.status, several.body) == (200, whole.body)


@pytest.mark.parametrize("location", ["/_gallery_accel", "/_gallery_accel_pdf"])
def test_a_visitor_reaches_neither_location(host: DocumentHost, location: str) -> None:
    for name in (*DOCUMENTS, ".hidden", "link"):
        for way in ("", "/media/..", "/media/%2e%2e"):
            answer = host.get(f"{way}{location}/documents/{name}")
            assert answer.status == 404
            assert b"content of" not in answer.body


@pytest.mark.parametrize("name", [".hidden", "link"])
def test_not_even_the_app_can_send_these(host: DocumentHost, name: str) -> None:
    answer = host.get(f"/documents/{name}")
    assert answer.status == 404
    assert answer.body.count(b"worker") == answer.body.count(b"content of") == 0
