"""What is predicted is what Nginx does, on both releases."""

from __future__ import annotations

import os
from collections.abc import Callable

import comparison
import configurations
import nginxes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CONFIGURATIONS = int(os.environ.get("DIFFERENTIAL_CONFIGURATIONS", "120"))
REQUESTS = 40


def test_routes_are_those_of_nginx(
    nginx: nginxes.Nginx, place: comparison.Place, figures: Callable[[str], None]
) -> None:
    count = comparison.Count()

    @settings(
        max_examples=CONFIGURATIONS,
        deadline=None,
        derandomize=bool(os.environ.get("CI")),
        suppress_health_check=list(HealthCheck),
    )
    @given(
        configurations.servers(),
        st.lists(configurations.requests(), min_size=REQUESTS, max_size=REQUESTS, unique_by=str),
    )
    def property_holds(
        server: configurations.Server, requests: list[configurations.Request]
    ) -> None:
        http = configurations.http_block(server)
        found = comparison.compare(nginx, place, http, requests, count)
        assert not found, "\n".join(map(str, found[:3])) + "\n" + server.text

    property_holds()
    figures(f"Nginx {nginx.version}: {count}, differing 0")
