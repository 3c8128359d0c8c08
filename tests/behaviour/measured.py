"""What a test measured: to be imported by a conftest.py, as pytest finds fixtures and hooks there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """In the log of a run that passes too."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, line in report.user_properties:
                terminalreporter.write_line(f"{name}: {line}")


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Takes a line of what the test measured; scripts/run_tests.py prints it."""
    return lambda line: record_property("figures", line)
