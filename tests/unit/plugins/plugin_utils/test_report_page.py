"""The page as Chromium has it: with its own style, and without a word of complaint."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _report_html
from selenium import webdriver

from scripts import report_picture
from tests.unit.plugins.plugin_utils.test_report_html import hostile
from tests.unit.reports import faulty

HOSTILE = "x</style></pre>'\"><script>document.title='run'</script><img src=x onerror=alert(1)>x"
STYLE_OF = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[webdriver.Chrome]:
    driver = report_picture.browser(str(tmp_path_factory.mktemp("profile")))
    yield driver
    driver.quit()


def opened(
    chromium: webdriver.Chrome, directory: Path, report: dict[str, t.Any], width: int = 1160
) -> None:
    page = directory / "report.html"
    page.write_text(_report_html.page(report), encoding="utf-8")
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    chromium.get(page.as_uri())


def complaints(chromium: webdriver.Chrome) -> list[t.Any]:
    entries: list[t.Any] = chromium.get_log("browser")  # type: ignore[no-untyped-call]
    return entries


@pytest.mark.parametrize(
    ("scheme", "colour"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(23, 27, 34)")]
)
def test_its_own_policy_lets_its_style_through(
    chromium: webdriver.Chrome, tmp_path: Path, scheme: str, colour: str
) -> None:
    preferred = [{"name": "prefers-color-scheme", "value": scheme}]
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": preferred})
    opened(chromium, tmp_path, faulty())
    assert complaints(chromium) == []
    assert chromium.execute_script(STYLE_OF, ".step.stop", "borderTopStyle") == "solid"
    assert chromium.execute_script(STYLE_OF, ".step.beyond", "borderTopStyle") == "dashed"
    assert chromium.execute_script(STYLE_OF, ".card", "backgroundColor") == colour
    # Icons are drawn once and shown from there.
    drawn = "return document.querySelector('h1 use').getBoundingClientRect().width"
    assert chromium.execute_script(drawn) > 10


@pytest.mark.parametrize("width", [360, 1160])
def test_it_fits_a_telephone_too(chromium: webdriver.Chrome, tmp_path: Path, width: int) -> None:
    opened(chromium, tmp_path, faulty(), width)
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= width


def test_a_hostile_name_runs_nothing(chromium: webdriver.Chrome, tmp_path: Path) -> None:
    opened(chromium, tmp_path, hostile(HOSTILE))
    assert complaints(chromium) == []
    made = "return document.scripts.length + document.images.length"
    assert chromium.execute_script(made) == 0
    assert HOSTILE in chromium.execute_script("return document.body.textContent")
    assert chromium.title.startswith(HOSTILE)
