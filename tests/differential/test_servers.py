"""Which server block answers: by socket, then by name."""

from __future__ import annotations

import os
from collections.abc import Callable

import comparison
import nginxes
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _nginx_config,
    _nginx_routes,
)
from configurations import Draw
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_http import request

CONFIGURATIONS = int(os.environ.get("DIFFERENTIAL_SERVERS", "60"))
LISTENS = ("127.0.0.1:{port}", "127.0.0.2:{port}", "*:{port}", "{port}", "0.0.0.0:{port}")
NAMES = (
    "example.org", "*.example.org", ".example.org", "www.example.org", "www.example.*", "www.*", "*.a.example.org",
    "~^w+[.]example[.]org$", "~^(?<who>[a-z]+)[.]", "~EXAMPLE", "_", '""', "Example.NET", "mail.example.org", "org",
    ".org", "www.example.net", "*.www.example.org",
)  # fmt: skip
HOSTS = (
    "example.org", "www.example.org", "WWW.EXAMPLE.ORG", "www.example.org.", "www.example.org:81", "a.b.example.org",
    "b.a.example.org", "a.example.org", "www.example.net", "example.net", "www.x", "www.example", "none", "_", "org",
    "x.org", "mail.example.org", "[::1]", "127.0.0.1", "ww.example.org", "x.www.example.org",
)  # fmt: skip
ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


@st.composite
def https(draw: Draw) -> str:
    """One address may have a default server once."""
    defaults: set[str] = set()
    servers = []
    for number in range(draw(st.integers(1, 6))):
        lines: list[str] = []
        for listen in draw(st.lists(st.sampled_from(LISTENS), min_size=1, max_size=2, unique=True)):
            address = listen if listen.startswith("127") else "all"
            if any(line.startswith(f"listen {address}") for line in lines):
                continue
            if address == "all" and any("127" not in line for line in lines):
                continue
            is_default = draw(st.integers(0, 3)) == 0 and address not in defaults
            defaults |= {address} if is_default else set()
            lines.append(f"listen {listen}{' default_server' if is_default else ''};")
        names = draw(st.lists(st.sampled_from(NAMES), max_size=3, unique=True))
        if names:
            lines.append(f"server_name {' '.join(names)};")
        servers.append(f"server {{ {' '.join(lines)} return 200 {number}; }}")
    return "access_log off;\n" + "\n".join(servers)


def test_servers_are_those_of_nginx(
    nginx: nginxes.Nginx, place: comparison.Place, figures: Callable[[str], None]
) -> None:
    asked = 0

    @settings(
        max_examples=CONFIGURATIONS,
        deadline=None,
        database=None,
        derandomize=bool(os.environ.get("CI")),
        suppress_health_check=list(HealthCheck),
    )
    @given(https())
    def holds(http: str) -> None:
        nonlocal asked
        running = nginxes.Running(nginx, place.directory, http)
        path = str(running.conf_file)
        config = _nginx_config.load({path: running.text}, path, str(place.directory))
        differing = []
        try:
            for address in ADDRESSES:
                for host in HOSTS:
                    chosen = _nginx_routes.choose_server(config, address, running.port, host)
                    predicted = None if chosen is None else config.servers.index(chosen)
                    real = _answering(address, running.port, host)
                    asked += 1
                    if predicted != real:
                        differing.append(f"{host} at {address}: predicted {predicted}, is {real}")
        finally:
            running.stop()
        assert not differing, "\n".join(differing) + "\n" + http

    holds()
    figures(f"servers, Nginx {nginx.version}: {asked} requests, differing 0")


def _answering(address: str, port: int, host: str) -> int | None:
    try:
        return int(request((address, port), host, "GET", "/").body)
    except (ConnectionRefusedError, TimeoutError):
        return None
