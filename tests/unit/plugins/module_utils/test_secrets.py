"""What is hidden of commands, URLs and configurations, and what is not."""

from __future__ import annotations

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _nginx_syntax,
    _secrets,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("gunicorn -w 2 -b unix:/run/a.sock wsgi:app", None),
        ("gunicorn --keyfile /etc/key.pem --certfile=/etc/c.pem wsgi:app", None),
        ("uwsgi --ini /etc/uwsgi/app.ini --chmod-socket=660", None),
        ("gunicorn -c conf.py wsgi:app", None),
        ("gunicorn -e A=s3cret wsgi:app", "gunicorn -e A=******** wsgi:app"),
        ("gunicorn --env A=s3cret", "gunicorn --env A=********"),
        ("gunicorn --env=A=s3=cret", "gunicorn --env=A=********"),
        ("uwsgi --set-ph pw=s3cret", "uwsgi --set-ph pw=********"),
        ("uwsgi --set-placeholder=pw=s3cret", "uwsgi --set-placeholder=pw=********"),
        ("app --db-password s3cret -v", "app --db-password ******** -v"),
        ("app --api-key=s3cret", "app --api-key=********"),
        ("app --token-file=/run/token", None),
        ("SECRET_KEY=s3cret", "SECRET_KEY=********"),
        ("app redis://:s3cret@h/0", "app redis://:********@h/0"),
        ("app --url=http://u:s3cret@h/", "app --url=http://u:********@h/"),
        ("python3 -c s3cret", "python3 -c ********"),
    ],
)
def test_a_command(line: str, shown: str | None) -> None:
    assert " ".join(_secrets.in_command(line.split())) == (shown or line)


def test_the_query_of_a_url() -> None:
    shown = _secrets.in_text("https://cdn/a?v=1&token=s3cret&Signature=s3cret&x=2")
    assert shown == "https://cdn/a?v=1&token=********&Signature=********&x=2"


def test_a_header_and_a_module_of_that_name() -> None:
    assert _secrets.in_text("Authorization: Bearer s3cret") == "Authorization: ********"
    assert _secrets.in_text("auth:create_app()") == "auth:create_app()"


def test_the_argument_of_a_factory() -> None:
    text = "wsgi:make('x', config=\"production\", secret_key='s3cret')"
    shown = _secrets.in_text(text)
    assert shown == "wsgi:make('x', config=\"production\", secret_key='********')"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('proxy_set_header Authorization "Basic s3cretABC";', '"********"'),
        ("proxy_set_header X-Api-Key s3cret;", "********"),
        ("proxy_set_header Cookie sid=s3cret;", "********"),
        ("fastcgi_param DB_PASSWORD s3cret;", "********"),
        ("uwsgi_param SECRET_KEY s3cret;", "********"),
        ("env SECRET_KEY=s3cret;", "********"),
        ("set $secret s3cret;", "********"),
        ('set $token "a s3cret";', "********"),
        ('secure_link_md5 "$secure_link_expires$uri s3cret";', "$secure_link_expires$uri ********"),
        ("secure_link_secret s3cret;", "********"),
        ("map $http_x_api_key $ok { default 0; s3cret 1; }", "default 0; \"********\""),
        ('if ($http_x_token = "s3cret") { return 200; }', "($http_x_token = "),
        ("proxy_pass http://u:s3cret@backend/;", "http://u:********@backend/"),
        ("# proxy_set_header Authorization s3cret;\nuser x;", "# ********\nuser x;"),
        ("user x; # the token is s3cret", "user x; # ********"),
        ("content_by_lua_block { local k = \"s3cret}\" }\nuser x;", "content_by_lua_block {}\nuser x;"),
        ("user x; }\nsecure_link_secret s3cret;", "# ********"),
        ("ssl_certificate_key data:s3cret;", "********"),
        ("-----BEGIN RSA PRIVATE KEY-----\ns3cret\n-----END RSA PRIVATE KEY-----", "# ********"),
    ],
)  # fmt: skip
def test_a_configuration(text: str, shown: str) -> None:
    configuration = _secrets.Configuration()
    masked = configuration.masked(text)
    assert "s3cret" not in masked
    assert shown in masked
    assert masked.count("\n") == text.count("\n"), "line numbers stay true"


@pytest.mark.parametrize(
    "text",
    [
        "proxy_set_header Authorization $http_authorization;",
        "proxy_set_header Host $host; # as the browser has it",
        "proxy_set_header X-Forwarded-Proto https;",
        "add_header Cache-Control 'public, max-age=31536000, immutable';",
        "auth_basic 'Members'; auth_basic_user_file /etc/nginx/users;",
        "location /auth { auth_request /check; }",
        "secure_link $arg_md5,$arg_expires;",
        "ssl_certificate_key /etc/ssl/private/a.key; ssl_session_cache shared:a:1m;",
        "map $http_upgrade $connection_upgrade { default upgrade; '' close; }",
        'log_format main "$remote_addr [$time_local]"; # By flaskworks.static_media',
        "if ($request_method = POST) { return 405; }",
        'set $cache "public"; root /srv/secret/static;',
        "",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert _secrets.Configuration().masked(text) == text


def test_a_message_is_freed_of_what_was_hidden() -> None:
    configuration = _secrets.Configuration()
    configuration.masked('proxy_set_header Authorization "Basic s3cretABC";')
    assert (
        configuration.in_message('unexpected "s3cretABC" in x:1') == 'unexpected "********" in x:1'
    )


words = st.sampled_from(
    ["set", "$token", "$x", "s3cret", "{", "}", ";", "\n", "# c", '"a b"', "map", "geo", "if", "\\", "'"]
)  # fmt: skip


@given(st.lists(words, max_size=30))
def test_a_masked_configuration_reads_as_before(parts: list[str]) -> None:
    text = " ".join(parts)

    def shape(text: str) -> list[tuple[str, int, int]]:
        found = []
        try:
            for item in _nginx_syntax.parse(text):
                if isinstance(item, _nginx_syntax.Directive):
                    found.append(("directive", item.line, len(item.words)))
                else:
                    found.append(("end", 0, 0))
        except _nginx_syntax.NginxSyntaxError:
            # What is behind is cut short line by line.
            pass
        return found

    masked = _secrets.Configuration().masked(text)
    assert masked.count("\n") == text.count("\n")
    assert shape(masked)[: len(shape(text))] == shape(text)
