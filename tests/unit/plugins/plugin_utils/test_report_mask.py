"""The last line of defence: secrets go, what findings hang on stays."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _report_mask
from hypothesis import assume, given
from hypothesis import strategies as st

HEX = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
BASE64 = "kZ3vQ0s+8mT/9xYw2nB7Lr5uJc1dFg4hAa6eKi0oPqS="
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"Authorization: Basic {BASE64}", BASE64),
        (f"authorization: Bearer {HEX}", HEX),
        ("curl -H 'Authorization: hunter2'", "hunter2"),
        ("Proxy-Authorization: Digest username=me, response=abc", "abc"),
        (f'["Set-Cookie", "session={BASE64}; Path=/"]', BASE64),
        ("Set-Cookie: session=abc; Path=/; HttpOnly", "abc"),
        ("Cookie: session=abc; theme=dark", "dark"),
        ('Cookie: a="b, c"', "c"),
        ("X-API-Key: letmein", "letmein"),
        (f'proxy_set_header Authorization "Basic {BASE64}";', BASE64),
        ("fastcgi_param HTTP_COOKIE session;", "session"),
        (f"sent Bearer {HEX} to /api", HEX),
        ("postgresql://gallery:hunter2@db/gallery", "hunter2"),
        ("redis://:hunter2@127.0.0.1:6379/0", "hunter2"),
        ("https://me:p@ss:word@example.com/x", "word"),
        ("git+https://abcdefghij0123456789@example.com/a.git", "abcdefghij0123456789"),
        ("GET /docs/a.pdf?md5=Zx8-q_1&expires=1764403200 403", "Zx8-q_1"),
        ("GET /docs/a.pdf?md5=Zx8-q_1&expires=1764403200 403", "1764403200"),
        ("https://s3/x?X-Amz-Signature=abc0&X-Amz-Credential=k", "abc0"),
        ('secure_link_md5 "$secure_link_expires$uri hunter2";', "hunter2"),
        ("SECRET_KEY=dev", "dev"),
        ("Environment=FLASK_SECRET_KEY=hunter2 LANG=C", "hunter2"),
        ('{"SECRET_KEY": "hunter2", "DEBUG": false}', "hunter2"),
        ("gunicorn --env DB_PASSWORD=hunter2 wsgi:app", "hunter2"),
        ("AWS_SECRET_ACCESS_KEY='hunter2'", "hunter2"),
        ("api-key=hunter2", "hunter2"),
        (f"token {HEX}", HEX),
        (f"the key: {BASE64}", BASE64),
        (f"password is not {HEX}; secret {BASE64}", BASE64),
        (f"session {JWT}", JWT),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----", "MIIabc"),
        ("-----BEGIN PRIVATE KEY-----\nMIIabc", "MIIabc"),
    ],
)
def test_a_secret_is_masked(text: str, secret: str) -> None:
    shown = _report_mask.masked_text(text)
    assert secret not in shown
    assert _report_mask.MASK in shown
    assert _report_mask.masked_text(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        'GET /static/app.css 200, ETag "65f1c0de-1a2b3c"',
        'GET /static/token.js 200, ETag "65f1c0de-1a2b3c4d5e"',
        'GET /static/secret-santa.css 200 W/"65f1c0de-1a2b3c4d5e"',
        'ETag "1764403200.0-18220-2271937183"',
        f"sha256 {HEX}",
        f"/static/js/key.js {HEX}",
        f"/var/www/gallery/static/.immutable/keyboard-{HEX[:32]}.js",
        f"/media/flask-verify-{HEX[:32]}.txt written as gallery",
        "ssl_certificate_key /etc/nginx/gallery.self_signed.pem;",
        "ssl_certificate_key=/etc/letsencrypt/live/gallery.example.com/privkey.pem",
        "secure_link $arg_md5,$arg_expires;",
        "proxy_set_header X-Forwarded-Proto $scheme;",
        "proxy_pass http://127.0.0.1:8000/;",
        "http://h:80/a@b.png",
        "unix:/run/gallery/gallery.sock",
        "Set flask_media_signing_key to a value of your own.",
        "the key can't be read without root",
        "drwxr-x--- root root /srv/secret/gallery",
        "GET /search?q=cats&page=2 200",
        "basic authentication is asked for",
        "Let Nginx through: setfacl -m u:www-data:x /srv/gallery",
    ],
)
def test_what_findings_hang_on_stays(text: str) -> None:
    assert _report_mask.masked_text(text) == text


def test_the_rest_of_an_evidence_stays() -> None:
    seen = 'GET /docs/a.pdf?md5=abc&expires=1 403\nSECRET_KEY=dev LANG=C\nETag: "5e3f1c00-a"'
    assert _report_mask.masked_text(seen) == (
        'GET /docs/a.pdf?md5=***&expires=*** 403\nSECRET_KEY=*** LANG=C\nETag: "5e3f1c00-a"'
    )


def test_a_whole_report_is_masked() -> None:
    report: dict[str, t.Any] = {
        "ok": True,
        "findings": [{"evidence": "SECRET_KEY=dev", "variable": None}],
        "routes": [{"url": "/a?md5=abc", "status": 200}],
        "discovered": {"app": "gunicorn -e DB_PASSWORD=x"},
    }
    assert _report_mask.masked(report) == {
        "ok": True,
        "findings": [{"evidence": "SECRET_KEY=***", "variable": None}],
        "routes": [{"url": "/a?md5=***", "status": 200}],
        "discovered": {"app": "gunicorn -e DB_PASSWORD=***"},
    }


@given(
    st.sampled_from(["SECRET_KEY=", "?token=", "password: '", "Authorization: ", "://u:"]),
    st.text(st.characters(categories=("Lu", "Ll", "Nd")), min_size=12),
    st.text(max_size=20),
)
def test_no_secret_survives_what_stands_around_it(before: str, secret: str, around: str) -> None:
    assume(secret not in around)
    after = "@h" if before == "://u:" else ""
    assert secret not in _report_mask.masked_text(f"{around} {before}{secret}{after}\n")


@given(st.text())
def test_masking_twice_is_masking_once(text: str) -> None:
    once = _report_mask.masked_text(text)
    assert _report_mask.masked_text(once) == once
