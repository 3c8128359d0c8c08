"""Healthy hosts give no finding; a fault gives the one finding that an expert would give."""

from __future__ import annotations

from collections.abc import Callable

import machine
import pairs
import pytest
import states
from conftest import Case, Examination, Examinations

HEALTHY = [Case(name, name) for name in machine.SHAPES]
BROKEN = [Case(state.id, state.host, [state]) for state in states.STATES]
PAIRS = [
    Case(f"{first.id}+{second.id}", first.host, [first, second]) for first, second in pairs.PAIRS
]


def cases(of: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", of, ids=lambda case: case.id)


@cases([*BROKEN, *PAIRS])
def test_fault_shows_without_the_collection(examination: Examination) -> None:
    assert not examination.unbroken


@cases([*HEALTHY, *BROKEN, *PAIRS])
def test_findings_are_those_of_an_expert(examination: Examination) -> None:
    assert not examination.unbroken and not examination.failure
    assert examination.report and examination.verdict
    assert examination.verdict.ok, f"{examination.verdict.shown()}\n\n{examination.report.shown()}"


def test_figures(examinations: Examinations, figures: Callable[[str], None]) -> None:
    """Last: counts what the tests before found."""
    for name, of in (("healthy hosts", HEALTHY), ("states", BROKEN), ("pairs of faults", PAIRS)):
        done = [one for one in examinations.done() if one.case in of]
        judged = [one.verdict for one in done if one.verdict]
        right = [verdict for verdict in judged if not verdict.missed]
        placed = [verdict for verdict in right if not verdict.misplaced]
        extra = sum(len(verdict.extra) for verdict in judged)
        figures(
            f"{len(done)} {name}: {len(right)} right id, {len(placed)} right component,"
            f" {extra} extra findings"
        )
