"""Make the collection importable, by the checkout's link, and share what behaviour tests have."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/behaviour"))

import pytest
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
from hypothesis import settings

settings.register_profile("everywhere", deadline=None)
settings.load_profile("everywhere")
_AnsibleCollectionFinder(paths=[str(ROOT / ".ansible/collections")])._install()

import comparison
import nginxes


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, line in report.user_properties:
                terminalreporter.write_line(f"{name}: {line}")


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Takes a line of what the test measured; scripts/run_tests.py prints it."""
    return lambda line: record_property("figures", line)


@pytest.fixture(scope="session", params=["debian12", "debian13"])
def nginx(request: pytest.FixtureRequest) -> nginxes.Nginx:
    return nginxes.of_this_machine() if request.param == "debian12" else nginxes.of_debian13()


@pytest.fixture(scope="session")
def place() -> Iterator[comparison.Place]:
    with comparison.Place() as place:
        yield place
