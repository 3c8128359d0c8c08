"""A site over TLS, with uploads in a domain of their own: what browsers and others get of it.

TLS_CERTIFICATE       on the host, the file with the certificate that the site has to present
TLS_CERTIFICATE_KEY   on the host, the file with its key
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hosts
import play
import pytest
import uploads
from PIL import Image
from raw_http import NGINX_ETAG, Connection, Response, read_response
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

MEDIA = "gallery-media.example.net"
HSTS = "max-age=31536000"
SANDBOX = "default-src 'none'; sandbox; frame-ancestors 'none'"
PICTURE, PAGE, PDF = "tls-probe.png", "tls-probe.html", "tls-probe.pdf"
APP_LIMIT = 16 * 1024 * 1024
UPLOAD_LIMIT = 32 * 1024 * 1024
# Beyond the app's, beyond Nginx's of the site, and beyond that of the upload URL.
TOO_LARGE = (APP_LIMIT + 1, 24 * 1024 * 1024, UPLOAD_LIMIT + 1)
PATIENCE_SECONDS = 30
BURST = 60


def red_pdf() -> bytes:
    """One page, which is all red."""
    drawing = b"1 0 0 rg 0 0 600 800 re f"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R >>",
        b"<< /Length %d >>\nstream\n" % len(drawing) + drawing + b"\nendstream",
    ]
    text, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(text))
        text += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return (
        text
        + b"xref\n0 5\n0000000000 65535 f \n"
        + table
        + b"trailer << /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(text)
    )


PROBES = {
    # Those that a former run left may be overwritten, by their first bytes.
    PICTURE: uploads.picture(640, 480),
    PAGE: hosts.SIGNATURE + b"<script>document.title = 'ran'</script>",
    PDF: red_pdf(),
}


@pytest.fixture(scope="session")
def certificate(host: hosts.Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate that is on the host: nothing else is trusted."""
    whole = host.read(os.environ["TLS_CERTIFICATE"]).decode()
    found = re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", whole, re.DOTALL)
    assert found is not None
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_text(found[0])
    return path


@pytest.fixture(scope="session")
def trust(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificate))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


@pytest.fixture(scope="session", autouse=True)
def probes(site: hosts.Site, host: hosts.Host) -> None:
    present = [
        hosts.Probe(f"{site.media_root}/{name}", body, by_app=True) for name, body in PROBES.items()
    ]
    host.place(present, site.app_user)


def address(site: hosts.Site, port: int) -> tuple[str, int]:
    assert isinstance(site.address, tuple)
    return site.address[0], port


Ask = Callable[..., Response]


@pytest.fixture
def ask(site: hosts.Site, trust: ssl.SSLContext) -> Ask:
    def ask(
        target: str, name: str = site.host_name, method: str = "GET", **headers: str
    ) -> Response:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        with Connection(address(site, 443), name, tls=trust) as connection:
            return connection.request(method, target, named)

    return ask


def curl(site: hosts.Site, certificate: Path, name: str, target: str, *options: str) -> list[str]:
    """Ask as a client that speaks HTTP/2; the protocol's version and the status."""
    ip = address(site, 443)[0]
    command = ["curl", "--silent", "--noproxy", "*", "--cacert", str(certificate)]
    command += ["--resolve", f"{name}:443:{ip}", "--output", "/dev/null"]
    command += ["--write-out", "%{http_version} %{response_code}", *options]
    done = subprocess.run(
        [*command, f"https://{name}{target}"], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


NAMES = ("gallery.example.com", "www.gallery.example.com", MEDIA)


@pytest.mark.parametrize("name", NAMES)
def test_each_name_presents_the_certificate(site: hosts.Site, certificate: Path, name: str) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(["h2", "http/1.1"])
    with Connection(address(site, 443), name, tls=context) as connection:
        connection._open()
        stream = connection._socket
        assert isinstance(stream, ssl.SSLSocket)
        assert (stream.version(), stream.selected_alpn_protocol()) == ("TLSv1.3", "h2")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_tls_is_refused(site: hosts.Site) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # Without it OpenSSL itself would not offer them.
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    connection = Connection(address(site, 443), site.host_name, tls=context)
    with connection, pytest.raises((ssl.SSLError, ConnectionError)):
        connection.request("GET", "/")


@pytest.mark.parametrize(
    ("name", "target", "status"),
    [
        (NAMES[0], "/", "200"),
        (NAMES[0], "/static/css/gallery.css", "200"),
        (MEDIA, f"/media/{PICTURE}", "200"),
    ],
)
def test_http_2_is_spoken(
    site: hosts.Site, certificate: Path, name: str, target: str, status: str
) -> None:
    assert curl(site, certificate, name, target, "--http2") == ["2", status]
    assert curl(site, certificate, name, target, "--http1.1") == ["1.1", status]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_plain_http_leads_to_https(site: hosts.Site, name: str, method: str) -> None:
    with Connection(address(site, 80), name) as connection:
        response = connection.request(method, "/a%20b?c=d")
    assert (response.status, response.first("Location")) == (308, f"https://{name}/a%20b?c=d")
    # Browsers don't heed it over plain HTTP, and RFC 6797, 7.2 forbids it.
    assert response.all("Strict-Transport-Security") == []


def test_challenges_are_answered_where_they_are_asked_for(
    site: hosts.Site, host: hosts.Host
) -> None:
    has_root = b"acme-challenge" in host.read("/etc/nginx/conf.d/gallery.conf")
    with Connection(address(site, 80), site.host_name) as connection:
        response = connection.request("GET", "/.well-known/acme-challenge/token")
    assert (response.status, response.body) == (
        (200, b"answer") if has_root else (308, response.body)
    )


@pytest.mark.parametrize(
    ("name", "target", "status", "headers"),
    [
        (NAMES[0], "/", 200, {}),
        (NAMES[0], "/about", 200, {}),
        (NAMES[0], "/nothing", 404, {}),
        (NAMES[0], "/static/css/gallery.css", 200, {}),
        (NAMES[0], "/static/css/gallery.css", 206, {"Range": "bytes=0-3"}),
        (NAMES[0], "/static/nothing.css", 404, {}),
        (NAMES[0], f"/media/{PICTURE}", 301, {}),
        (MEDIA, f"/media/{PICTURE}", 200, {}),
        (MEDIA, f"/media/{PDF}", 200, {}),
        (MEDIA, f"/media/{PAGE}", 200, {}),
        (MEDIA, f"/media/{PICTURE}", 206, {"Range": "bytes=0-3"}),
        (MEDIA, "/media/nothing.png", 404, {}),
        (MEDIA, "/", 404, {}),
    ],
)
def test_every_answer_tells_browsers_to_come_by_https(
    ask: Ask, name: str, target: str, status: int, headers: dict[str, str]
) -> None:
    response = ask(target, name, **headers)
    assert response.status == status
    assert response.all("Strict-Transport-Security") == [HSTS]


@pytest.mark.parametrize(
    ("name", "target"), [(NAMES[0], "/static/css/gallery.css"), (MEDIA, f"/media/{PICTURE}")]
)
def test_a_304_tells_it_too(ask: Ask, name: str, target: str) -> None:
    etag = ask(target, name).first("ETag")
    response = ask(target, name, If_None_Match=etag)
    assert (response.status, response.all("Strict-Transport-Security")) == (304, [HSTS])


def test_cookies_are_sent_over_tls_alone(ask: Ask) -> None:
    (cookie,) = ask("/upload").all("Set-Cookie")
    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= {part.strip() for part in cookie.split(";")}


def test_an_old_link_ends_at_the_right_bytes(ask: Ask, figures: Callable[[str], None]) -> None:
    for name, body in PROBES.items():
        moved = ask(f"/media/{name}")
        there = urlsplit(moved.first("Location"))
        assert (moved.status, there.scheme, there.netloc) == (301, "https", MEDIA)
        found = ask(there.path, MEDIA)
        assert (found.status, found.body) == (200, body)
    figures(f"{len(PROBES)} old links led to {MEDIA}, with the right bytes")


def test_the_media_domain_has_public_uploads_and_nothing_else(ask: Ask) -> None:
    picture, page = ask(f"/media/{PICTURE}", MEDIA), ask(f"/media/{PAGE}", MEDIA)
    assert NGINX_ETAG.fullmatch(picture.first("ETag"))
    for response in (picture, page, ask("/media/nothing.png", MEDIA)):
        assert response.all("Content-Security-Policy") == [SANDBOX]
        assert response.all("X-Content-Type-Options") == ["nosniff"]
        assert response.all("Cross-Origin-Resource-Policy") == ["cross-origin"]
    assert page.all("Content-Disposition") == ["attachment"]
    for target in (
        "/",
        "/upload",
        "/about",
        "/static/css/gallery.css",
        "/media",
        "/media/",
        "/media/.env",
    ):
        response = ask(target, MEDIA)
        assert response.status == 404, target
        assert b"nginx" in response.body
        assert response.all("Set-Cookie") == []


def test_a_pdf_has_a_policy_without_a_sandbox(ask: Ask) -> None:
    response = ask(f"/media/{PDF}", MEDIA)
    assert response.all("Content-Type") == ["application/pdf"]
    assert response.all("Content-Disposition") == []
    (policy,) = response.all("Content-Security-Policy")
    assert "sandbox" not in policy
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy


@pytest.fixture(scope="module")
def browser(
    site: hosts.Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[webdriver.Chrome]:
    ip = address(site, 443)[0]
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--no-proxy-server",
        "--window-size=800,600",
        # Its own list of authorities is all that it can be told of.
        "--ignore-certificate-errors",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
        f"--host-resolver-rules=MAP {site.host_name} {ip},MAP {MEDIA} {ip}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


def sent_cookies(driver: webdriver.Chrome) -> dict[str, str]:
    """The Cookie header of each request since the last call, by URL."""
    urls, cookies = {}, {}
    entries: list[dict[str, Any]] = driver.get_log("performance")  # type: ignore[no-untyped-call]
    for entry in entries:
        message = json.loads(entry["message"])["message"]
        params = message["params"]
        if message["method"] == "Network.requestWillBeSent":
            urls[params["requestId"]] = params["request"]["url"]
        elif message["method"] == "Network.requestWillBeSentExtraInfo":
            named = {key.lower(): value for key, value in params["headers"].items()}
            cookies[params["requestId"]] = named.get("cookie", "")
    return {urls[key]: value for key, value in cookies.items() if key in urls}


def test_a_page_of_the_site_shows_a_picture_of_the_media_domain(
    browser: webdriver.Chrome, site: hosts.Site, host: hosts.Host, tmp_path: Path
) -> None:
    (tmp_path / "picture.png").write_bytes(uploads.picture(960, 640))
    before = set(host.hash_tree(site.media_root))
    browser.get(f"https://{site.host_name}/upload")
    browser.find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(
        str(tmp_path / "picture.png")
    )
    browser.find_element(By.CSS_SELECTOR, "form [type=submit]").click()
    wait = WebDriverWait(browser, PATIENCE_SECONDS)
    shown = "const i = document.querySelector('a[href*=\"/media/\"] img'); return i && i.naturalWidth > 0 && i.src"
    source = wait.until(lambda driver: driver.execute_script(shown))
    host.placed += sorted(set(host.hash_tree(site.media_root)) - before)
    assert urlsplit(source).netloc == MEDIA
    assert browser.get_cookie("session") is not None
    cookies = sent_cookies(browser)
    assert any("session=" in value for url, value in cookies.items() if MEDIA not in url)
    there = {url: value for url, value in cookies.items() if urlsplit(url).netloc == MEDIA}
    assert set(there.values()) == {""}
    errors: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert [entry["message"] for entry in errors if entry["level"] == "SEVERE"] == []


def test_a_pdf_is_shown(browser: webdriver.Chrome) -> None:
    browser.get(f"https://{MEDIA}/media/{PDF}")

    def is_red(driver: webdriver.Chrome) -> bool:
        """Whether most of the middle is: the viewer has bars of its own around it."""
        picture = Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")
        width, height = picture.size
        red, green, blue = (
            picture.crop((width // 3, height // 2, width // 2, height)).resize((1, 1)).split()
        )
        return red.getextrema()[0] > 150 > green.getextrema()[1] + blue.getextrema()[1]  # type: ignore[operator]

    WebDriverWait(browser, PATIENCE_SECONDS).until(is_red)


def test_an_uploaded_page_is_a_download_and_runs_nothing(browser: webdriver.Chrome) -> None:
    browser.get("about:blank")
    browser.get(f"https://{MEDIA}/media/{PAGE}")
    assert browser.title != "ran"


def send(
    site: hosts.Site, trust: ssl.SSLContext, target: str, size: int, is_chunked: bool
) -> tuple[int, str, bytes]:
    """Send a body in full, unless the answer comes before; status, HSTS and page."""
    with Connection(address(site, 443), site.host_name, tls=trust) as connection:
        connection._open()
        stream, reader = connection._socket, connection._reader
        assert stream is not None and reader is not None
        length = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {size}"
        head = f"POST {target} HTTP/1.1\r\nHost: {site.host_name}\r\n{length}\r\nConnection: close\r\n\r\n"
        block = bytes(1 << 20)
        try:
            stream.sendall(head.encode())
            for start in range(0, size, len(block)):
                part = block[: size - start]
                stream.sendall(b"%x\r\n" % len(part) + part + b"\r\n" if is_chunked else part)
            if is_chunked:
                stream.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            # It said so before it had all of it, which is there to read.
            pass
        response, _unused = read_response(reader, "POST")
    return response.status, response.first("Strict-Transport-Security"), response.body


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("size", TOO_LARGE)
@pytest.mark.parametrize(
    ("target", "status", "words"),
    [("/upload", 413, b"Too much for one upload"), ("/about", 405, b"Not this way")],
)
def test_what_is_too_large_gets_the_apps_own_page(
    site: hosts.Site,
    trust: ssl.SSLContext,
    target: str,
    status: int,
    words: bytes,
    size: int,
    is_chunked: bool,
) -> None:
    answer, hsts, page = send(site, trust, target, size, is_chunked)
    assert (answer, hsts) == (status, HSTS)
    assert words in page


@pytest.mark.parametrize("size", TOO_LARGE)
def test_by_http_2_too(site: hosts.Site, certificate: Path, tmp_path: Path, size: int) -> None:
    body, page = tmp_path / "body", tmp_path / "page"
    body.write_bytes(bytes(size))
    ip = address(site, 443)[0]
    done = subprocess.run(
        [
            "curl",
            "--silent",
            "--noproxy",
            "*",
            "--http2",
            "--cacert",
            str(certificate),
            "--resolve",
            f"{site.host_name}:443:{ip}",
            "--data-binary",
            f"@{body}",
            "--output",
            str(page),
            "--write-out",
            "%{http_version} %{response_code}",
            f"https://{site.host_name}/upload",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["2", "413"], done
    assert b"Too much for one upload" in page.read_bytes()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"flask_site_ssl_certificate": "/etc/ssl/nothing.pem"},
            ["flask_site_ssl_certificate is", "there is no such file"],
        ),
        (
            {"flask_site_domains": ["gallery.example.com", "gallery.example.org"]},
            ["flask_site_ssl_certificate is", "browsers refuse it for gallery.example.org"],
        ),
    ],
    ids=["missing", "name"],
)
def test_a_certificate_that_will_not_do_changes_nothing(
    control: play.Control, variables: dict[str, Any], words: list[str]
) -> None:
    own = {
        "flask_site_ssl_self_signed": False,
        "flask_site_ssl_certificate": os.environ["TLS_CERTIFICATE"],
        "flask_site_ssl_certificate_key": os.environ["TLS_CERTIFICATE_KEY"],
    }
    before = control.snapshot()
    done = control.run("site", **{**own, **variables})
    assert done.returncode != 0, done.output
    said = re.sub(r"\s+", " ", done.output)
    assert [word for word in words if word not in said] == [], done.output
    assert control.snapshot() == before


# The last, since this address is refused for a while then.
def test_uploads_are_counted_and_visits_are_not(
    site: hosts.Site, trust: ssl.SSLContext, figures: Callable[[str], None]
) -> None:
    with Connection(address(site, 443), site.host_name, tls=trust) as connection:
        statuses = [connection.request("POST", "/upload").status for _unused in range(2 * BURST)]
        assert {connection.request("GET", "/upload").status for _unused in range(20)} == {200}
        assert connection.request("POST", "/about").status == 405
    refused = statuses.count(429)
    # Those that came before it are counted too, and one a second is let in again.
    assert 1 <= refused <= BURST
    assert statuses[-1] == 429 or 429 in statuses[BURST:]
    assert set(statuses) == {400, 429}
    figures(
        f"{2 * BURST} uploads at once: {statuses.count(400)} came to the app, {refused} got 429"
    )
