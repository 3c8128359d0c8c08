"""A browser that opens hostile files in every way that a page can, and a listener for what they do."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import hostile
from browser import PATIENCE_SECONDS, Browser
from hosts import SIGNATURE, Probe, Site
from raw_http import Address
from selenium.webdriver.support.wait import WebDriverWait

COOKIE = "visitors-own-secret"
FENCE = "fence"

# A page of the site itself, below its first static URL. The app's own have a policy that would
# hide what the uploads' headers do.
PAGE = f"{hostile.DIRECTORY}/page.html"

# How a page can bring in what lies at a URL; each element is told apart by its query.
EMBED = """
const [urls, ways] = arguments;
const element = (name, values) => Object.assign(document.createElement(name), values);
const make = {
    iframe: url => element('iframe', {src: url}),
    img: url => element('img', {src: url}),
    object: url => element('object', {data: url}),
    embed: url => element('embed', {src: url}),
    script: url => element('script', {src: url}),
    module: url => element('script', {src: url, type: 'module'}),
    stylesheet: url => element('link', {href: url, rel: 'stylesheet'}),
    preload: url => element('link', {href: url, rel: 'modulepreload'}),
    import: url => { import(url).catch(() => {}); return document.createTextNode(''); },
};
for (const url of urls)
    for (const way of ways)
        document.body.append(make[way](url + '?' + way));
"""
WAYS = (
    *("iframe", "img", "object", "embed", "script", "module", "stylesheet", "preload", "import"),
)
# The last request of a page: whatever ran before it has sent its own.
FENCE_OFF = f"new Image().src = 'http://{hostile.BEACON}/{FENCE}?' + arguments[0]"


@dataclass
class Listener:
    """What reached the attacker's own server: the path and the query of each request."""

    requests: list[tuple[str, str]] = field(default_factory=list)
    address: Address = ("", 0)

    def names(self) -> set[str]:
        return {path for path, _ in self.requests if path != FENCE}

    def cookies(self) -> set[str]:
        return {path for path, query in self.requests if COOKIE in query}

    def has_fence(self, mark: str) -> bool:
        return (FENCE, mark) in self.requests


@contextmanager
def listening(site: Address) -> Iterator[Listener]:
    """Listen where this machine is seen from the site.

    Chromium lets no page of another network reach 127.0.0.1: https://wicg.github.io/local-network-access/
    """
    assert isinstance(site, tuple)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        route.connect(site)
        own = route.getsockname()[0]
    listener = Listener()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            listener.requests.append((parts.path.removeprefix("/"), parts.query))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((own, 0), Handler) as server:
        listener.address = (own, server.server_port)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield listener
        server.shutdown()


@dataclass
class Result:
    opened: int = 0
    # Files that set the flag of the page around them.
    flagged: set[str] = field(default_factory=set)


def probes(site: Site) -> list[Probe]:
    content = SIGNATURE + b"<!doctype html><title>A page without a policy</title><p>."
    page = f"{site.static_directory(site.static_urls[0])}/{PAGE}"
    return [Probe(page, content), *hostile.probes(site)]


class Attack:
    """The browser of a visitor who has a cookie of the site's."""

    def __init__(self, browser: Browser, listener: Listener) -> None:
        self.browser, self.listener = browser, listener
        self.page = f"{browser.site.static_urls[0]}{PAGE}"
        browser.open(self.page)
        browser.driver.add_cookie({"name": "visitor", "value": COOKIE})
        # What is attached would else be kept, and asked about.
        browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "deny"})

    def open_each(self, uploads: Sequence[hostile.Upload]) -> Result:
        """By direct navigation, as by a link in a mail."""
        result = Result()
        for upload in uploads:
            self.browser.open(self.page)
            url = upload.url(self.browser.site)
            self._forget()
            self.browser.driver.get(f"http://{self.browser.site.host_name}{url}")
            self._wait_until_over({url})
            if self._flag():
                result.flagged.add(upload.id)
            result.opened += 1
        # Whose policy lets nothing out can't set the fence.
        self.browser.open(self.page)
        self._fence("opened")
        return result

    def embed_all(self, uploads: Sequence[hostile.Upload]) -> Result:
        """In every way that a page of the site itself can, each file on a page of its own."""
        result = Result()
        for upload in uploads:
            self.browser.open(self.page)
            url = upload.url(self.browser.site)
            self._forget()
            self.browser.driver.execute_script(EMBED, [url], WAYS)
            self._wait_until_over({f"{url}?{way}" for way in WAYS})
            self._fence(f"embedded-{result.opened}")
            if self._flag():
                result.flagged.add(upload.id)
            result.opened += len(WAYS)
        return result

    def _flag(self) -> bool:
        return bool(self.browser.driver.execute_script(f"return window.top.{hostile.RAN}"))

    def _forget(self) -> None:
        self.browser.log("performance")

    def _wait_until_over(self, urls: set[str]) -> None:
        """Until each of these has arrived in full, was refused, or became a download."""
        left = set(urls)
        running: dict[str, str] = {}

        def is_over(_driver: object) -> bool:
            for method, event in self.browser.network():
                self._follow(method, event, running, left)
            return not left

        wait = WebDriverWait(self.browser.driver, PATIENCE_SECONDS, poll_frequency=0.05)
        wait.until(is_over, f"not over: {left}")

    def _follow(
        self, method: str, event: dict[str, Any], running: dict[str, str], left: set[str]
    ) -> None:
        if method == "Network.requestWillBeSent":
            parts = urlsplit(event["request"]["url"])
            running[event["requestId"]] = parts.path + (f"?{parts.query}" if parts.query else "")
        elif method in ("Network.loadingFinished", "Network.loadingFailed"):
            left.discard(running.get(event["requestId"], ""))

    def _fence(self, mark: str) -> None:
        self.browser.driver.execute_script(FENCE_OFF, mark)
        wait = WebDriverWait(self.browser.driver, PATIENCE_SECONDS, poll_frequency=0.02)
        wait.until(lambda _driver: self.listener.has_fence(mark), f"no fence {mark}")
