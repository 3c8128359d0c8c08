"""Thousands of raw requests that try to climb out of the delivered roots of a deployed site."""

from __future__ import annotations

from collections.abc import Callable

import corpus
import hosts


def test_no_byte_from_outside_the_roots(
    probes: None, site: hosts.Site, host: hosts.Host, figures: Callable[[str], None]
) -> None:
    requests = corpus.requests(site)
    assert len(requests) == len(set(requests)) >= 10_000
    hidden = {f"{site.url_prefix}static/.env", f"{site.url_prefix}media/.git/config"}
    assert hidden <= set(requests)
    result = corpus.run(site, host, requests)
    figures(f"{site.host_name}: {result}")
    assert result.requests == len(requests)
    assert result.leaks == []
