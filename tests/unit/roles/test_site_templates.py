"""The server blocks of role flask_site, as the rules resolve them, asked of a real Nginx."""

from __future__ import annotations

import contextlib
import grp
import os
import re
import socket
import socketserver
import ssl
import tempfile
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _certificate,
    _nginx_modules,
    _settings,
)

from tests.unit.descriptions import description, media_area
from tests.unit.roles.nginx import rendered, serving

SITE, MEDIA = "gallery.example.com", "gallery-media.example.net"
HSTS = "max-age=31536000"
SANDBOX = "default-src 'none'; sandbox; frame-ancestors 'none'"
LIMIT = 64 * 1024
# What it is told of when it is sent nothing
NO_BODY = 2**40
TLS = {
    "flask_site_scheme": "https",
    "flask_site_port": 443,
    "flask_site_ssl_self_signed": True,
    "flask_site_hsts_max_age_seconds": 31536000,
}


class Answer(t.NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


class _App(socketserver.StreamRequestHandler):
    """Refuses by what it is told of a body's length, as Flask does."""

    def handle(self) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        size = int(length[1]) if length else 0
        status = b"413 Too Large" if size > LIMIT else b"200 OK"
        if size < NO_BODY:
            # A socket that is closed with something unread loses the answer, too.
            self.rfile.read(size)
        page = b"the app's own page\n" + head
        self.wfile.write(
            b"HTTP/1.0 " + status + b"\r\nStrict-Transport-Security: max-age=1\r\n"
            b"Content-Length: %d\r\n\r\n" % len(page) + page
        )


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class Host:
    """Nginx with one site, and an app behind it."""

    def __init__(self, directory: Path, **changes: t.Any) -> None:
        self.directory = directory
        self.app_socket = str(directory / "app.sock")
        for name in ("static/static", "media", "documents", "acme/.well-known/acme-challenge"):
            (directory / name).mkdir(parents=True)
        (directory / "static/static/app.css").write_text("body {}")
        for name in ("a.png", "b.pdf", "c.html"):
            (directory / "media" / name).write_bytes(b"of the media\n")
        (directory / "documents/private.png").write_bytes(b"private\n")
        (directory / "acme/.well-known/acme-challenge/token").write_text("answer")
        values = description(
            flask_app_max_content_length=LIMIT,
            flask_app_bind=f"unix:{self.app_socket}",
            flask_static_root=str(directory / "static"),
            flask_media_root=str(directory / "media"),
            **changes,
        )
        self.settings = _settings.resolve(values)
        app = _settings.described_app([{"url": "/static/", "folder": "/nowhere"}])
        self.settings = _settings.with_app(values, self.settings, app)
        self.settings["static"]["encodings"] = []
        self.settings["host"] = {"ipv6": False}
        if self.settings["site"]["tls"]:
            pem = str(directory / "self_signed.pem")
            self.settings["site"]["tls"] = {"certificate": pem, "certificate_key": pem}
            _certificate.SelfSigned(pem, self.settings["site"]["self_signed_names"]).apply()

    def rendered(self, http2: str | None = None) -> str:
        return rendered(
            "server.conf.j2",
            __flask_site={"settings": self.settings},
            __flask_site_nginx={"http2": http2 or _nginx_modules.http2_syntax()[1]},
        )

    @contextlib.contextmanager
    def served(self) -> t.Iterator[Host]:
        if os.geteuid() == 0:
            os.chown(self.directory / "media", 0, grp.getgrnam("www-data").gr_gid)
        text = self.rendered()
        # Nobody else listens there, whatever else this machine does.
        for port in (80, 443):
            text = re.sub(rf"listen {port}\b", f"listen unix:@dir@/{port}.sock", text)
        server = _Server(self.app_socket, _App)
        os.chmod(self.app_socket, 0o666)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with serving(self.directory, text):
                yield self
        finally:
            server.shutdown()
            server.server_close()

    def ask(
        self,
        target: str,
        host: str = SITE,
        port: int = 443,
        method: str = "GET",
        body: bytes = b"",
        **headers: str,
    ) -> Answer:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        with contextlib.closing(self.connect(port, host)) as stream:
            stream.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            received = b""
            while chunk := stream.recv(65536):
                received += chunk
        head, _unused, content = received.partition(b"\r\n\r\n")
        status, *named = head.decode().split("\r\n")
        pairs = [line.partition(": ")[::2] for line in named]
        return Answer(int(status.split()[1]), pairs, content)

    def connect(self, port: int, host: str, alpn: t.Sequence[str] = ()) -> socket.socket:
        stream = socket.socket(socket.AF_UNIX)
        stream.settimeout(20)
        stream.connect(f"{self.directory}/{port}.sock")
        if port != 443:
            return stream
        context = ssl.create_default_context(cafile=str(self.directory / "self_signed.pem"))
        context.set_alpn_protocols(list(alpn))
        return context.wrap_socket(stream, server_hostname=host)


class HostOfYours(Host):
    """The locations in a server block that somebody else keeps."""

    def rendered(self, http2: str | None = None) -> str:
        locations = rendered("locations.conf.j2", __flask_site={"settings": self.settings})
        return f"""server {{
    listen 80;
    add_header X-Yours kept always;
    error_page 404 /yours;
    location = /yours {{ return 200 yours; }}
    {locations}
}}"""


@contextlib.contextmanager
def new_host(**changes: t.Any) -> t.Iterator[Host]:
    with tempfile.TemporaryDirectory(prefix="flaskworks-") as directory:
        os.chmod(directory, 0o755)
        with Host(Path(directory).resolve(), **changes).served() as host:
            yield host


@pytest.fixture(scope="module")
def host() -> t.Iterator[Host]:
    areas = [
        media_area(
            "/media/",
            inline_types={"image/png": ["png"], "application/pdf": ["pdf"]},
            upload_urls=["/upload"],
            client_max_body_size="256k",
            upload_rate="2r/m",
        ),
        media_area("/documents/", access="accel", inline_types={"image/png": ["png"]}),
    ]
    with new_host(**TLS, flask_media_domain=MEDIA, flask_media_areas=areas) as host:
        yield host


@pytest.mark.parametrize("name", [SITE, MEDIA])
def test_each_name_has_a_certificate_and_http_2(host: Host, name: str) -> None:
    with contextlib.closing(host.connect(443, name, ["h2", "http/1.1"])) as stream:
        assert isinstance(stream, ssl.SSLSocket)
        assert stream.selected_alpn_protocol() == "h2"
        assert stream.version() == "TLSv1.3"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_what_is_older_than_tls_1_2_is_refused(host: Host) -> None:
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(f"{host.directory}/443.sock")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # Without it OpenSSL itself would not offer them.
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with contextlib.closing(stream), pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(stream, server_hostname=SITE)


@pytest.mark.parametrize("name", [SITE, MEDIA])
def test_plain_http_leads_to_https(host: Host, name: str) -> None:
    answer = host.ask("/a%20b?c=d", name, 80, "POST")
    assert (answer.status, answer.all("Location")) == (308, [f"https://{name}/a%20b?c=d"])


def test_a_foreign_name_is_led_to_no_foreign_place(host: Host) -> None:
    answer = host.ask("/", "evil.example", 80)
    assert answer.all("Location") == [f"https://{SITE}/"]


@pytest.mark.parametrize(
    ("target", "name", "status", "headers"),
    [
        ("/", SITE, 200, {}),
        ("/static/app.css", SITE, 200, {}),
        ("/static/none.css", SITE, 404, {}),
        ("/static/.env", SITE, 404, {}),
        ("/media/a.png", SITE, 301, {}),
        ("/media/a.png", MEDIA, 200, {}),
        ("/media/b.pdf", MEDIA, 200, {}),
        ("/media/c.html", MEDIA, 200, {}),
        ("/media/a.png", MEDIA, 206, {"Range": "bytes=0-1"}),
        ("/media/a.png", MEDIA, 416, {"Range": "bytes=999-"}),
        ("/media/b.pdf", MEDIA, 416, {"Range": "bytes=999-"}),
        ("/static/app.css", SITE, 416, {"Range": "bytes=999-"}),
        ("/media/none.png", MEDIA, 404, {}),
        ("/media/.env", MEDIA, 404, {}),
        ("/media/", MEDIA, 404, {}),
        ("/", MEDIA, 404, {}),
        ("/upload", SITE, 200, {}),
    ],
)
def test_every_answer_has_one_hsts_header(
    host: Host, target: str, name: str, status: int, headers: dict[str, t.Any]
) -> None:
    answer = host.ask(target, name, **headers)
    assert answer.status == status
    assert answer.all("Strict-Transport-Security") == [HSTS]


def test_a_304_has_it_too(host: Host) -> None:
    for target, name in (("/static/app.css", SITE), ("/media/a.png", MEDIA)):
        etag = host.ask(target, name).all("ETag")[0]
        answer = host.ask(target, name, If_None_Match=etag)
        assert (answer.status, answer.all("Strict-Transport-Security")) == (304, [HSTS])


@pytest.mark.parametrize(
    ("server", "pages"),
    [
        # The app's own, since whoever keeps the block may have none.
        (None, ["max-age=1"]),
        # Another app of ours has one in its block.
        ("shop", []),
    ],
)
def test_in_a_server_block_of_yours_no_page_loses_it(server: str | None, pages: list[str]) -> None:
    changes = {
        "flask_site_mode": "include",
        "flask_site_proxy": True,
        "flask_site_scheme": "https",
        "flask_site_hsts_max_age_seconds": 31536000,
        "flask_site_server": server,
    }
    with tempfile.TemporaryDirectory(prefix="flaskworks-") as directory:
        os.chmod(directory, 0o755)
        with HostOfYours(Path(directory).resolve(), **changes).served() as host:
            size = LIMIT * 8
            large = host.ask(
                "/", port=80, method="POST", body=b"x" * size, Content_Length=str(size)
            )
            for answer in (host.ask("/", port=80), large):
                assert b"the app's own page" in answer.body
                assert answer.all("Strict-Transport-Security") == pages
                # One of ours there would drop all of the block's.
                assert answer.all("X-Yours") == ["kept"]
            for target in ("/static/app.css", "/media/a.png"):
                answer = host.ask(target, port=80)
                assert answer.all("Strict-Transport-Security") == [HSTS]
                # There Nginx itself adds them twice, and an error_page of ours would end yours.
                answer = host.ask(target, port=80, Range="bytes=999-")
                times = 2 if server is None else 1
                assert answer.all("Strict-Transport-Security") == [HSTS] * times
            missing = host.ask("/media/none.png", port=80)
            assert (missing.body == b"yours") == (server is None)


def test_the_media_domain_serves_public_media_and_nothing_else(host: Host) -> None:
    found = host.ask("/media/a.png", MEDIA)
    assert found.body == b"of the media\n"
    assert found.all("Cross-Origin-Resource-Policy") == ["cross-origin"]
    assert found.all("Content-Security-Policy") == [SANDBOX]
    for target in ("/", "/upload", "/static/app.css", "/documents/private.png", "/media"):
        answer = host.ask(target, MEDIA)
        assert (answer.status, b"app" in answer.body) == (404, False), target
        assert answer.all("X-Content-Type-Options") == ["nosniff"]


def test_the_sites_own_media_urls_lead_there(host: Host) -> None:
    answer = host.ask("/media/a%20b.png?x=1", SITE)
    assert answer.all("Location") == [f"https://{MEDIA}/media/a%20b.png?x=1"]
    assert answer.all("Cache-Control") == ["max-age=3600"]
    # What the app's cookies guard stays with the app.
    assert host.ask("/documents/private.png", SITE).status != 301


def test_a_pdf_is_shown_without_a_sandbox_and_nothing_else_is(host: Host) -> None:
    pdf, html = host.ask("/media/b.pdf", MEDIA), host.ask("/media/c.html", MEDIA)
    assert pdf.all("Content-Type") == ["application/pdf"]
    assert pdf.all("Content-Disposition") == []
    policy = pdf.all("Content-Security-Policy")[0]
    assert "sandbox" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert pdf.all("X-Content-Type-Options") == ["nosniff"]
    assert html.all("Content-Disposition") == ["attachment"]
    assert html.all("Content-Security-Policy") == [SANDBOX]


def chunked(size: int) -> bytes:
    return b"%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n"


SIZES = [LIMIT + 1, LIMIT * 2, LIMIT * 8]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("target", ["/", "/upload/other"])
def test_what_is_too_large_gets_the_apps_own_page(host: Host, target: str, size: int) -> None:
    for answer in (
        host.ask(target, method="POST", body=b"x" * size, Content_Length=str(size)),
        host.ask(target, method="POST", body=chunked(size), Transfer_Encoding="chunked"),
    ):
        assert answer.status == 413
        assert answer.body.startswith(b"the app's own page\nPOST")
        assert answer.all("Strict-Transport-Security") == [HSTS]


def test_conditions_do_not_answer_for_what_is_too_large(host: Host) -> None:
    conditions: dict[str, t.Any] = {
        "If_Match": '"a"',
        "If_Modified_Since": "Fri, 01 Jan 2100 00:00:00 GMT",
        "If_None_Match": "*",
        "If_Range": '"a"',
        "If_Unmodified_Since": "Mon, 01 Jan 1990 00:00:00 GMT",
        "Range": "bytes=0-1",
    }
    body = b"x" * LIMIT * 8
    answer = host.ask("/", method="PUT", body=body, Content_Length=str(len(body)), **conditions)
    assert answer.body.startswith(b"the app's own page\nPUT")
    assert not re.search(rb"(?im)^(if-|range)", answer.body)
    # Elsewhere they are the app's.
    answer = host.ask("/", method="PUT", Content_Length="0", **conditions)
    assert len(re.findall(rb"(?im)^(?:if-|range)", answer.body)) == len(conditions)


def test_an_upload_url_has_its_own_limits() -> None:
    area = media_area("/media/", upload_urls=["/upload"], client_max_body_size="256k")
    with new_host(flask_media_areas=[area]) as host:
        for size in (LIMIT * 3, LIMIT * 8):
            for body, header in (
                (b"x" * size, {"Content_Length": str(size)}),
                (chunked(size), {"Transfer_Encoding": "chunked"}),
            ):
                answer = host.ask("/upload", port=80, method="POST", body=body, **header)
                assert (answer.status, answer.body[:7]) == (413, b"the app"), size
                told = re.search(rb"(?i)content-length: (\d+)", answer.body)
                # Up to the URL's own limit the app is sent the body, and may take it.
                assert told is not None
                assert (int(told[1]) == size) == (size < 256 * 1024)


def test_uploads_are_counted_and_visits_are_not() -> None:
    area = media_area("/media/", upload_urls=["/upload"], upload_rate="2r/m")
    with new_host(flask_media_areas=[area]) as host:
        assert {host.ask("/upload", port=80).status for _unused in range(9)} == {200}
        statuses = [
            host.ask("/upload", port=80, method="POST", Content_Length="0").status
            for _unused in range(5)
        ]
        assert statuses == [200, 200, 200, 429, 429]
        assert host.ask("/", port=80, method="POST", Content_Length="0").status == 200


def test_an_authoritys_challenge_is_answered_by_plain_http_alone() -> None:
    with tempfile.TemporaryDirectory(prefix="flaskworks-") as directory:
        os.chmod(directory, 0o755)
        made = Host(Path(directory).resolve(), **TLS, flask_site_acme_root=f"{directory}/acme")
        target = "/.well-known/acme-challenge/token"
        with made.served() as host:
            answer = host.ask(target, port=80)
            assert (answer.status, answer.body) == (200, b"answer")
            assert host.ask("/.well-known/acme-challenge/none", port=80).status == 404
            assert host.ask("/.well-known/other", port=80).status == 308


@pytest.mark.parametrize("http2", ["directive", "parameter", "none"])
def test_http_2_is_asked_for_in_the_way_this_nginx_knows(http2: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        text = Host(Path(directory), **TLS).rendered(http2)
    assert ("http2 on;" in text) == (http2 == "directive")
    assert ("listen 443 ssl http2;" in text) == (http2 == "parameter")


def test_without_tls_there_is_nothing_of_it() -> None:
    with tempfile.TemporaryDirectory() as directory:
        text = Host(Path(directory)).rendered()
    assert not re.search("ssl|http2|Strict-Transport|308|limit_req", text)
