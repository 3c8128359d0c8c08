"""What may be told of an answer, a log line or a mount, and what may not."""

from __future__ import annotations

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _evidence_masks

# In each secret below
WORD = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"SECRET_KEY={WORD}",
        f"export DATABASE_URL='postgres://gallery:{WORD}@db/gallery'\nOTHER=1",
        f"FLASK_DEBUG=1\nMAIL_SERVER={WORD}",
        f'SECRET_KEY = "{WORD}"',
        f"app.config['SECRET_KEY'] = '{WORD}'",
        f"app.config.from_mapping(SECRET_KEY='{WORD}', DEBUG=True)",
        f'{{"api_key": "{WORD}", "name": "x"}}',
        f"database:\n  password: {WORD}\n",
        f'[remote "origin"]\n\turl = https://user:{WORD}@example.com/app.git',
        f"see https://user:{WORD}@example.com/",
        f"-----BEGIN RSA PRIVATE KEY-----\n{WORD}\n-----END RSA PRIVATE KEY-----\nrest",
        f"-----BEGIN PRIVATE KEY-----\n{WORD}",
    ],
)
def test_what_a_leaked_file_holds_is_not_told(text: str) -> None:
    shown = _evidence_masks.body(text)
    assert WORD not in shown
    assert _evidence_masks.MASK in shown


@pytest.mark.parametrize(
    "text",
    [
        "<html>\r\n<head><title>404 Not Found</title></head>\r\n<hr><center>nginx</center>",
        "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>",
        "body { color: red }\n.a:hover { width: 1px }",
        "#!/bin/sh\necho hello",
        '<link rel="stylesheet" href="/static/app.css?v=1">',
    ],
)
def test_what_tells_who_answered_stays(text: str) -> None:
    assert _evidence_masks.body(text) == text


def test_a_log_line_keeps_what_explains_it() -> None:
    line = (
        '2026/11/29 09:00:00 [error] 1#1: *1 connect() failed, request: "GET /x?token=hunter2 HTTP/1.1", '
        'upstream: "http://u:hunter2@10.0.0.1/x?token=hunter2", referrer: "https://a/?s=hunter2", '
        'http header: "Cookie: session=hunter2"'
    )
    shown = _evidence_masks.log_line(line)
    assert WORD not in shown
    assert 'connect() failed, request: "GET /x?*** HTTP/1.1", upstream: "http://***@10' in shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Set-Cookie", "a=hunter2; Path=/; Secure", "a=***; Path=/; Secure"),
        ("X-Api-Key", "hunter2", "***"),
        ("Location", "https://u:hunter2@a.example/x?next=/y", "https://***@a.example/x?next=/y"),
        ("ETag", '"65f1a2b3-1c"', '"65f1a2b3-1c"'),
        ("X-Content-Type-Options", "nosniff", "nosniff"),
    ],
)
def test_a_header_keeps_its_attributes(name: str, value: str, shown: str) -> None:
    assert _evidence_masks.header(name, value) == shown


def test_a_mount_keeps_its_options() -> None:
    options = ["rw", "username=app", "password=hunter2", "credentials=/etc/x", "vers=3.0", "uid=33"]
    shown = ",".join(_evidence_masks.mount_option(option) for option in options)
    assert shown == "rw,username=***,password=***,credentials=***,vers=3.0,uid=33"
    assert _evidence_masks.source("//app:hunter2@nas/share") == "//***@nas/share"
    assert _evidence_masks.source("nas:/export/media") == "nas:/export/media"
