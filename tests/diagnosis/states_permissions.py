"""Faults of who may pass, read and write. What is under systemd shows as the app's process has it."""

from __future__ import annotations

from typing import Any

from faults import State, finding

SITE = "/etc/nginx/sites-enabled/guestbook"
UNIT = "/etc/systemd/system/guestbook.service"
UPLOAD_FAILS = '[ "$(status /upload -F file=@/etc/hostname)" = 500 ]'
NEW_UPLOAD_IS_CLOSED = (
    "path=$(fetch /upload -F file=@/etc/hostname | tail -1);"
    ' case "$path" in /*) [ "$(status "$path")" != 200 ];; *) false;; esac'
)

PASSING = [
    State(
        "home-is-private",
        "sites_enabled",
        "chmod 750 /srv/guestbook",
        '[ "$(status /static/css/site.css)" = 404 ] && [ "$(status /media/note.txt)" = 404 ]',
        finding("not-traversable", "/srv/guestbook"),
        "With try_files the status is 404. Static and media both end here: one cause. So does the app's own way.",
    ),
    State(
        "top-directory-is-private",
        "many_sites",
        "chmod 700 /srv/ledger",
        'site=http://ledger.example.com:8080; [ "$(status /static/css/site.css)" = 404 ]',
        finding("not-traversable", "/srv/ledger"),
        "Only one of the two apps.",
    ),
    State(
        "home-of-the-app-user",
        "prefix_stripped",
        "chmod 700 /var/lib/guestbook",
        '[ "$(status /guestbook/media/note.txt)" = 404 ] && [ "$(status /guestbook/static/js/site.js)" = 200 ]',
        finding("not-traversable", "/var/lib/guestbook"),
        "As homes are on Ubuntu since 21.04; the app's own user gets in.",
    ),
    State(
        "release-is-private",
        "prefix_script_name",
        """
        chmod 700 /srv/guestbook/releases/20261101
        setfacl -m u:guestbook:rx /srv/guestbook/releases/20261101""",
        '[ "$(status /guestbook/static/css/site.css)" = 403 ]',
        finding("not-traversable", "/srv/guestbook/releases/20261101"),
        "Behind a link; an ACL lets the app in, and nobody thought of Nginx.",
    ),
    State(
        "static-subdirectory-is-private",
        "sites_enabled",
        "chmod 700 /srv/guestbook/app/guestbook/static/css",
        '[ "$(status /static/css/site.css)" = 404 ] && [ "$(status /static/js/site.js)" = 200 ]',
        finding("not-traversable", "/srv/guestbook/app/guestbook/static/css"),
    ),
    State(
        "static-copied-under-umask-077",
        "bare_process",
        "chmod -R go= /var/www/static",
        '[ "$(status /static/css/site.css)" = 403 ]',
        finding("not-traversable", "/var/www/static"),
        "All below is closed too; the first directory is the one to name.",
    ),
    State(
        "directory-of-uploads-is-private",
        "accel",
        "chmod 700 /srv/guestbook/data/public/2026",
        '[ "$(status /media/2026/note.txt)" = 404 ]',
        finding("not-traversable", "/srv/guestbook/data/public/2026"),
    ),
    State(
        "directory-of-socket-is-private",
        "headers",
        f"""
        change {UNIT} 's|RuntimeDirectoryMode=0750|RuntimeDirectoryMode=0700|'
        restart_app""",
        '[ "$(status /)" = 502 ] && [ "$(status /static/css/site.css)" = 200 ]',
        finding("not-traversable", "/run/guestbook"),
    ),
    State(
        "nginx-no-longer-in-the-group",
        "sites_enabled",
        """
        gpasswd --delete www-data uploads >/dev/null
        restart_nginx""",
        '[ "$(status /media/note.txt)" = 404 ] && [ "$(status /)" = 502 ]',
        finding("not-traversable", "/srv/guestbook/media", "/run/guestbook"),
        "One cause, two directories: either tells it, and the other is the same fault.",
    ),
]

READING = [
    State(
        "static-file-is-private",
        "bare_process",
        "chmod 600 /var/www/static/js/site.js",
        '[ "$(status /static/js/site.js)" = 403 ]',
        finding("not-readable", "/var/www/static/js/site.js"),
    ),
    State(
        "static-file-of-root-is-private",
        "snippets",
        "chmod 640 /srv/www/guestbook/public/admin/static/admin.css",
        '[ "$(status /admin/static/admin.css)" = 403 ]',
        finding("not-readable", "/srv/www/guestbook/public/admin/static/admin.css"),
    ),
    State(
        "upload-by-mkstemp",
        "sites_enabled",
        """
        printf '\\211PNG\\r\\n\\032\\n' > /srv/guestbook/media/tmpx3k2.png
        chown guestbook:uploads /srv/guestbook/media/tmpx3k2.png
        chmod 600 /srv/guestbook/media/tmpx3k2.png""",
        '[ -e /srv/guestbook/media/tmpx3k2.png ] && [ "$(status /media/tmpx3k2.png)" != 200 ]',
        finding("not-readable", "/srv/guestbook/media/tmpx3k2.png"),
        "The app's umask is right, a file was made for its owner alone.",
    ),
    State(
        "upload-moved-in",
        "snippets",
        """
        echo 'moved' > /tmp/moved.txt
        chown guestbook:guestbook /tmp/moved.txt
        chmod 640 /tmp/moved.txt
        mv /tmp/moved.txt /srv/www/guestbook/data/media/moved.txt""",
        '[ -e /srv/www/guestbook/data/media/moved.txt ] && [ "$(status /media/moved.txt)" = 403 ]',
        finding("not-readable", "/srv/www/guestbook/data/media/moved.txt"),
        "rename() keeps the group that the file had elsewhere.",
    ),
    State(
        "mask-of-directory",
        "default_acl",
        "chmod 700 /data/uploads",
        '[ "$(status /media/note.txt)" = 403 ]',
        finding("acl-mask", "/data/uploads"),
        "The ACL still has Nginx's entry; chmod has emptied its mask.",
    ),
    State(
        "mask-of-an-upload",
        "default_acl",
        "chmod 600 /data/uploads/cat.png",
        '[ "$(status /media/cat.png)" = 403 ]',
        finding("acl-mask", "/data/uploads/cat.png"),
    ),
    State(
        "umask-of-unit",
        "sites_enabled",
        f"""
        change {UNIT} 's|UMask=0027|UMask=0077|'
        restart_app""",
        NEW_UPLOAD_IS_CLOSED,
        finding("umask-too-tight", "process *", "guestbook.service", UNIT, f"{UNIT}:*"),
    ),
    State(
        "umask-of-init-script",
        "bare_process",
        """
        change /etc/init.d/guestbook 's|umask 022|umask 077|'
        restart_app""",
        NEW_UPLOAD_IS_CLOSED,
        finding("umask-too-tight", "process *"),
    ),
]

WRITING = [
    State(
        "uploads-owned-by-root",
        "bare_process",
        "chown root:root /var/www/uploads",
        UPLOAD_FAILS,
        finding("owner-id-mismatch", "/var/www/uploads"),
        "It was the app's, with the modes for that; flask_verify says the same of its own media root.",
    ),
    State(
        "uploads-restored-with-other-ids",
        "snippets",
        "chown -R 1234:www-data /srv/www/guestbook/data/media",
        UPLOAD_FAILS,
        finding("owner-id-mismatch", "/srv/www/guestbook/data/media"),
        "As after a backup of a host where the app's user had another id.",
    ),
    State(
        "container-runs-as-another-id",
        "docker",
        """
        change /usr/local/bin/guestbook-deploy 's|--user 1000:1000|--user 1001:1001|'
        restart_app""",
        UPLOAD_FAILS,
        finding("owner-id-mismatch", "/srv/guestbook/media", "/app/media"),
        "Names don't matter to the kernel, ids do.",
    ),
    State(
        "uploads-not-writable",
        "bare_process",
        "chmod 555 /var/www/uploads",
        UPLOAD_FAILS,
        finding("not-writable", "/var/www/uploads"),
    ),
    State(
        "uploads-lost-the-owners-w",
        "docker",
        "chmod u-w /srv/guestbook/media",
        UPLOAD_FAILS,
        finding("not-writable", "/srv/guestbook/media", "/app/media"),
    ),
    State(
        "unit-without-read-write-paths",
        "snippets",
        f"""
        change {UNIT} '/ReadWritePaths=/d'
        restart_app""",
        UPLOAD_FAILS,
        finding(
            "read-only-filesystem",
            "/srv/www/guestbook/data/media",
            "/",
            UNIT,
            f"{UNIT}:*",
            "guestbook.service",
        ),
        "ProtectSystem=strict; only in the view of the service is it read-only.",
    ),
    State(
        "uploads-mounted-read-only",
        "sites_enabled",
        """
        mount --bind /srv/guestbook/media /srv/guestbook/media
        mount -o remount,bind,ro /srv/guestbook/media
        restart_app""",
        UPLOAD_FAILS,
        finding("read-only-filesystem", "/srv/guestbook/media"),
    ),
    State(
        "volume-mounted-read-only",
        "docker",
        """
        change /usr/local/bin/guestbook-deploy 's|/srv/guestbook/media:/app/media|&:ro|'
        restart_app""",
        UPLOAD_FAILS,
        finding("read-only-filesystem", "/app/media", "/srv/guestbook/media"),
    ),
    State(
        "media-chmod-755",
        "bare_process",
        "chmod -R 755 /var/www/uploads",
        "[ -x /var/www/uploads/note.txt ]",
        finding("media-executable", "/var/www/uploads/*", "/var/www/uploads"),
        "As guides have it; 755 on files lets them be run.",
    ),
    State(
        "an-upload-is-executable",
        "sites_enabled",
        """
        echo '#!/bin/sh' > /srv/guestbook/media/install.sh
        chown guestbook:uploads /srv/guestbook/media/install.sh
        chmod 750 /srv/guestbook/media/install.sh""",
        "[ -x /srv/guestbook/media/install.sh ]",
        finding("media-executable", "/srv/guestbook/media/install.sh"),
    ),
    State(
        "media-chmod-777",
        "bare_process",
        "chmod 777 /var/www/uploads",
        "setpriv --reuid nobody --regid nogroup --clear-groups test -w /var/www/uploads",
        finding("media-world-writable", "/var/www/uploads"),
        "Nginx may write there too, as everybody may.",
    ),
    State(
        "an-upload-is-world-writable",
        "prefix_stripped",
        "chmod 666 /var/lib/guestbook/media/note.txt",
        "setpriv --reuid nobody --regid nogroup --clear-groups test -w /var/lib/guestbook/media/note.txt",
        finding("media-world-writable", "/var/lib/guestbook/media/note.txt"),
    ),
    State(
        "static-chowned-to-app",
        "bare_process",
        "chown -R guestbook /var/www/static",
        "setpriv --reuid guestbook --regid guestbook --clear-groups test -w /var/www/static/css/site.css",
        finding("static-writable-by-app", "/var/www/static"),
    ),
    State(
        "static-file-writable-to-group",
        "sites_enabled",
        """
        chgrp uploads /srv/guestbook/app/guestbook/static/js/site.js
        chmod g+w /srv/guestbook/app/guestbook/static/js/site.js""",
        "setpriv --reuid guestbook --regid uploads --clear-groups test -w /srv/guestbook/app/guestbook/static/js/site.js",
        finding("static-writable-by-app", "/srv/guestbook/app/guestbook/static/js/site.js"),
    ),
    State(
        "media-writable-to-shared-group",
        "sites_enabled",
        "chmod g+w /srv/guestbook/media",
        "setpriv --reuid www-data --regid www-data --init-groups test -w /srv/guestbook/media",
        finding("media-writable-by-nginx", "/srv/guestbook/media"),
    ),
    State(
        "acl-lets-nginx-write",
        "default_acl",
        "setfacl --recursive -m u:nginx:rwX /data/uploads",
        "setpriv --reuid nginx --regid nginx --clear-groups test -w /data/uploads",
        finding("media-writable-by-nginx", "/data/uploads"),
    ),
]


def by_selinux(module: str, answer: Any) -> Any:
    """Have it be SELinux that refuses Nginx the uploads: no kernel of a test machine enforces a policy.

    The refusal is real, by an entry of an ACL; its reason is put in the place of that entry.
    """
    if module == "nginx_config_info":
        answer["nginx"]["selinux"] = "enforcing"
    return _labelled(answer)


def _labelled(value: Any) -> Any:
    if isinstance(value, list):
        return [_labelled(element) for element in value]
    if not isinstance(value, dict):
        return value
    labelled = {name: _labelled(element) for name, element in value.items()}
    if "/srv/guestbook/media" in (value.get("component"), value.get("path")):
        if value.get("reason") in ("not-traversable", "not-readable"):
            labelled["reason"] = "selinux-label"
        for name, none in (("acl", False), ("acl_entries", []), ("mask", None)):
            if name in value:
                labelled[name] = type(value[name])() if name == "acl" else none
    return labelled


SELINUX = [
    State(
        "label-of-uploads",
        "sites_enabled",
        "setfacl -m u:www-data:--- /srv/guestbook/media",
        '[ "$(status /media/note.txt)" = 404 ]',
        finding("selinux-label", "/srv/guestbook/media"),
        "Moved in from a home directory, with its label.",
        by_selinux,
    ),
]

STATES = [*PASSING, *READING, *WRITING, *SELINUX]
