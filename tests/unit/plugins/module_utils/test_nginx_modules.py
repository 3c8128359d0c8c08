"""Which modules an Nginx has: by its own words, and by what its configuration loads."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _nginx_modules,
    _nginx_tree,
)

FAKE = """#!/bin/sh
echo "nginx version: nginx/1.26.3" >&2
echo "configure arguments: @arguments@ --conf-path=@conf@" >&2
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    conf = tmp_path / "nginx/nginx.conf"
    (tmp_path / "nginx/modules-enabled").mkdir(parents=True)
    conf.write_text(
        "user www-data;\ninclude modules-enabled/*.conf;\nhttp { include mime.types; }\n"
    )
    return conf


def install(monkeypatch: pytest.MonkeyPatch, conf: Path, arguments: str) -> None:
    binary = conf.parent / "nginx"
    binary.write_text(FAKE.replace("@arguments@", arguments).replace("@conf@", str(conf)))
    binary.chmod(0o755)
    monkeypatch.setattr(_nginx_tree, "find_binary", lambda _given: str(binary))


def test_without_nginx_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_nginx_tree, "find_binary", lambda _given: None)
    assert _nginx_modules.static_modules() is None


def test_what_does_not_answer_as_nginx_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    binary = tmp_path / "nginx"
    binary.write_text("#!/bin/sh\necho no\n")
    binary.chmod(0o755)
    monkeypatch.setattr(_nginx_tree, "find_binary", lambda _given: str(binary))
    assert _nginx_modules.static_modules() is None


@pytest.mark.parametrize(
    ("arguments", "gzip_static", "brotli_static"),
    [
        ("--with-http_ssl_module", False, False),
        ("--with-http_gzip_static_module", True, False),
        ("--add-module=/build/ngx_brotli", False, True),
        ("--add-dynamic-module=/build/ngx_brotli", False, False),
        ("--with-cc-opt='-ffile-prefix-map=/build/brotli=.'", False, False),
    ],
)
def test_what_is_compiled_in_is_told(
    monkeypatch: pytest.MonkeyPatch,
    conf: Path,
    arguments: str,
    gzip_static: bool,
    brotli_static: bool,
) -> None:
    install(monkeypatch, conf, arguments)
    found = {"gzip_static": gzip_static, "brotli_static": brotli_static}
    assert _nginx_modules.static_modules() == found


@pytest.mark.parametrize(
    ("name", "text", "there"),
    [
        ("50-brotli.conf", "load_module modules/ngx_http_brotli_static_module.so;", True),
        ("50-brotli.conf", 'load_module "/usr/lib/ngx_http_brotli_static_module.so";', True),
        ("50-brotli.conf", "# load_module modules/ngx_http_brotli_static_module.so;", False),
        ("50-brotli.conf", "load_module modules/ngx_http_brotli_filter_module.so;", False),
        ("50-brotli.conf", "load_module modules/ngx_http_brotli_static_module.so", False),
        ("50-brotli.conf.off", "load_module modules/ngx_http_brotli_static_module.so;", False),
        ("50-loop.conf", "include modules-enabled/*.conf;", False),
    ],
)
def test_what_the_configuration_loads_is_told(
    monkeypatch: pytest.MonkeyPatch, conf: Path, name: str, text: str, there: bool
) -> None:
    install(monkeypatch, conf, "--with-http_gzip_static_module")
    (conf.parent / "modules-enabled" / name).write_text(text + "\n")
    assert _nginx_modules.static_modules() == {"gzip_static": True, "brotli_static": there}


def test_a_configuration_that_is_not_there_loads_nothing(tmp_path: Path) -> None:
    assert _nginx_modules.loaded_modules(str(tmp_path / "nginx.conf")) == set()


@pytest.mark.parametrize(
    ("version", "arguments", "syntax"),
    [
        ("1.18.0", "--with-http_v2_module", "parameter"),
        ("1.25.0", "--with-http_v2_module", "parameter"),
        ("1.25.1", "--with-http_v2_module", "directive"),
        ("1.26.3", "--with-http_v2_module", "directive"),
        ("2.0", "--with-http_v2_module", "directive"),
        ("1.26.3", "--with-http_ssl_module", None),
    ],
)
def test_how_http_2_is_asked_for_follows_from_the_version(
    monkeypatch: pytest.MonkeyPatch, conf: Path, version: str, arguments: str, syntax: str | None
) -> None:
    install(monkeypatch, conf, arguments)
    binary = conf.parent / "nginx"
    binary.write_text(binary.read_text().replace("1.26.3", version))
    assert _nginx_modules.http2_syntax() == (version, syntax)


def test_without_nginx_there_is_no_http_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_nginx_tree, "find_binary", lambda _given: None)
    assert _nginx_modules.http2_syntax() == (None, None)
