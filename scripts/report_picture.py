"""Make the picture of a report that the README shows: ``report_picture.py REPORT.json [PICTURE.png]``.

The page of the report is rendered anew by Chromium, from its head to the last request that does not
arrive (of a healthy host, to the first that does). Needs what scripts/test_machine.py installs.
"""

from __future__ import annotations

import base64
import io
import json
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from selenium import webdriver

ROOT = Path(__file__).resolve().parent.parent
# Where control_env.py has linked this checkout as an installed collection
sys.path.insert(0, str(ROOT / ".ansible" / "collections"))

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _report_html,
)

PICTURE = ROOT / "docs" / "images" / "report.png"
WIDTH = 1160
# Of the screens that show a README
SCALE = 1.5
# A page of text has few colours; what antialiasing adds is hardly seen.
COLOURS = 128
MOST_BYTES = 200_000

BOTTOM = """
const bad = document.querySelectorAll("figure:has(.head > p.fail)");
const last = [...bad].pop() || document.querySelector("figure") || document.body;
return last.getBoundingClientRect().bottom + window.scrollY;
"""


def browser(profile: str) -> webdriver.Chrome:
    """Return Chromium without a window."""
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    driver = shutil.which("chromedriver")
    if not any(found) or not driver:
        raise SystemExit("There is no Chromium here: run scripts/test_machine.py.")
    options = webdriver.ChromeOptions()
    options.binary_location = next(path for path in found if path)
    for argument in (
        "--headless=new",
        # Chromium refuses its sandbox to root, and a container's /dev/shm is too small.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--no-proxy-server",
        "--hide-scrollbars",
        f"--window-size={WIDTH},900",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def picture(page: Path, profile: str) -> Image.Image:
    """Return a page as Chromium shows it, by day."""
    driver = browser(profile)
    try:
        light = [{"name": "prefers-color-scheme", "value": "light"}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": light})
        metrics = {"width": WIDTH, "height": 900, "deviceScaleFactor": SCALE, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        driver.get(page.as_uri())
        height = float(driver.execute_script(BOTTOM)) + 7
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": height, "scale": 1}
        shot = driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
        )
    finally:
        driver.quit()
    return Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")


def main(arguments: list[str]) -> None:
    if len(arguments) not in (1, 2):
        raise SystemExit(__doc__)
    report = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    target = Path(arguments[1]) if arguments[1:] else PICTURE
    with tempfile.TemporaryDirectory(prefix="flaskworks-picture-") as directory:
        page = Path(directory, "report.html")
        page.write_text(_report_html.page(report), encoding="utf-8")
        shown = picture(page, str(Path(directory, "profile")))
    few = shown.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(target, optimize=True)
    size = target.stat().st_size
    print(f"{target}: {few.width} x {few.height}, {size:,} bytes")
    if size > MOST_BYTES:
        raise SystemExit(
            f"That is more than {MOST_BYTES:,} bytes: take a report with fewer faults."
        )


if __name__ == "__main__":
    main(sys.argv[1:])
