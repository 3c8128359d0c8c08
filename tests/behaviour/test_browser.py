"""A visitor with a real browser: looks around, uploads a picture, sees it, opens the original."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import contract
import hosts
import pytest
import uploads
from raw_http import NGINX_ETAG
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

PATIENCE_SECONDS = 30
SHOWN = "return arguments[0].complete && arguments[0].naturalWidth > 0"
WALL = "a[href^='/media/'] img"


def program(*names: str) -> str:
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    raise FileNotFoundError(f"{names[0]} is not on this machine; install Debian's chromium-driver")


class Browser:
    """Chromium, with what it said of each page: all responses, and the console."""

    def __init__(self, site: hosts.Site, profile: Path) -> None:
        assert isinstance(site.address, tuple)
        ip, port = site.address
        options = webdriver.ChromeOptions()
        options.binary_location = program("chromium", "chromium-browser", "google-chrome")
        for argument in (
            "--headless=new",
            # Chromium refuses its sandbox to root, and a container's /dev/shm is too small.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--no-proxy-server",
            "--window-size=1280,900",
            f"--user-data-dir={profile}",
            f"--host-resolver-rules=MAP {site.host_name} {ip}:{port}",
        ):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        service = webdriver.ChromeService(executable_path=program("chromedriver"))
        self.site = site
        self.driver = webdriver.Chrome(options=options, service=service)

    def open(self, path: str) -> None:
        self.driver.get(f"http://{self.site.host_name}{path}")

    def wait_for(self, selector: str) -> WebElement:
        wait = WebDriverWait(self.driver, PATIENCE_SECONDS)
        return wait.until(lambda driver: driver.find_element(By.CSS_SELECTOR, selector))

    def wait_until_shown(self, image: WebElement) -> None:
        wait = WebDriverWait(self.driver, PATIENCE_SECONDS)
        wait.until(lambda driver: driver.execute_script(SHOWN, image))

    def screenshot(self, name: str) -> None:
        directory = os.environ.get("SCREENSHOT_DIR")
        if directory:
            Path(directory).mkdir(parents=True, exist_ok=True)
            assert self.driver.save_screenshot(str(Path(directory) / f"{name}.png"))

    def assert_no_complaint(self) -> list[str]:
        """Every part of the pages since the last call came, files from Nginx; the paths."""
        delivered = (*self.site.static_urls, self.site.media_url)
        requested: dict[str, str] = {}
        seen = []
        for method, event in self._network():
            if method == "Network.requestWillBeSent":
                requested[event["requestId"]] = event["request"]["url"]
            elif method == "Network.loadingFailed":
                # Chromium asks for things of its own; and what the next page made needless is
                # no fault.
                url = requested.get(event["requestId"])
                assert url is None or event.get("canceled"), f"{url}: {event}"
            elif method == "Network.responseReceived":
                response = event["response"]
                path = urlsplit(response["url"]).path
                seen.append(path)
                headers = {name.lower(): value for name, value in response["headers"].items()}
                assert 200 <= response["status"] < 400, f"{path}: {response['status']}"
                if path.startswith(delivered):
                    assert NGINX_ETAG.fullmatch(headers.get("etag", "")), f"{path}: {headers}"
        errors = [
            entry["message"]
            for entry in self._log("browser")
            # Chromium centres a picture that is opened by itself with inline styles; the sandbox
            # of media refuses them, and the picture is shown none the less.
            if entry["level"] == "SEVERE"
            and not ("inline style" in entry["message"] and self.site.media_url in entry["message"])
        ]
        assert errors == []
        return seen

    def _log(self, kind: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]
        return entries

    def _network(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for entry in self._log("performance"):
            message = json.loads(entry["message"])["message"]
            yield message["method"], message["params"]


@pytest.fixture(scope="module")
def browser(site: hosts.Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(site, tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.driver.quit()


def test_the_pages_and_all_their_parts_arrive(browser: Browser, site: hosts.Site) -> None:
    for path in ("/", "/about", "/upload"):
        browser.open(path)
        browser.wait_for("footer")
        browser.screenshot("page" + path.replace("/", "-").rstrip("-"))
    seen = browser.assert_no_complaint()
    for url in site.static_urls:
        assert any(path.startswith(url) for path in seen), f"no page uses {url}"


def test_an_upload_is_shown_from_media(
    browser: Browser, site: hosts.Site, host: hosts.Host, tmp_path: Path
) -> None:
    sent = uploads.picture(960, 640)
    (tmp_path / "picture.png").write_bytes(sent)
    before = uploads.Visitor(site).media()

    browser.open("/upload")
    browser.wait_for("input[type=file]").send_keys(str(tmp_path / "picture.png"))
    browser.wait_for("form [type=submit]").click()
    thumbnail = browser.wait_for(WALL)
    browser.wait_until_shown(thumbnail)
    browser.screenshot("uploaded")

    new = uploads.Visitor(site).media() - before
    host.placed += [site.media_root + "/" + url.removeprefix(site.media_url) for url in new]
    source = urlsplit(thumbnail.get_attribute("src") or "").path
    link = thumbnail.find_element(By.XPATH, "ancestor::a").get_attribute("href") or ""
    original = urlsplit(link).path
    assert {source, original} == new
    browser.assert_no_complaint()

    browser.open(original)
    browser.wait_until_shown(browser.wait_for("img"))
    browser.screenshot("original")
    browser.assert_no_complaint()

    with site.connection() as connection:
        for url in new:
            response = connection.request("GET", url)
            assert response.nginx_served_a_file, response
            for name, pattern in contract.MEDIA_FOUND.items():
                assert re.fullmatch(pattern, response.first(name)), f"{url}: {response}"
    assert uploads.fetch(site, original) == sent
