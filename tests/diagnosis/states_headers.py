"""Faults of caching, of types, and of what a browser is told."""

from __future__ import annotations

from faults import Line, State, finding

SITE = "/etc/nginx/sites-enabled/guestbook"
CONF = "/etc/nginx/conf.d/guestbook.conf"
STATIC, MEDIA = "/etc/nginx/snippets/flask-static.conf", "/etc/nginx/snippets/flask-media.conf"
PREFIX = "/etc/nginx/sites-enabled/default"

CACHING = [
    State(
        "expires-and-cache-control",
        "sites_enabled",
        rf"""
        change {SITE} '0,/add_header Cache-Control/s|^( *)add_header Cache-Control|\1expires 1h;\n&|'
        reload_nginx""",
        '[ "$(header Cache-Control /static/css/site.css | wc -l)" = 2 ]',
        finding(
            "cache-control-duplicate",
            Line(SITE, "expires 1h;"),
            Line(SITE, 'add_header Cache-Control "public, max-age=3600";'),
        ),
    ),
    State(
        "cache-control-beside-expires",
        "prefix_script_name",
        rf"""
        change {CONF} 's|^( *)expires -1;|&\n\1add_header Cache-Control "private";|'
        reload_nginx""",
        '[ "$(header Cache-Control /guestbook/uploads/note.txt | wc -l)" = 2 ]',
        finding(
            "cache-control-duplicate",
            Line(CONF, "expires -1;"),
            Line(CONF, 'add_header Cache-Control "private";'),
        ),
    ),
    State(
        "immutable-without-hash",
        "snippets",
        rf"""
        change {STATIC} '0,/no-cache/s|"no-cache"|"public, max-age=31536000, immutable"|'
        reload_nginx""",
        "header Cache-Control /static/css/site.css | grep --quiet immutable",
        finding("immutable-unversioned", Line(STATIC, "immutable")),
    ),
    State(
        "expires-max",
        "prefix_script_name",
        rf"""
        change {CONF} '0,/expires 1h;/s|expires 1h;|expires max;|'
        reload_nginx""",
        "header Cache-Control /guestbook/static/css/site.css | grep --quiet 315360000",
        finding("immutable-unversioned", Line(CONF, "expires max;")),
        "Ten years, and the name of the file never changes.",
    ),
    State(
        "immutable-by-map",
        "headers",
        """
        change /etc/nginx/h5/cache.conf 's|    default "no-cache";|    default "public, max-age=31536000, immutable";|'
        reload_nginx""",
        "header Cache-Control /static/css/site.css | grep --quiet immutable",
        finding(
            "immutable-unversioned",
            Line("/etc/nginx/h5/cache.conf", 'default "public, max-age=31536000, immutable";'),
            Line("/etc/nginx/h5/cache.conf", "map $uri $cache_control {"),
            Line(
                "/etc/nginx/conf.d/guestbook.example.com.conf",
                "add_header Cache-Control $cache_control;",
            ),
        ),
    ),
    State(
        "cache-control-always",
        "docker",
        rf"""
        change {CONF} '0,/max-age=300"/s|max-age=300"|& always|'
        reload_nginx""",
        "header Cache-Control /static/no-such-file.css | grep --quiet max-age=300",
        finding("error-cacheable", Line(CONF, 'max-age=300" always;')),
    ),
    State(
        "missing-page-cacheable",
        "sites_enabled",
        rf"""
        change {SITE} 's|"no-store" always|"public, max-age=86400" always|'
        reload_nginx""",
        "header Cache-Control /static/no-such-file.css | grep --quiet 86400",
        finding(
            "error-cacheable",
            Line(SITE, '"public, max-age=86400" always;'),
            Line(SITE, "location @missing {"),
        ),
    ),
    State(
        "gz-of-old-style-sheet",
        "headers",
        r"""
        file=/var/www/guestbook/current/guestbook/static/css/site.css
        echo 'p { margin: 0; }' >> $file
        touch -d '1 minute ago' $file
        touch -d '1 hour ago' $file.gz""",
        "fetch /static/css/site.css | grep --quiet margin:.0"
        " && ! fetch /static/css/site.css --compressed | grep --quiet margin:.0",
        finding(
            "precompressed-stale", "/var/www/guestbook/current/guestbook/static/css/site.css.gz"
        ),
    ),
    State(
        "gz-of-another-file",
        "headers",
        r"""
        static=/var/www/guestbook/current/guestbook/static
        gzip --stdout $static/js/module.mjs > $static/js/site.js.gz
        touch --reference=$static/js/site.js $static/js/site.js.gz""",
        "fetch /static/js/site.js --compressed | grep --quiet greeting",
        finding("precompressed-stale", "/var/www/guestbook/current/guestbook/static/js/site.js.gz"),
        "Of the same time; only its content tells.",
    ),
]

HEADERS = [
    State(
        "server-headers-lost-in-location",
        "bare_process",
        rf"""
        change {CONF} '/location \^~ \/uploads\//s|$|\n        add_header Cache-Control "no-cache";|'
        reload_nginx""",
        '[ -z "$(header X-Content-Type-Options /uploads/note.txt)" ]',
        finding(
            "headers-dropped",
            Line(CONF, 'add_header Cache-Control "no-cache";'),
            Line(CONF, "location ^~ /uploads/ {"),
        ),
        "Any add_header ends the inheritance of all others.",
    ),
    State(
        "include-of-headers-forgotten",
        "snippets",
        rf"""
        change {STATIC} '0,/security-headers/{{/security-headers/d}}'
        reload_nginx""",
        '[ -z "$(header X-Content-Type-Options /static/css/site.css)" ]',
        finding(
            "headers-dropped",
            Line(STATIC, 'add_header Cache-Control "no-cache";'),
            Line(STATIC, "location ^~ /static/ {"),
        ),
    ),
    State(
        "headers-lost-for-fonts",
        "many_sites",
        r"""
        change /etc/nginx/sites-enabled/guestbook 's|^( *)alias /srv/guestbook/app/guestbook/static/;|&\n\1location ~ \\.css$ {\n\1    add_header Access-Control-Allow-Origin https://example.org;\n\1}|'
        reload_nginx""",
        '[ -z "$(header X-Content-Type-Options /static/css/site.css)" ]',
        finding(
            "headers-dropped",
            Line(SITE, "add_header Access-Control-Allow-Origin"),
            Line(SITE, "location ~ \\.css$ {"),
        ),
    ),
    State(
        "mjs-without-type",
        "sites_enabled",
        """
        rm /etc/nginx/conf.d/mjs.conf
        reload_nginx""",
        "header Content-Type /static/js/module.mjs | grep --quiet octet-stream",
        finding(
            "mime-type-missing",
            "/etc/nginx/mime.types",
            "/etc/nginx/mime.types:*",
            Line("/etc/nginx/nginx.conf", "include /etc/nginx/mime.types;"),
            Line(SITE, "location ^~ /static/ {"),
            "/srv/guestbook/app/guestbook/static/js/module.mjs",
            "/static/js/module.mjs",
        ),
        "Browsers run no module of that type.",
    ),
    State(
        "font-without-type",
        "accel",
        """
        install -d /srv/guestbook/src/guestbook/static/fonts
        echo font > /srv/guestbook/src/guestbook/static/fonts/text.ttf""",
        "header Content-Type /static/fonts/text.ttf | grep --quiet octet-stream",
        finding(
            "mime-type-missing",
            "/etc/nginx/mime.types",
            "/etc/nginx/mime.types:*",
            Line("/etc/nginx/nginx.conf", "include /etc/nginx/mime.types;"),
            Line(SITE, "location ^~ /static/ {"),
            "/srv/guestbook/src/guestbook/static/fonts/text.ttf",
            "/static/fonts/text.ttf",
        ),
    ),
    State(
        "types-of-location-replace-all",
        "docker",
        rf"""
        change {CONF} 's|^( *)alias /var/www/guestbook/static/;|&\n\1types {{ text/javascript mjs; }}|'
        reload_nginx""",
        "header Content-Type /static/css/site.css | grep --quiet octet-stream",
        finding("types-replaced", Line(CONF, "types { text/javascript mjs; }")),
    ),
    State(
        "types-of-server-replace-all",
        "many_sites",
        """
        change /etc/nginx/conf.d/http.conf '/^types/,/^}/d'
        change /etc/nginx/sites-enabled/guestbook 's|^    client_max_body_size|    types { text/javascript mjs; }\\n&|'
        change /etc/nginx/mime.types 's| js;| js mjs;|'
        reload_nginx""",
        "header Content-Type /static/css/site.css | grep --quiet octet-stream",
        finding("types-replaced", Line(SITE, "types { text/javascript mjs; }")),
        "What was meant as an addition is the whole list of this server block.",
    ),
]

ACTIVE = [
    State(
        "uploads-without-protection",
        "sites_enabled",
        rf"""
        change {SITE} '/add_header Content-(Disposition|Security-Policy)/d'
        reload_nginx""",
        '[ "$(header Content-Type /media/page.html)" = text/html ] && [ -z "$(header Content-Disposition /media/page.html)" ]',
        finding("active-media", Line(SITE, "location ^~ /media/ {")),
        "An upload runs scripts in the name of the site.",
    ),
    State(
        "uploads-with-all-types",
        "bare_process",
        rf"""
        change {CONF} '/types \{{/,/\}}/d'
        reload_nginx""",
        '[ "$(header Content-Type /uploads/page.html)" = text/html ]',
        finding("active-media", Line(CONF, "location ^~ /uploads/ {")),
    ),
    State(
        "uploads-without-extension-are-html",
        "prefix_script_name",
        rf"""
        change {CONF} 's|default_type application/octet-stream;|default_type text/html;|'
        reload_nginx""",
        '[ "$(header Content-Type /guestbook/uploads/page.html)" = text/html ]',
        finding(
            "active-media",
            Line(CONF, "default_type text/html;"),
            Line(CONF, "location ^~ /guestbook/uploads/ {"),
        ),
    ),
    State(
        "svg-shown-inline",
        "snippets",
        r"""
        change /etc/nginx/conf.d/mime-supplement.conf 's/image\/\(\?:png/image\/(?:svg\\+xml|png/'
        change /etc/nginx/snippets/flask-media.conf '/Content-Security-Policy/d'
        reload_nginx""",
        "header Content-Disposition /media/drawing.svg | grep --quiet inline",
        finding(
            "active-media",
            Line(MEDIA, "location ^~ /media/ {"),
            Line(MEDIA, "add_header Content-Disposition $media_disposition;"),
            Line("/etc/nginx/conf.d/mime-supplement.conf", "svg"),
        ),
        "An SVG is a document with scripts.",
    ),
    State(
        "disposition-map-without-empty-entry",
        "sites_enabled",
        rf"""
        change {SITE} '/^    "" "";/d'
        reload_nginx""",
        "etag=$(header ETag /media/cat.png);"
        ' [ -n "$(header Content-Disposition /media/cat.png -H "If-None-Match: $etag")" ]',
        finding(
            "disposition-on-304",
            Line(SITE, "map $sent_http_content_type $guestbook_disposition {"),
            Line(SITE, "default attachment;"),
            Line(SITE, "add_header Content-Disposition $guestbook_disposition;"),
        ),
    ),
    State(
        "pdf-in-a-sandbox",
        "headers",
        """
        change /etc/nginx/h5/security.conf '/application.pdf" "default-src/d'
        reload_nginx""",
        "header Content-Security-Policy /media/paper.pdf | grep --quiet sandbox",
        finding(
            "pdf-sandboxed",
            Line(
                "/etc/nginx/conf.d/guestbook.example.com.conf",
                "add_header Content-Security-Policy $upload_policy",
            ),
            Line("/etc/nginx/h5/security.conf", "map $sent_http_content_type $upload_policy {"),
            Line("/etc/nginx/h5/security.conf", "default \"default-src 'none'; sandbox\";"),
        ),
        "It is to be shown inline, and no browser shows a PDF in a sandbox.",
    ),
    State(
        "pdf-inline-in-a-sandbox",
        "sites_enabled",
        rf"""
        change {SITE} 's|^    "~\^text/plain" "";|&\n    "application/pdf" "";|'
        reload_nginx""",
        '[ -z "$(header Content-Disposition /media/paper.pdf)" ]',
        finding(
            "pdf-sandboxed",
            Line(
                SITE, "add_header Content-Security-Policy \"default-src 'none'; sandbox\" always;"
            ),
            Line(SITE, '"application/pdf" "";'),
        ),
    ),
]

STATES = [*CACHING, *HEADERS, *ACTIVE]
