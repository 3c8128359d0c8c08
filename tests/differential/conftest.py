"""Make the collection importable, by the checkout's link, and share what behaviour tests have."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

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
from measured import figures, pytest_terminal_summary

__all__ = ["figures", "pytest_terminal_summary"]


@pytest.fixture(scope="session", params=["debian12", "debian13"])
def nginx(request: pytest.FixtureRequest) -> nginxes.Nginx:
    return nginxes.of_this_machine() if request.param == "debian12" else nginxes.of_debian13()


@pytest.fixture(scope="session")
def place() -> Iterator[comparison.Place]:
    with comparison.Place() as place:
        yield place
