"""Faults between Nginx and the app."""

from __future__ import annotations

from faults import Line, State, finding

SITE = "/etc/nginx/sites-enabled/guestbook"
CONF = "/etc/nginx/conf.d/guestbook.conf"
PREFIX = "/etc/nginx/sites-enabled/default"
SNIPPET = "/etc/nginx/snippets/flask-proxy.conf"
TLS = "/etc/nginx/sites-enabled/guestbook.example.com"

STATES = [
    State(
        "prefix-not-told",
        "prefix_stripped",
        rf"""
        change {PREFIX} '/X-Forwarded-Prefix/d'
        reload_nginx""",
        "fetch /guestbook/ | grep --quiet 'href=\"/static/'",
        finding(
            "proxy-prefix-lost",
            Line(PREFIX, "location /guestbook/ {"),
            Line(PREFIX, "proxy_pass http://127.0.0.1:5000/;"),
        ),
    ),
    State(
        "prefix-not-heeded",
        "prefix_stripped",
        """
        change /etc/systemd/system/guestbook.service 's|^Environment=FLASK_SECRET|Environment=FLASK_PROXIES=0\\n&|'
        restart_app""",
        "fetch /guestbook/ | grep --quiet 'href=\"/static/'",
        finding(
            "proxy-prefix-lost",
            "wsgi:app",
            "ProxyFix of wsgi:app",
            Line(PREFIX, "location /guestbook/ {"),
            Line(PREFIX, "proxy_set_header X-Forwarded-Prefix /guestbook;"),
            Line(PREFIX, "proxy_pass http://127.0.0.1:5000/;"),
        ),
        "Nginx tells it, and the app has no ProxyFix.",
    ),
    State(
        "script-name-not-set",
        "prefix_script_name",
        """
        change /etc/default/guestbook '/SCRIPT_NAME/d'
        restart_app""",
        '[ "$(status /guestbook/)" = 404 ]',
        finding(
            "proxy-prefix-lost",
            Line(CONF, "location /guestbook/ {"),
            Line(CONF, "proxy_pass http://app_server;"),
            "SCRIPT_NAME*",
            "wsgi:app",
        ),
    ),
    State(
        "prefix-taken-off-under-script-name",
        "prefix_script_name",
        rf"""
        change {CONF} 's|proxy_pass http://app_server;|proxy_pass http://app_server/;|'
        reload_nginx""",
        '[ "$(status /guestbook/admin/)" != 200 ]',
        finding(
            "proxy-prefix-lost",
            Line(CONF, "proxy_pass http://app_server/;"),
            Line(CONF, "location /guestbook/ {"),
        ),
        "Gunicorn expects what Nginx has taken off.",
    ),
    State(
        "prefix-told-and-left-in-the-path",
        "prefix_stripped",
        rf"""
        change {PREFIX} 's|proxy_pass http://127.0.0.1:5000/;|proxy_pass http://127.0.0.1:5000;|'
        reload_nginx""",
        '[ "$(status /guestbook/)" = 404 ]',
        finding(
            "proxy-prefix-doubled",
            Line(PREFIX, "proxy_pass http://127.0.0.1:5000;"),
            Line(PREFIX, "location /guestbook/ {"),
            Line(PREFIX, "proxy_set_header X-Forwarded-Prefix /guestbook;"),
        ),
        "The app gets it in the path and in the header.",
    ),
    State(
        "prefix-put-before-the-path",
        "prefix_stripped",
        rf"""
        change {PREFIX} 's|proxy_pass http://127.0.0.1:5000/;|proxy_pass http://127.0.0.1:5000/guestbook/;|'
        reload_nginx""",
        '[ "$(status /guestbook/)" = 404 ]',
        finding(
            "proxy-prefix-doubled",
            Line(PREFIX, "proxy_pass http://127.0.0.1:5000/guestbook/;"),
            Line(PREFIX, "location /guestbook/ {"),
            Line(PREFIX, "proxy_set_header X-Forwarded-Prefix /guestbook;"),
        ),
    ),
    State(
        "scheme-not-told",
        "snippets",
        rf"""
        change {SNIPPET} '/X-Forwarded-Proto/d'
        reload_nginx""",
        "fetch / | grep --quiet 'href=\"http://guestbook'",
        finding(
            "scheme-not-forwarded",
            Line(SNIPPET, "proxy_pass http://unix:/run/guestbook.sock;"),
            Line(TLS, "location / {"),
            Line(TLS, "include snippets/flask-proxy.conf;"),
        ),
    ),
    State(
        "scheme-told-as-http",
        "snippets",
        rf"""
        change {SNIPPET} 's|X-Forwarded-Proto \$scheme|X-Forwarded-Proto http|'
        reload_nginx""",
        "fetch / | grep --quiet 'href=\"http://guestbook'",
        finding(
            "scheme-not-forwarded",
            Line(SNIPPET, "proxy_set_header X-Forwarded-Proto http;"),
            Line(SNIPPET, "proxy_pass http://unix:/run/guestbook.sock;"),
            Line(TLS, "location / {"),
        ),
    ),
    State(
        "x-sendfile-behind-nginx",
        "accel",
        """
        change /etc/guestbook/env 's|^FLASK_ACCEL_URL=.*|FLASK_USE_X_SENDFILE=true|'
        restart_app""",
        "fetch /download/note.txt | grep --quiet --ignore-case ^x-sendfile:",
        finding("sendfile-header", "USE_X_SENDFILE of wsgi:app", "USE_X_SENDFILE"),
        "Nginx knows X-Accel-Redirect only: visitors get nothing, and the path on the host.",
    ),
    State(
        "downloads-open-to-all",
        "accel",
        rf"""
        change {SITE} '/^        internal;/d'
        reload_nginx""",
        '[ "$(status /protected/paper.pdf)" = 200 ]',
        finding("accel-not-internal", Line(SITE, "location ^~ /protected/ {")),
    ),
    State(
        "downloads-as-html",
        "accel",
        """
        echo FLASK_ACCEL_TYPE=false >> /etc/guestbook/env
        restart_app""",
        "header Content-Type /download/cat.png | grep --quiet text/html",
        finding(
            "accel-content-type",
            Line(SITE, "location ^~ /protected/ {"),
            "/download/*",
            "download",
            "/download/<path:filename>",
        ),
        "Flask's default type outlives X-Accel-Redirect.",
    ),
    State(
        "dav-on-uploads",
        "accel",
        rf"""
        change {SITE} 's|^( *)alias /srv/guestbook/data/public/;|&\n\1dav_methods PUT DELETE;|'
        reload_nginx""",
        '[ "$(status /media/note.txt -X PUT -d hello)" != 405 ]',
        finding("dav-on-media", Line(SITE, "dav_methods PUT DELETE;")),
    ),
    State(
        "dav-of-server",
        "default_acl",
        rf"""
        change {CONF} 's|^    client_max_body_size|    dav_methods DELETE;\n&|'
        reload_nginx""",
        '[ "$(status /media/no-such-file.txt -X DELETE)" = 404 ]',
        finding("dav-on-media", Line(CONF, "dav_methods DELETE;")),
        "Inherited by the location of uploads.",
    ),
]
