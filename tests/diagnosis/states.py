"""Faults: each is one change that admins make on a host that was healthy, and what is to be said of it.

The expectations are what an expert would say who walked the whole way from URL to file. ``shows`` proves,
without the collection, that the change is a fault: it fails on the healthy host and passes on the broken.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """The line of a file on the broken host that has this text: what a component FILE:LINE names.

    :ivar nth: which of those that have it, from 1.
    """

    file: str
    text: str
    nth: int = 1


@dataclass(frozen=True)
class Expected:
    """A finding. Where experts could name one of several components, each of them is right.

    :ivar components: a text may have ``*`` and ``?``, as in ``process *``.
    """

    id: str
    components: tuple[Line | str, ...]


def finding(id: str, *components: Line | str) -> Expected:
    return Expected(id, components)


@dataclass(frozen=True)
class State:
    """One fault.

    :ivar host: a host of ``machine.SHAPES``.
    :ivar breaks: a script; it ends when the change is in effect.
    :ivar shows: a script, as said above.
    :ivar note: why this finding and this component, where that is not plain.
    """

    id: str
    host: str
    breaks: str
    shows: str
    expected: Expected
    note: str = ""


SITE = "/etc/nginx/sites-enabled/guestbook"
BARE = "/etc/nginx/conf.d/guestbook.conf"

STATES = [
    State(
        "alias-path-of-old-layout",
        "sites_enabled",
        f"change {SITE} 's|alias /srv/guestbook/app/guestbook/static/;|alias /srv/guestbook/app/static/;|'; reload_nginx",
        '[ "$(status /static/css/site.css)" = 404 ]',
        finding("alias-wrong-path", Line(SITE, "alias /srv/guestbook/app/static/;")),
    ),
    State(
        "alias-without-slash",
        "sites_enabled",
        f"change {SITE} 's|(alias /srv/guestbook/app/guestbook/static)/;|\\1;|'; reload_nginx",
        '[ "$(status /static/css/site.css)" = 404 ]',
        finding(
            "alias-wrong-path",
            Line(SITE, "alias /srv/guestbook/app/guestbook/static;"),
            Line(SITE, "location ^~ /static/ {"),
        ),
        "404 for every file (…/staticcss/site.css), and a sibling that begins alike can be read: the cause is one.",
    ),
    State(
        "location-without-slash",
        "sites_enabled",
        f"change {SITE} 's|location \\^~ /media/ |location ^~ /media |'; reload_nginx",
        '[ "$(status /media../app/wsgi.py)" = 200 ]',
        finding(
            "alias-traversal",
            Line(SITE, "location ^~ /media {"),
            Line(SITE, "alias /srv/guestbook/media/;"),
        ),
    ),
    State(
        "neither-has-a-slash",
        "sites_enabled",
        f"change {SITE} 's|location \\^~ /media/ |location ^~ /media |; s|alias /srv/guestbook/media/|alias /srv/guestbook/media|'\n"
        "install -d /srv/guestbook/media-backup; echo secret > /srv/guestbook/media-backup/dump.txt; reload_nginx",
        '[ "$(status /media-backup/dump.txt)" = 200 ]',
        finding(
            "alias-sibling-leak",
            Line(SITE, "location ^~ /media {"),
            Line(SITE, "alias /srv/guestbook/media;"),
        ),
    ),
    State(
        "root-and-prefix-both-end-in-static",
        "bare_process",
        f"change {BARE} '0,/root /s|root /var/www;|root /var/www/static;|'; reload_nginx",
        '[ "$(status /static/css/site.css)" = 404 ]',
        finding("root-doubled", Line(BARE, "root /var/www/static;")),
    ),
    State(
        "static-location-gone",
        "sites_enabled",
        f"change {SITE} 's|location \\^~ /admin/static/ |location ^~ /admin/assets/ |'; reload_nginx",
        "fetch /admin/static/admin.css | grep --quiet 'Content-Disposition: inline'",
        finding(
            "served-by-app",
            Line(SITE, "server {"),
            Line(SITE, "location / {"),
            "/admin/static/",
        ),
        "The app serves it still, so visitors see no fault; a location for a prefix that the app has not is harmless.",
    ),
    State(
        "home-is-private",
        "sites_enabled",
        "chmod 750 /srv/guestbook",
        '[ "$(status /static/css/site.css)" = 404 ] && [ "$(status /media/note.txt)" = 404 ]',
        finding("not-traversable", "/srv/guestbook"),
        "With try_files the status is 404. Static and media both end here: one cause.",
    ),
    State(
        "static-subdirectory-is-private",
        "sites_enabled",
        "chmod 700 /srv/guestbook/app/guestbook/static/css",
        '[ "$(status /static/css/site.css)" = 404 ] && [ "$(status /static/js/site.js)" = 200 ]',
        finding("not-traversable", "/srv/guestbook/app/guestbook/static/css"),
    ),
    State(
        "static-file-is-private",
        "bare_process",
        "chmod 600 /var/www/static/js/site.js",
        '[ "$(status /static/js/site.js)" = 403 ]',
        finding("not-readable", "/var/www/static/js/site.js"),
    ),
    State(
        "uploads-owned-by-root",
        "bare_process",
        "chown root:root /var/www/uploads",
        '[ "$(status /upload -F file=@/etc/hostname)" = 500 ]',
        finding("owner-id-mismatch", "/var/www/uploads"),
        "It was the app's, with the modes for that; flask_verify says the same of its own media root.",
    ),
    State(
        "uploads-not-writable",
        "bare_process",
        "chmod 555 /var/www/uploads",
        '[ "$(status /upload -F file=@/etc/hostname)" = 500 ]',
        finding("not-writable", "/var/www/uploads"),
    ),
    State(
        "body-limit-left-at-default",
        "bare_process",
        f"change {BARE} '/client_max_body_size/d'; reload_nginx",
        "head --bytes=2000000 /dev/zero > /tmp/big\n"
        '[ "$(status /upload -F file=@/tmp/big)" = 413 ]',
        finding("body-limit-nginx", Line(BARE, "server {"), Line(BARE, "location / {")),
        "Nothing limits the app here: it takes 16 MiB, by its own default.",
    ),
]
