"""flask_site_info against a real Nginx with two names and two limits."""

from __future__ import annotations

import http.server
import socket
import socketserver
import tempfile
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils._certificate import SelfSigned

from tests.unit.roles.nginx import free_ports, serving

if t.TYPE_CHECKING:
    from tests.unit.plugins.conftest import Module

NGINX = """\
client_max_body_size 1000;
server {
    listen 127.0.0.1:@port@ ssl;
    server_name other.example;
    # As a host may have it whose first site is another's: who names nobody is refused.
    ssl_reject_handshake on;
    ssl_certificate @dir@/other.pem;
    ssl_certificate_key @dir@/other.pem;
}
server {
    listen 127.0.0.1:@port@ ssl;
    server_name gallery.example;
    ssl_certificate @dir@/gallery.pem;
    ssl_certificate_key @dir@/gallery.pem;
    # It passes on only what it has in full.
    location / { proxy_pass http://127.0.0.1:9; }
    location = /text { default_type text/plain; return 200 "ü\n"; }
    location = /large { client_max_body_size 2000; proxy_pass http://127.0.0.1:9; }
}
"""


@pytest.fixture(scope="module")
def site() -> t.Iterator[tuple[Path, int]]:
    with tempfile.TemporaryDirectory(prefix="flaskworks-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        for known in ("other", "gallery"):
            SelfSigned(f"{directory}/{known}.pem", [f"{known}.example"]).apply()
        (port,) = free_ports(1)
        with serving(directory, NGINX.replace("@port@", str(port))):
            yield directory, port


def test_each_name_is_asked_for_its_certificate(run_module: Module, site: tuple[Path, int]) -> None:
    directory, port = site
    arguments: dict[str, t.Any] = {"address": "127.0.0.1", "port": port, "scheme": "https"}
    arguments["names"] = ["gallery.example", "other.example"]
    answer = run_module("flask_site_info", certificate=f"{directory}/gallery.pem", **arguments)
    good, refused = answer["handshakes"]
    assert (good["error"], good["version"][:6], good["protocol"]) == (None, "TLSv1.", "http/1.1")
    assert refused["error"]
    assert not answer["changed"]
    answer = run_module("flask_site_info", certificate=f"{directory}/other.pem", **arguments)
    error = answer["handshakes"][0]["error"]
    assert "self-signed" in error.replace("self signed", "self-signed")


def test_a_request_names_its_host_in_the_handshake(
    run_module: Module, site: tuple[Path, int]
) -> None:
    asked = [
        {"kind": "x", "url": f"https://127.0.0.1:{site[1]}{target}", "headers": {"Host": name}}
        for target, name in (
            ("/text", "gallery.example"),
            ("/text?a=b", "gallery.example"),
            ("/text", "other.example"),
        )
    ]
    answer = run_module(
        "flask_site_info",
        address="127.0.0.1",
        port=site[1],
        scheme="https",
        names=["gallery.example"],
        requests=asked,
    )
    good, with_query, refused = answer["responses"]
    for found in (good, with_query):
        assert (found["status"], found["content"], found["content_length"]) == (200, "ü\n", "3")
        assert found["content_type"] == "text/plain"
    assert (refused["status"], bool(refused["msg"])) == (-1, True)
    assert [found["item"] for found in answer["responses"]] == asked


def test_the_app_is_asked_by_its_socket(run_module: Module, tmp_path: Path) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"{self.headers['Host']} {self.path}".encode()
            self.send_response(203)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        # Else it asks the client for an address, which this one has not.
        def log_message(self, *_unused: t.Any) -> None:
            pass

    path = str(tmp_path / "app.sock")
    headers = {"Host": "gallery.example"}
    asked = [
        {"url": "http://localhost/a?b", "unix_socket": path, "headers": headers},
        {"url": "http://localhost/", "unix_socket": f"{path}.gone", "headers": headers},
    ]
    with socketserver.UnixStreamServer(path, Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        answer = run_module(
            "flask_site_info",
            address="127.0.0.1",
            port=9,
            names=["gallery.example"],
            requests=asked,
        )
        server.shutdown()
    found, gone = answer["responses"]
    assert (found["status"], found["content"]) == (203, "gallery.example /a?b")
    assert gone["status"] == -1


def test_a_length_is_enough_to_know_the_limit(run_module: Module, site: tuple[Path, int]) -> None:
    sizes = {("/", 1000): 100, ("/", 1001): 413, ("/large", 2000): 100, ("/large", 2001): 413}
    answer = run_module(
        "flask_site_info",
        address="127.0.0.1",
        port=site[1],
        scheme="https",
        names=["gallery.example"],
        bodies=[{"path": path, "size": size} for path, size in sizes],
    )
    found = {(body["path"], body["size"]): body["status"] for body in answer["bodies"]}
    assert found == sizes
    assert answer["handshakes"] == []


def test_where_nobody_listens_that_is_the_answer(run_module: Module, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    SelfSigned(f"{tmp_path}/a.pem", ["a.example"]).apply()
    for certificate in (f"{tmp_path}/a.pem", f"{tmp_path}/missing.pem"):
        answer = run_module(
            "flask_site_info",
            address="127.0.0.1",
            port=port,
            scheme="https",
            names=["a.example"],
            certificate=certificate,
            bodies=[{"path": "/", "size": 1}],
        )
        assert answer["handshakes"][0]["error"]
        assert (answer["bodies"][0]["status"], bool(answer["bodies"][0]["error"])) == (None, True)
