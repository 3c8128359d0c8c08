"""Faults of the way from a URL to a file or to the app."""

from __future__ import annotations

from faults import Line, State, finding

SITE = "/etc/nginx/sites-enabled/guestbook"
CONF = "/etc/nginx/conf.d/guestbook.conf"
STATIC, MEDIA = "/etc/nginx/snippets/flask-static.conf", "/etc/nginx/snippets/flask-media.conf"
PREFIX = "/etc/nginx/sites-enabled/default"

ALIASES = [
    State(
        "alias-path-of-old-layout",
        "sites_enabled",
        rf"""
        change {SITE} 's|alias /srv/guestbook/app/guestbook/static/;|alias /srv/guestbook/app/static/;|'
        reload_nginx""",
        '[ "$(status /static/css/site.css)" = 404 ]',
        finding("alias-wrong-path", Line(SITE, "alias /srv/guestbook/app/static/;")),
    ),
    State(
        "alias-without-slash",
        "sites_enabled",
        rf"""
        change {SITE} 's|(alias /srv/guestbook/app/guestbook/static)/;|\1;|'
        reload_nginx""",
        '[ "$(status /static/css/site.css)" = 404 ]',
        finding(
            "alias-wrong-path",
            Line(SITE, "alias /srv/guestbook/app/guestbook/static;"),
            Line(SITE, "location ^~ /static/ {"),
        ),
        "404 for every file (…/staticcss/site.css); that siblings which begin alike can be read has the same cause.",
    ),
    State(
        "alias-of-blueprint-misspelt",
        "many_sites",
        rf"""
        change {SITE} 's|guestbook/admin/static/;|guestbook/admin/statics/;|'
        reload_nginx""",
        '[ "$(status /admin/static/admin.css)" = 404 ]',
        finding(
            "alias-wrong-path", Line(SITE, "alias /srv/guestbook/app/guestbook/admin/statics/;")
        ),
    ),
    State(
        "alias-of-media-misspelt",
        "docker",
        rf"""
        change {CONF} 's|alias /srv/guestbook/media/;|alias /srv/guestbok/media/;|'
        reload_nginx""",
        '[ "$(status /media/note.txt)" = 404 ]',
        finding("alias-wrong-path", Line(CONF, "alias /srv/guestbok/media/;")),
        "The directory of the alias is not there, that of the app is: it is the alias that is wrong.",
    ),
    State(
        "location-without-slash",
        "sites_enabled",
        rf"""
        change {SITE} 's|location \^~ /media/ |location ^~ /media |'
        reload_nginx""",
        '[ "$(status /media../app/wsgi.py)" = 200 ]',
        finding(
            "alias-traversal",
            Line(SITE, "location ^~ /media {"),
            Line(SITE, "alias /srv/guestbook/media/;"),
        ),
    ),
    State(
        "plain-location-without-slash",
        "uwsgi",
        rf"""
        change {CONF} 's|location /static/ |location /static |'
        echo 'secret' > /var/lib/guestbook/assets/secret.txt
        reload_nginx""",
        '[ "$(status /static../secret.txt)" = 200 ]',
        finding(
            "alias-traversal",
            Line(CONF, "location /static {"),
            Line(CONF, "alias /var/lib/guestbook/assets/static/;"),
        ),
    ),
    State(
        "location-of-blueprint-without-slash",
        "prefix_stripped",
        rf"""
        change {PREFIX} 's|location \^~ /guestbook/admin/static/ |location ^~ /guestbook/admin/static |'
        reload_nginx""",
        '[ "$(status /guestbook/admin/static../__init__.py)" = 200 ]',
        finding(
            "alias-traversal",
            Line(PREFIX, "location ^~ /guestbook/admin/static {"),
            Line(PREFIX, "alias /srv/guestbook/code/guestbook/admin/static/;"),
        ),
    ),
    State(
        "neither-has-a-slash",
        "sites_enabled",
        rf"""
        change {SITE} 's|location \^~ /media/ |location ^~ /media |; s|alias /srv/guestbook/media/|alias /srv/guestbook/media|'
        install -d /srv/guestbook/media-backup
        echo secret > /srv/guestbook/media-backup/dump.txt
        reload_nginx""",
        '[ "$(status /media-backup/dump.txt)" = 200 ]',
        finding(
            "alias-sibling-leak",
            Line(SITE, "location ^~ /media {"),
            Line(SITE, "alias /srv/guestbook/media;"),
        ),
    ),
    State(
        "root-and-location-without-slash",
        "bare_process",
        rf"""
        change {CONF} 's|location \^~ /uploads/ |location ^~ /uploads |'
        install -d /var/www/uploads.private
        echo secret > /var/www/uploads.private/dump.txt
        reload_nginx""",
        '[ "$(status /uploads.private/dump.txt)" = 200 ]',
        finding(
            "alias-sibling-leak",
            Line(CONF, "location ^~ /uploads {"),
            Line(CONF, "root /var/www;", 2),
        ),
    ),
    State(
        "root-and-prefix-both-end-in-static",
        "bare_process",
        rf"""
        change {CONF} '0,/root /s|root /var/www;|root /var/www/static;|'
        reload_nginx""",
        '[ "$(status /static/css/site.css)" = 404 ]',
        finding("root-doubled", Line(CONF, "root /var/www/static;")),
    ),
    State(
        "root-and-prefix-both-end-in-media",
        "snippets",
        rf"""
        change {MEDIA} 's|root /srv/www/guestbook/data;|root /srv/www/guestbook/data/media;|'
        reload_nginx""",
        '[ "$(status /media/note.txt)" = 404 ]',
        finding("root-doubled", Line(MEDIA, "root /srv/www/guestbook/data/media;")),
    ),
    State(
        "alias-relative",
        "default_acl",
        rf"""
        change {CONF} 's|alias /opt/guestbook/app/guestbook/static/;|alias guestbook/static/;|'
        reload_nginx""",
        '[ "$(status /static/css/site.css)" = 404 ]',
        finding("relative-path", Line(CONF, "alias guestbook/static/;")),
    ),
    State(
        "root-relative",
        "snippets",
        rf"""
        change {MEDIA} 's|root /srv/www/guestbook/data;|root data;|'
        reload_nginx""",
        '[ "$(status /media/note.txt)" = 404 ]',
        finding("relative-path", Line(MEDIA, "root data;")),
    ),
    State(
        "alias-in-regex",
        "default_acl",
        rf"""
        change {CONF} 's|location \^~ /media/ |location ~ ^/media/ |'
        reload_nginx""",
        '[ "$(status /media/note.txt)" = 301 ]',
        finding(
            "regex-alias", Line(CONF, "location ~ ^/media/ {"), Line(CONF, "alias /data/uploads/;")
        ),
    ),
    State(
        "alias-in-regex-with-try-files",
        "docker",
        rf"""
        change {CONF} 's|location \^~ /static/ |location ~ ^/static/ |'
        reload_nginx""",
        '[ "$(status /static/css/site.css)" = 404 ]',
        finding(
            "regex-alias",
            Line(CONF, "location ~ ^/static/ {"),
            Line(CONF, "alias /var/www/guestbook/static/;"),
        ),
    ),
]

SERVERS = [
    State(
        "typo-not-yet-loaded",
        "sites_enabled",
        rf"change {SITE} 's|client_max_body_size 20m;|client_max_body_sise 20m;|'",
        "! nginx -t -q",
        finding("nginx-config-invalid", Line(SITE, "client_max_body_sise 20m;")),
        "The old configuration still answers; the next restart, such as of a reboot, would end it.",
    ),
    State(
        "include-gone-and-nginx-down",
        "snippets",
        """
        rm /etc/nginx/snippets/security-headers.conf
        systemctl stop nginx
        systemctl start nginx || true""",
        "! pgrep -x nginx",
        finding(
            "nginx-config-invalid",
            Line(
                "/etc/nginx/sites-enabled/guestbook.example.com",
                "include snippets/security-headers.conf;",
            ),
        ),
        "That it does not run has this cause.",
    ),
    State(
        "certificate-gone",
        "snippets",
        "mv /etc/nginx/tls/guestbook.crt /etc/nginx/tls/guestbook.crt.old",
        "! nginx -t -q",
        finding(
            "nginx-config-invalid",
            "/etc/nginx/tls/guestbook.crt",
            Line("/etc/nginx/sites-enabled/guestbook.example.com", "ssl_certificate "),
        ),
    ),
    State(
        "nginx-stopped",
        "sites_enabled",
        "systemctl stop nginx",
        "! pgrep -x nginx",
        finding("nginx-not-serving", "nginx", "nginx.service", "/usr/sbin/nginx"),
    ),
    State(
        "nginx-stopped-without-systemd",
        "bare_process",
        "/etc/init.d/nginx stop",
        "! pgrep -x nginx",
        finding("nginx-not-serving", "nginx", "nginx.service", "/usr/sbin/nginx"),
    ),
    State(
        "site-not-reloaded",
        "sites_enabled",
        rf"change {SITE} 's|client_max_body_size 20m;|client_max_body_size 30m;|'",
        f"grep --quiet 30m {SITE}",
        finding("nginx-reload-pending", SITE, "/etc/nginx/sites-available/guestbook"),
    ),
    State(
        "snippet-not-reloaded",
        "snippets",
        rf"change {STATIC} 's|no-cache|public, max-age=60|'",
        "header Cache-Control /static/css/site.css | grep --quiet no-cache"
        f" && grep --quiet max-age=60 {STATIC}",
        finding("nginx-reload-pending", STATIC),
    ),
    State(
        "name-taken-by-another-site",
        "many_sites",
        """
        change /etc/nginx/sites-enabled/docs 's|server_name docs|server_name guestbook.example.com docs|'
        reload_nginx""",
        "fetch / | grep --quiet '<title>Documents'",
        finding(
            "server-name-mismatch",
            Line(SITE, "server_name guestbook.example.com;"),
            Line("/etc/nginx/sites-enabled/docs", "server_name guestbook.example.com docs"),
        ),
        "Nginx ignores the second of two that claim a name, and says so in a warning only.",
    ),
    State(
        "server-name-of-flask-differs",
        "sites_enabled",
        """
        echo FLASK_SERVER_NAME=guestbook.example.org >> /etc/guestbook.env
        restart_app""",
        '[ "$(status /)" = 404 ]',
        finding(
            "server-name-mismatch",
            "SERVER_NAME of wsgi:app",
            Line(SITE, "server_name guestbook.example.com;"),
        ),
        "Flask 2.2 has no rule for another host; 3.1 makes wrong links outside of requests only.",
    ),
]

LOCATIONS = [
    State(
        "location-of-media-gone",
        "sites_enabled",
        rf"""
        change {SITE} '/location \^~ \/media\//,/^    \}}/d'
        reload_nginx""",
        '[ "$(status /media/note.txt)" = 404 ]',
        finding("location-missing", Line(SITE, "server {"), Line(SITE, "location / {"), "/media/"),
        "The app has a rule for it only to build links, so nobody serves uploads.",
    ),
    State(
        "location-of-media-under-prefix-gone",
        "prefix_script_name",
        rf"""
        change {CONF} 's|location \^~ /guestbook/uploads/|location ^~ /uploads/|'
        reload_nginx""",
        '[ "$(status /guestbook/uploads/note.txt)" = 404 ]',
        finding(
            "location-missing",
            # The first is of an upstream.
            Line(CONF, "server {", 2),
            Line(CONF, "location /guestbook/ {"),
            Line(CONF, "location ^~ /uploads/ {"),
            "/guestbook/uploads/",
        ),
        "The app's links begin with its prefix; the location forgets it.",
    ),
    State(
        "regex-for-assets",
        "uwsgi",
        rf"""
        change {CONF} 's/^    location \/static\/ /    location ~* \\.(css|js|png|jpg)$ {{\n        root \/var\/www\/html;\n        expires 30d;\n    }}\n\n&/'
        reload_nginx""",
        '[ "$(status /static/css/site.css)" = 404 ]',
        finding("location-shadowed", Line(CONF, "location ~* \\.(css|js|png|jpg)$ {")),
        "A regular expression goes before a prefix that is not marked ^~.",
    ),
    State(
        "regex-for-pictures-before-uploads",
        "docker",
        rf"""
        change {CONF} 's|location \^~ /media/ |location /media/ |'
        change {CONF} 's/^    location \/ /    location ~ \\.(png|jpg|gif)$ {{\n        root \/var\/www\/guestbook;\n        add_header X-Content-Type-Options nosniff always;\n    }}\n\n&/'
        reload_nginx""",
        '[ "$(status /media/cat.png)" = 404 ] && [ "$(status /media/note.txt)" = 200 ]',
        finding(
            "location-shadowed",
            Line(CONF, "location ~ \\.(png|jpg|gif)$ {"),
            Line(CONF, "location /media/ {"),
        ),
    ),
    State(
        "upload-endpoint-below-media",
        "sites_enabled",
        """
        echo FLASK_UPLOAD_RULE=/media/new >> /etc/guestbook.env
        restart_app""",
        '[ "$(curl --silent --unix-socket /run/guestbook/gunicorn.sock -o /dev/null -w %{http_code}'
        ' -F file=@/etc/hostname http://localhost/media/new)" = 201 ]',
        finding("location-swallows-endpoint", Line(SITE, "location ^~ /media/ {"), "/media/new"),
    ),
    State(
        "location-of-blueprint-too-wide",
        "snippets",
        rf"""
        change {STATIC} 's|location \^~ /admin/static/ |location ^~ /admin/ |'
        reload_nginx""",
        '[ "$(status /admin/)" = 403 ] && [ "$(status /admin/static/admin.css)" = 200 ]',
        finding("location-swallows-endpoint", Line(STATIC, "location ^~ /admin/ {"), "/admin/"),
    ),
    State(
        "location-of-blueprint-gone",
        "sites_enabled",
        rf"""
        change {SITE} '/location \^~ \/admin\/static\//,/^    \}}/d'
        reload_nginx""",
        "fetch /admin/static/admin.css | grep --quiet 'Content-Disposition: inline'",
        finding(
            "served-by-app", Line(SITE, "server {"), Line(SITE, "location / {"), "/admin/static/"
        ),
        "The app serves it still, so visitors see no fault.",
    ),
    State(
        "location-of-static-gone",
        "docker",
        rf"""
        change {CONF} '/location \^~ \/static\//,/^    \}}/d'
        reload_nginx""",
        "fetch /static/css/site.css | grep --quiet 'Content-Disposition: inline'",
        finding("served-by-app", Line(CONF, "server {"), Line(CONF, "location / {"), "/static/"),
    ),
    State(
        "static-falls-back-to-app",
        "accel",
        rf"""
        change {SITE} '0,/try_files/s|alias /srv/guestbook/src/guestbook/static/;|alias /srv/guestbook/src/static/;|'
        change {SITE} '0,/try_files/s|try_files \$uri =404;|try_files $uri @app;|'
        change {SITE} 's|^    location / \{{|    location @app {{\n        include proxy_params;\n        proxy_pass http://unix:/run/guestbook/app.sock;\n        proxy_set_header X-Forwarded-Host $host;\n        proxy_set_header X-Forwarded-Prefix "";\n    }}\n\n&|'
        reload_nginx""",
        "fetch /static/css/site.css | grep --quiet 'Content-Disposition: inline'",
        finding("alias-wrong-path", Line(SITE, "alias /srv/guestbook/src/static/;")),
        "try_files with the app last hides the wrong path: all is answered, all by the app. The cause is the path.",
    ),
    State(
        "uploads-by-app",
        "bare_process",
        rf"""
        change {CONF} 's|location \^~ /uploads/ |location ^~ /upload/ |'
        reload_nginx""",
        "fetch /uploads/note.txt | grep --quiet 'Content-Disposition: inline'",
        finding("served-by-app", Line(CONF, "server {"), Line(CONF, "location / {"), "/uploads/"),
        "The app's rule for development answers.",
    ),
    State(
        "static-proxied-by-its-location",
        "many_sites",
        rf"""
        change {SITE} '/location \^~ \/static\//,/^    \}}/c\    location ^~ /static/ {{\n        include proxy_params;\n        proxy_set_header X-Forwarded-Host $host;\n        proxy_set_header X-Forwarded-Prefix "";\n        proxy_pass http://unix:/run/guestbook/gunicorn.sock;\n    }}'
        reload_nginx""",
        "fetch /static/css/site.css | grep --quiet 'Content-Disposition: inline'",
        finding(
            "served-by-app",
            Line(SITE, "location ^~ /static/ {"),
            Line(SITE, "proxy_pass"),
            "/static/",
        ),
    ),
    State(
        "static-url-path-of-app-changed",
        "sites_enabled",
        """
        echo STATIC_URL_PATH=/assets >> /etc/guestbook.env
        restart_app""",
        "fetch / | grep --quiet /assets/css/site.css",
        finding("static-url-mismatch", Line(SITE, "location ^~ /static/ {"), "/assets/"),
        "The location leads to the folder of the app under a prefix that the app does not use.",
    ),
    State(
        "location-of-static-renamed",
        "prefix_stripped",
        rf"""
        change {PREFIX} 's|location \^~ /guestbook/static/|location ^~ /guestbook/assets/|'
        reload_nginx""",
        "fetch /guestbook/static/css/site.css | grep --quiet 'Content-Disposition: inline'",
        finding(
            "static-url-mismatch",
            Line(PREFIX, "location ^~ /guestbook/assets/ {"),
            "/guestbook/static/",
        ),
    ),
    State(
        "location-of-static-forgets-prefix",
        "prefix_script_name",
        rf"""
        change {CONF} 's|location \^~ /guestbook/static/|location ^~ /static/|'
        reload_nginx""",
        "fetch /guestbook/static/css/site.css | grep --quiet 'Content-Disposition: inline'",
        finding("static-url-mismatch", Line(CONF, "location ^~ /static/ {"), "/guestbook/static/"),
    ),
    State(
        "blueprint-without-prefix",
        "sites_enabled",
        r"""
        code=/srv/guestbook/app/guestbook
        install -d $code/widgets/static
        echo 'b { color: red; }' > $code/widgets/static/widget.css
        change $code/__init__.py 's|^    app.register_blueprint\(admin.blueprint\)|&\n    app.register_blueprint(Blueprint("widgets", __name__, static_folder="widgets/static"))|; s|^    Flask,|    Blueprint,\n&|'
        restart_app""",
        '[ "$(status /static/widget.css)" = 404 ] && [ -e /srv/guestbook/app/guestbook/widgets ]',
        finding(
            "blueprint-static-unreachable",
            "widgets.static",
            "/srv/guestbook/app/guestbook/widgets/static",
            "/static/",
        ),
        "The app's own /static/ goes before it (pallets/flask#348).",
    ),
]

EXPOSED = [
    State(
        "dotfiles-of-static",
        "sites_enabled",
        rf"""
        change {SITE} '/location \^~ \/static\//,/^    \}}/{{/location ~/,/\}}/d}}'
        echo SECRET=1 > /srv/guestbook/app/guestbook/static/.env
        reload_nginx""",
        '[ "$(status /static/.env)" = 200 ]',
        finding(
            "dotfile-exposed",
            Line(SITE, "location ^~ /static/ {"),
            "/srv/guestbook/app/guestbook/static/.env",
        ),
    ),
    State(
        "dotfile-rule-of-server-bypassed",
        "snippets",
        rf"""
        change {MEDIA} '/well-known/d'
        change /etc/nginx/sites-enabled/guestbook.example.com 's|^    location / |    location ~ /\\. {{ deny all; }}\n\n&|'
        echo SECRET=1 > /srv/www/guestbook/data/media/.env
        chown guestbook:www-data /srv/www/guestbook/data/media/.env
        reload_nginx""",
        '[ "$(status /media/.env)" = 200 ]',
        finding(
            "dotfile-exposed",
            Line(MEDIA, "location ^~ /media/ {"),
            "/srv/www/guestbook/data/media/.env",
        ),
        "^~ switches the server's regular expressions off.",
    ),
    State(
        "root-is-the-project",
        "sites_enabled",
        rf"""
        change {SITE} 's|^    location / \{{|    root /srv/guestbook/app;\n\n    location / {{\n        try_files $uri @app;\n    }}\n\n    location @app {{|'
        reload_nginx""",
        '[ "$(status /wsgi.py)" = 200 ]',
        finding(
            "project-root-exposed",
            Line(SITE, "root /srv/guestbook/app;"),
            Line(SITE, "try_files $uri @app;"),
            Line(SITE, "location / {"),
        ),
        "The code itself is served: that dotfiles are too is a part of it.",
    ),
    State(
        "root-of-server-is-the-project",
        "bare_process",
        rf"""
        change {CONF} 's|^    client_max_body_size|    root /opt/guestbook/src;\n&|; s|^    location / \{{|    location / {{\n        try_files $uri @app;\n    }}\n\n    location @app {{|'
        reload_nginx""",
        '[ "$(status /guestbook/__init__.py)" = 200 ]',
        finding(
            "project-root-exposed",
            Line(CONF, "root /opt/guestbook/src;"),
            Line(CONF, "try_files $uri @app;"),
            Line(CONF, "location / {"),
        ),
    ),
    State(
        "listing-of-media",
        "default_acl",
        rf"""
        change {CONF} 's|^        alias /data/uploads/;|&\n        autoindex on;|'
        reload_nginx""",
        "fetch /media/ | grep --quiet note.txt",
        finding(
            "directory-listing", Line(CONF, "autoindex on;"), Line(CONF, "location ^~ /media/ {")
        ),
    ),
    State(
        "listing-of-everything",
        "bare_process",
        rf"""
        change {CONF} 's|^    client_max_body_size|    autoindex on;\n&|'
        reload_nginx""",
        "fetch /static/ | grep --quiet css && fetch /uploads/ | grep --quiet note.txt",
        finding("directory-listing", Line(CONF, "autoindex on;")),
    ),
    State(
        "directory-of-uploads-is-a-link",
        "sites_enabled",
        """
        mv /srv/guestbook/media/2026 /srv/guestbook/2026
        ln -s /srv/guestbook/2026 /srv/guestbook/media/2026""",
        '[ "$(status /media/2026/note.txt)" = 404 ]',
        finding(
            "symlink-blocked",
            "/srv/guestbook/media/2026",
            Line(SITE, "disable_symlinks on from=$document_root;"),
        ),
    ),
    State(
        "link-to-the-release-is-blocked",
        "prefix_script_name",
        rf"""
        change {CONF} '0,/expires 1h;/s|expires 1h;|&\n        disable_symlinks on;|'
        reload_nginx""",
        '[ "$(status /guestbook/static/css/site.css)" != 200 ]',
        finding("symlink-blocked", Line(CONF, "disable_symlinks on;"), "/srv/guestbook/current"),
        "Without from= the link to the release counts too.",
    ),
    State(
        "regex-goes-round-password",
        "sites_enabled",
        rf"""
        echo 'ada:$apr1$x$GxXH0AGkrmT9vQ7jBgOCO1' > /etc/nginx/members
        change {SITE} 's|location \^~ /media/ \{{|location /media/ {{\n        auth_basic "Members";\n        auth_basic_user_file /etc/nginx/members;|'
        change {SITE} 's/^    location \/ /    location ~ \\.(png|jpg)$ {{\n        root \/srv\/guestbook;\n        add_header X-Content-Type-Options nosniff always;\n    }}\n\n&/'
        reload_nginx""",
        '[ "$(status /media/cat.png)" = 200 ] && [ "$(status /media/note.txt)" = 401 ]',
        finding(
            "auth-bypassed",
            Line(SITE, "location ~ \\.(png|jpg)$ {"),
            Line(SITE, "location /media/ {"),
        ),
        "It is in the way of the location too; what it lets through is the fault.",
    ),
]

STATES = [*ALIASES, *SERVERS, *LOCATIONS, *EXPOSED]
