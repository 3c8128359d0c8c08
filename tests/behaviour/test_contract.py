"""The contract, line by line, and every published file, asked of a deployed site."""

from __future__ import annotations

import gzip
import hashlib
import re
from urllib.parse import quote

import contract
import forwarded
import hosts
import pytest
from raw_http import Connection

LINES = contract.lines(hosts.static_urls(), hosts.url_prefix())


@pytest.mark.parametrize("line", LINES, ids=lambda line: str(line.id))
def test_line(line: contract.Line, probes: None, site: hosts.Site, connection: Connection) -> None:
    assert contract.violations(connection, line) == []


@pytest.mark.parametrize("url", hosts.static_urls())
def test_every_published_file_is_served_by_nginx(
    url: str, site: hosts.Site, host: hosts.Host, connection: Connection
) -> None:
    directory = site.static_directory(url)
    files = _visible(host.hash_tree(directory), directory)
    assert files, f"nothing is published in {directory}"
    for path, digest in files.items():
        _assert_served(connection, url + path, digest, contract.STATIC_FOUND)


@pytest.mark.parametrize("url", hosts.static_urls())
def test_what_is_compressed_beforehand_equals_its_file(
    url: str, site: hosts.Site, host: hosts.Host, connection: Connection
) -> None:
    directory = site.static_directory(url)
    files = _visible(host.hash_tree(directory), directory)
    packed = [path for path in files if f"{path}.gz" in files]
    assert packed, f"nothing is compressed in {directory}"
    for path in packed:
        response = connection.request("GET", quote(url + path), {"Accept-Encoding": "gzip"})
        assert response.first("Content-Encoding") == "gzip", path
        assert response.all("Vary") == ["Accept-Encoding"], path
        assert hashlib.sha256(gzip.decompress(response.body)).hexdigest() == files[path], path


def test_every_upload_is_served_by_nginx(
    probes: None, site: hosts.Site, host: hosts.Host, connection: Connection
) -> None:
    files = _visible(host.hash_tree(site.media_root), site.media_root)
    for path, digest in files.items():
        _assert_served(connection, site.media_url + path, digest, contract.MEDIA_FOUND)


def test_the_app_is_told_nothing_that_a_client_forged(site: hosts.Site, host: hosts.Host) -> None:
    assert forwarded.violations(site, host) == []


def _visible(hashes: dict[str, str], directory: str) -> dict[str, str]:
    relative = {path[len(directory) + 1 :]: digest for path, digest in hashes.items()}
    return {path: digest for path, digest in relative.items() if "/." not in f"/{path}"}


def _assert_served(
    connection: Connection, target: str, digest: str, headers: dict[str, str]
) -> None:
    response = connection.request("GET", quote(target))
    assert response.status == 200, f"{target}: {response}"
    assert hashlib.sha256(response.body).hexdigest() == digest, target
    assert response.nginx_served_a_file, f"{target}: {response}"
    for name, pattern in headers.items():
        values = response.all(name)
        assert len(values) == 1, f"{target} {name}: {values}"
        assert re.fullmatch(pattern, values[0]), f"{target} {name}: {values}"
