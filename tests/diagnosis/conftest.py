"""Each host, each fault and each pair of faults is examined once, in a container of its own.

Those that are selected are begun side by side when the first is asked for; a test waits for its own.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import diagnose
import machine
import pytest
import states

SIDE_BY_SIDE = int(os.environ.get("DIAGNOSIS_SIDE_BY_SIDE", "3"))


@dataclass(frozen=True)
class Case:
    """A host with no, one or several faults."""

    id: str
    host: str
    faults: Sequence[states.State] = ()


@dataclass
class Examination:
    """What became of a case; each step that failed says why.

    :ivar unbroken: what was wrong with the fault itself, or nothing.
    """

    case: Case
    unbroken: str = ""
    failure: str = ""
    report: diagnose.Report | None = None
    verdict: diagnose.Verdict | None = None


def examine(case: Case) -> Examination:
    examination = Examination(case)
    with machine.healthy(machine.SHAPES[case.host]) as host:
        try:
            for state in case.faults:
                introduce(state, host)
        except machine.MachineError as error:
            examination.unbroken = str(error)
            return examination
        host.put_probe()
        try:
            examination.report = diagnose.diagnose(host, case.faults)
            expected = [state.expected for state in case.faults]
            examination.verdict = diagnose.judge(examination.report, expected, host)
        except Exception:  # noqa: BLE001 - the test of the findings tells it, that of the fault can pass
            examination.failure = traceback.format_exc()
    return examination


def introduce(state: states.State, host: machine.Machine) -> None:
    """Break the host, and have it shown that this changed what visitors or the app get."""
    shows = f"if ( {state.shows}\n); then echo shown; fi"
    if "shown" in host.script(shows):
        raise machine.MachineError(f"{state.id} shows before it is there: {state.shows}")
    host.script(state.breaks)
    if "shown" not in host.script(shows):
        raise machine.MachineError(f"{state.id} does not show: {state.shows}")


class Examinations:
    """Runs those of the session side by side, in the session's order."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._pool = ThreadPoolExecutor(SIDE_BY_SIDE)
        self._futures: dict[str, Future[Examination]] = {}
        for case in cases:
            if case.id not in self._futures:
                self._futures[case.id] = self._pool.submit(examine, case)

    def of(self, case: Case) -> Examination:
        return self._futures[case.id].result()

    def done(self) -> list[Examination]:
        return [future.result() for future in self._futures.values() if future.done()]

    def end(self) -> None:
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def examinations(request: pytest.FixtureRequest) -> Iterator[Examinations]:
    chosen = [
        item.callspec.params["case"]
        for item in request.session.items
        if hasattr(item, "callspec") and "case" in item.callspec.params
    ]
    examinations = Examinations(chosen)
    yield examinations
    examinations.end()


@pytest.fixture
def examination(case: Case, examinations: Examinations) -> Examination:
    return examinations.of(case)


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Takes a line of what the test measured; scripts/run_tests.py prints it."""
    return lambda line: record_property("figures", line)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What a test measured, in the log of a run that passes too."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, line in report.user_properties:
                terminalreporter.write_line(f"{name}: {line}")
