"""Faults of how large a request may be."""

from __future__ import annotations

from faults import Line, State, finding

SITE = "/etc/nginx/sites-enabled/guestbook"
CONF = "/etc/nginx/conf.d/guestbook.conf"
MAX_CONTENT_LENGTH = ("MAX_CONTENT_LENGTH of wsgi:app", "MAX_CONTENT_LENGTH")
TWO_MEGABYTES = "head --bytes=2000000 /dev/zero > /tmp/big"

STATES = [
    State(
        "body-limit-left-at-default",
        "bare_process",
        rf"""
        change {CONF} '/client_max_body_size/d'
        reload_nginx""",
        f'{TWO_MEGABYTES}; [ "$(status /upload -F file=@/tmp/big)" = 413 ]',
        finding("body-limit-nginx", Line(CONF, "server {"), Line(CONF, "location / {")),
        "The app takes 16 MiB, by its own default; Nginx takes 1 MiB, by its.",
    ),
    State(
        "body-limit-of-location-lower",
        "sites_enabled",
        rf"""
        change {SITE} 's|^        proxy_pass |        client_max_body_size 1m;\n&|'
        reload_nginx""",
        f'{TWO_MEGABYTES}; [ "$(status /upload -F file=@/tmp/big)" = 413 ]',
        finding("body-limit-nginx", Line(SITE, "client_max_body_size 1m;")),
    ),
    State(
        "body-limit-lower-than-apps",
        "snippets",
        """
        change /etc/guestbook/env 's|10485760|52428800|'
        restart_app""",
        "grep --quiet 52428800 /etc/guestbook/env",
        finding(
            "body-limit-nginx",
            Line("/etc/nginx/sites-enabled/guestbook.example.com", "client_max_body_size 11m;"),
        ),
        "The app's limit was raised, Nginx's was forgotten.",
    ),
    State(
        "app-limit-in-megabytes",
        "docker",
        """
        change /etc/guestbook.env 's|16777216|16|'
        restart_app""",
        '[ "$(status /upload -F file=@/etc/hostname)" = 413 ]',
        finding("body-limit-app", *MAX_CONTENT_LENGTH),
        "16 bytes: every upload is refused, by the app.",
    ),
    State(
        "nobody-limits-bodies",
        "sites_enabled",
        rf"""
        change {SITE} 's|client_max_body_size 20m;|client_max_body_size 0;|'
        change /etc/guestbook.env 's|16777216|null|'
        restart_app
        reload_nginx""",
        'head --bytes=30000000 /dev/zero > /tmp/big; [ "$(status /upload -F file=@/tmp/big -H Expect:)" = 201 ]',
        finding("body-limit-app", *MAX_CONTENT_LENGTH, Line(SITE, "client_max_body_size 0;")),
        "One request can fill the disk.",
    ),
    State(
        "both-limits-equal",
        "accel",
        rf"""
        change {SITE} 's|client_max_body_size 18m;|client_max_body_size 16m;|'
        reload_nginx""",
        "head --bytes=16777216 /dev/zero > /tmp/big; fetch /upload -F file=@/tmp/big | grep --quiet '<center>nginx'",
        finding("body-limit-unordered", Line(SITE, "client_max_body_size 16m;")),
        "A file that the app would refuse with a page of its own is refused by Nginx with its.",
    ),
    State(
        "body-temp-of-another-user",
        "sites_enabled",
        "chown root:root /var/lib/nginx/body",
        f'{TWO_MEGABYTES}; [ "$(status /upload -F file=@/tmp/big)" = 500 ]',
        finding("body-temp-unwritable", "/var/lib/nginx/body"),
    ),
    State(
        "body-temp-gone",
        "many_sites",
        "rm -r /var/lib/nginx/body",
        f'{TWO_MEGABYTES}; [ "$(status /upload -F file=@/tmp/big)" = 500 ]',
        finding("body-temp-unwritable", "/var/lib/nginx/body"),
    ),
    State(
        "limit-with-a-unit",
        "sites_enabled",
        """
        change /etc/guestbook.env 's|16777216|16M|'
        restart_app""",
        '[ "$(status /upload -F file=@/etc/hostname)" = 500 ]',
        finding("config-type", *MAX_CONTENT_LENGTH),
        "from_prefixed_env() reads JSON: 16M is a text, and no number.",
    ),
    State(
        "limit-in-quotes",
        "prefix_stripped",
        r"""
        change /etc/systemd/system/guestbook.service \
            "s|^Environment=(FLASK_MAX_CONTENT_LENGTH)=.*|Environment='\1=\"8000000\"'|"
        restart_app""",
        '[ "$(status /guestbook/upload -F file=@/etc/hostname)" = 500 ]',
        finding("config-type", *MAX_CONTENT_LENGTH),
    ),
]
