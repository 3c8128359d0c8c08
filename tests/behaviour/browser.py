"""Chromium on this machine, and what it said of each page."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hosts
from raw_http import NGINX_ETAG, Address
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

PATIENCE_SECONDS = 30
SHOWN = "return arguments[0].complete && arguments[0].naturalWidth > 0"


def program(*names: str) -> str:
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    raise FileNotFoundError(f"{names[0]} is not on this machine; install Debian's chromium-driver")


def _authority(address: Address) -> str:
    assert isinstance(address, tuple), "a browser has no way to a unix socket"
    ip, port = address
    return f"{ip}:{port}"


class Browser:
    """Chromium, with what it said of each page: all responses, and the console."""

    def __init__(
        self, site: hosts.Site, profile: Path, names: Mapping[str, Address] | None = None
    ) -> None:
        """``names``: where it finds other hosts than the site, by their names."""
        addresses = {site.host_name: site.address, **(names or {})}
        rules = ", ".join(f"MAP {name} {_authority(to)}" for name, to in addresses.items())
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
            f"--host-resolver-rules={rules}",
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
        for method, event in self.network():
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
            for entry in self.log("browser")
            # Chromium centres a picture that is opened by itself with inline styles; the sandbox
            # of media refuses them, and the picture is shown none the less.
            if entry["level"] == "SEVERE"
            and not ("inline style" in entry["message"] and self.site.media_url in entry["message"])
        ]
        assert errors == []
        return seen

    def log(self, kind: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]
        return entries

    def network(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for entry in self.log("performance"):
            message = json.loads(entry["message"])["message"]
            yield message["method"], message["params"]
