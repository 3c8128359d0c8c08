"""What is predicted is what Nginx does, on both releases; and a wrong rule is noticed."""

from __future__ import annotations

import os
from collections.abc import Callable

import comparison
import configurations
import nginxes
import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _nginx_config,
    _nginx_headers,
    _nginx_routes,
    _nginx_script,
    _nginx_uri,
)
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

CONFIGURATIONS = int(os.environ.get("DIFFERENTIAL_CONFIGURATIONS", "100"))
REQUESTS = 40
REQUEST_LISTS = st.lists(
    configurations.requests(), min_size=REQUESTS, max_size=REQUESTS, unique_by=str
)


def explore(
    nginx: nginxes.Nginx, place: comparison.Place, examples: int, shrinks: bool = True
) -> comparison.Count:
    """:raises AssertionError: with the first difference, and the smallest configuration that has it."""
    count = comparison.Count()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        # CI tries the same each time: what it refuses, anybody can repeat.
        derandomize=bool(os.environ.get("CI")) or not shrinks,
        phases=[Phase.generate, *([Phase.shrink] if shrinks else [])],
        suppress_health_check=list(HealthCheck),
    )
    @given(configurations.servers(), REQUEST_LISTS)
    def holds(server: configurations.Server, requests: list[configurations.Request]) -> None:
        http = configurations.http_block(server)
        found = comparison.compare(nginx, place, http, requests, count)
        assert not found, "\n".join(map(str, found[:3])) + "\n" + server.text

    holds()
    return count


def test_routes_are_those_of_nginx(
    nginx: nginxes.Nginx, place: comparison.Place, figures: Callable[[str], None]
) -> None:
    count = explore(nginx, place, CONFIGURATIONS)
    figures(f"routes, Nginx {nginx.version}: {count}, differing 0, unknown {count.unknown}")
    # What is said to be unknown can't differ, and must stay rare.
    assert count.unknown * 100 < count.requests


def _patterns_before_preferred_prefixes(patch: pytest.MonkeyPatch) -> None:
    def name(args: list[str]) -> tuple[str, str]:
        modifier, pattern = real(args)
        return ("" if modifier == "^~" else modifier), pattern

    real = _nginx_config._location_name
    patch.setattr(_nginx_config, "_location_name", name)


def _headers_of_all_levels(patch: pytest.MonkeyPatch) -> None:
    def effective(self: _nginx_config.Block, name: str) -> list[_nginx_config.Directive]:
        if name != "add_header" or self.parent is None:
            return real(self, name)
        return [*effective(self.parent, name), *self.own(name)]

    real = _nginx_config.Block.effective
    patch.setattr(_nginx_config.Block, "effective", effective)


def _headers_with_any_status(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_nginx_headers, "SAFE_STATUS", frozenset(range(1000)))


def _alias_is_root(patch: pytest.MonkeyPatch) -> None:
    def root(
        self: _nginx_script.Request,
    ) -> tuple[str, int | None, _nginx_config.Directive | None]:
        path, _length, directive = real(self)
        return path, 0, directive

    real = _nginx_script.Request.root
    patch.setattr(_nginx_script.Request, "root", root)


def _slashes_stay(patch: pytest.MonkeyPatch) -> None:
    real = _nginx_uri.parse
    patch.setattr(_nginx_uri, "parse", lambda target, _merge: real(target, False))


def _no_limit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_nginx_headers, "size", lambda _text: 0)


def _first_prefix(patch: pytest.MonkeyPatch) -> None:
    def search(self: _nginx_routes._Router, locations: list[_nginx_config.Location]) -> str:
        return real(self, sorted(locations, key=lambda one: len(one.pattern))[:1])

    real = _nginx_routes._Router._search_static
    patch.setattr(_nginx_routes._Router, "_search_static", search)


def _internal_is_nothing(patch: pytest.MonkeyPatch) -> None:
    def effective(self: _nginx_config.Block, name: str) -> list[_nginx_config.Directive]:
        return [] if name == "internal" else real(self, name)

    real = _nginx_config.Block.effective
    patch.setattr(_nginx_config.Block, "effective", effective)


def _files_take_posts(patch: pytest.MonkeyPatch) -> None:
    def finalize(self: _nginx_routes._Router, status: int, reason: str) -> object:
        if reason == "a file takes no POST":
            return None
        return real(self, status, reason)

    real = _nginx_routes._Router._finalize
    patch.setattr(_nginx_routes._Router, "_finalize", finalize)


@pytest.mark.parametrize(
    "spoil",
    [
        _patterns_before_preferred_prefixes,
        _headers_of_all_levels,
        _headers_with_any_status,
        _alias_is_root,
        _slashes_stay,
        _no_limit,
        _first_prefix,
        _internal_is_nothing,
        _files_take_posts,
    ],
    ids=lambda spoil: spoil.__name__.strip("_").replace("_", " "),
)
def test_a_wrong_rule_is_noticed(
    spoil: Callable[[pytest.MonkeyPatch], None],
    place: comparison.Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoil(monkeypatch)
    with pytest.raises(AssertionError, match="predicted"):
        explore(nginxes.of_this_machine(), place, CONFIGURATIONS, shrinks=False)
