"""What behaviour tests themselves stand on: runs of playbooks that are read, figures that are told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import play
import pytest

# As ansible-core prints them for a terminal: what is 0 has no colour.
FAILED_RECAP = (
    "\x1b[0;31mweb1\x1b[0m                       : \x1b[0;32mok=12  \x1b[0m \x1b[0;33mchanged=3   \x1b[0m"
    " unreachable=0    \x1b[0;31mfailed=1   \x1b[0m \x1b[0;36mskipped=4   \x1b[0m rescued=0    ignored=0"
)
RECAP = "web1 : ok=12 changed=3    unreachable=0    failed=0    skipped=4 rescued=0 ignored=0"

MEASURED = """
def test_it(figures):
    figures("42 pages a second")
"""


@pytest.mark.parametrize("recap", [RECAP, FAILED_RECAP])
def test_the_recap_of_a_run_is_read(recap: str) -> None:
    assert play.Run(2, f"PLAY RECAP ***\n{recap}\n", None).changed == 3


def test_the_tasks_that_change_are_read() -> None:
    output = "\nTASK [a : One] ***\nok: [web1]\n\nTASK [a : Two] ***\nchanged: [web1] => (item=x)\n"
    assert play.Run(0, output, None).changed_tasks == {"a : Two"}


def test_what_a_run_says_has_no_colours() -> None:
    assert play.Run(2, "\x1b[1;31mfatal\x1b[0m: [web1]", None).output == "fatal: [web1]"


def test_figures_get_into_the_result_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "test_measured.py").write_text(MEASURED)
    result = tmp_path / "result.xml"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-W", "error", "-p", "conftest"),
            *("-o", f"cache_dir={tmp_path}"),
            *(f"--junitxml={result}", "-c", play.CHECKOUT / "pyproject.toml", tmp_path),
        ],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "figures: 42 pages a second" in done.stdout
    # As scripts/run_tests.py reads it.
    found = ElementTree.parse(result).getroot().iterfind(".//property[@name='figures']")
    assert [element.get("value") for element in found] == ["42 pages a second"]
