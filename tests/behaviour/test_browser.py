"""A visitor with a real browser: looks around, uploads a picture, sees it, opens the original."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import contract
import hosts
import pytest
import uploads
from browser import Browser
from selenium.webdriver.common.by import By

WALL = "a[href^='/media/'] img"


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
