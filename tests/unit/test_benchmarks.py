"""What benchmarks calculate, since what they measure is none of the tests."""

from __future__ import annotations

import importlib.util
import sys
import typing as t
from pathlib import Path

import pytest

MAIN = Path(__file__).resolve().parents[2] / "benchmarks" / "tree_permissions" / "__main__.py"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> t.Any:
    spec = importlib.util.spec_from_file_location("tree_permissions_benchmark", MAIN)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_the_start_of_a_program_is_not_multiplied(benchmark: t.Any) -> None:
    start, part = (0.5, 0.25, 30.0), (1.5, 1.25, 31.0)
    assert benchmark.of_whole(start, part, 10.0) == (10.5, 10.25, 31.0)
    assert benchmark.of_whole(start, part, 1.0) == part
