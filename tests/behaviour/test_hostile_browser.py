"""Chromium opens every active upload in every way that a page can: none runs, none reads a cookie.

The same files on an Nginx without the headers do run, and read it.
"""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attack
import hostile
import hosts
import pytest
from browser import Browser
from reference import Reference

UPLOADS = hostile.active()
HARMLESS = {"style.css"}

# What a careless site serves them as: what their names say, and else HTML.
CARELESS_TYPES = """types {
                application/xhtml+xml xhtml; image/svg+xml svg; text/xml xml xsl;
                text/javascript js mjs; text/css css;
            }
            default_type text/html;"""


@pytest.fixture
def attacker(site: hosts.Site, host: hosts.Host, tmp_path: Path) -> Iterator[attack.Attack]:
    host.place(attack.probes(site), site.app_user)
    with _attacker(site, tmp_path) as attacker:
        yield attacker


@contextmanager
def _attacker(site: hosts.Site, profile: Path) -> Iterator[attack.Attack]:
    with attack.listening(site.address) as listener:
        browser = Browser(site, profile, {hostile.BEACON: listener.address})
        try:
            yield attack.Attack(browser, listener)
        finally:
            browser.driver.quit()


def test_no_upload_runs_and_none_reads_a_cookie(
    attacker: attack.Attack, site: hosts.Site, figures: Callable[[str], None]
) -> None:
    listener = attacker.listener
    opened = attacker.open_each(UPLOADS)
    embedded = attacker.embed_all(UPLOADS)
    assert (opened.flagged, embedded.flagged) == (set(), set())
    assert listener.names() == set()
    assert listener.cookies() == set()
    figures(
        f"{site.host_name}: {len(UPLOADS)} active uploads opened {opened.opened} times by themselves and"
        f" {embedded.opened} times in a page: {len(listener.names())} ran, {len(listener.cookies())}"
        " read the cookie"
    )


@pytest.fixture
def careless(tmp_path: Path) -> Iterator[attack.Attack]:
    """The same files on a site that has none of the headers."""
    reference = Reference()
    try:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        reference.host.place(attack.probes(reference.site), reference.site.app_user)
        reference.serve(_careless(reference, port))
        site = dataclasses.replace(reference.site, address=("127.0.0.1", port))
        with _attacker(site, tmp_path) as attacker:
            yield attacker
    finally:
        reference.close()


def _careless(reference: Reference, port: int) -> str:
    text = reference.configuration()
    begin, end = text.index("max_ranges 1;"), text.index("add_header Cache-Control no-cache;")
    text = text[:begin] + CARELESS_TYPES + text[end:]
    socket_line = f"listen unix:{reference.directory}/http.sock;"
    assert socket_line in text
    return text.replace(socket_line, f"listen 127.0.0.1:{port};")


def test_they_do_run_where_nothing_keeps_them_from_it(careless: attack.Attack) -> None:
    listener = careless.listener
    careless.open_each(UPLOADS)
    opened = listener.names()
    listener.requests.clear()
    careless.embed_all(UPLOADS)
    embedded = listener.names()
    every = {upload.id for upload in UPLOADS}
    assert opened | embedded == every
    assert listener.cookies() | HARMLESS >= embedded
    assert {"page.html", "script.svg", "sheet.xml", "polyglot.png"} <= opened
    assert {"script.js", "module.mjs", "polyglot.gif.js", "style.css"} <= embedded
