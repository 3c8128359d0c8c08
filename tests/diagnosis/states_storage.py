"""Faults of where files lie, and whether they last."""

from __future__ import annotations

from faults import Line, State, finding

SITE = "/etc/nginx/sites-enabled/guestbook"
CONF = "/etc/nginx/conf.d/guestbook.conf"
UPLOAD_FOLDER = "UPLOAD_FOLDER of wsgi:app"

STATES = [
    State(
        "uploads-within-static",
        "bare_process",
        rf"""
        install -d --owner guestbook --group guestbook /var/www/static/uploads
        mv /var/www/uploads/* /var/www/static/uploads/
        rmdir /var/www/uploads
        change /etc/init.d/guestbook 's|/var/www/uploads|/var/www/static/uploads|'
        change {CONF} '/location \^~ \/uploads\//,/^    \}}/s|root /var/www;|alias /var/www/static/uploads/;|'
        restart_app
        reload_nginx""",
        '[ "$(status /static/uploads/note.txt)" = 200 ]',
        finding("shared-directory", "/var/www/static/uploads", "/var/www/static"),
    ),
    State(
        "static-and-media-are-one",
        "uwsgi",
        rf"""
        change /etc/uwsgi/guestbook.ini 's|/var/lib/guestbook/files|/var/lib/guestbook/assets/static|'
        change {CONF} 's|alias /var/lib/guestbook/files/;|alias /var/lib/guestbook/assets/static/;|'
        chown guestbook:www-data /var/lib/guestbook/assets/static
        chmod 2750 /var/lib/guestbook/assets/static
        restart_app
        reload_nginx""",
        '[ "$(status /files/css/site.css)" = 200 ]',
        finding("shared-directory", "/var/lib/guestbook/assets/static"),
        "That the app may write static files follows from it.",
    ),
    State(
        "uploads-within-the-code",
        "sites_enabled",
        rf"""
        mv /srv/guestbook/media /srv/guestbook/app/media
        change /etc/guestbook.env 's|/srv/guestbook/media|/srv/guestbook/app/media|'
        change {SITE} 's|alias /srv/guestbook/media/;|alias /srv/guestbook/app/media/;|'
        restart_app
        reload_nginx""",
        "[ -d /srv/guestbook/app/media ]",
        finding("media-in-release", "/srv/guestbook/app/media"),
        "What replaces the code, such as a clone of its repository, replaces the uploads.",
    ),
    State(
        "uploads-within-the-release",
        "prefix_script_name",
        rf"""
        mv /srv/guestbook/shared/uploads /srv/guestbook/releases/20261101/uploads
        change /etc/default/guestbook 's|/srv/guestbook/shared/uploads|/srv/guestbook/current/uploads|'
        change {CONF} 's|alias /srv/guestbook/shared/uploads/;|alias /srv/guestbook/current/uploads/;|'
        restart_app
        reload_nginx""",
        "[ -d /srv/guestbook/current/uploads ]",
        finding(
            "media-in-release",
            "/srv/guestbook/current/uploads",
            "/srv/guestbook/releases/20261101/uploads",
        ),
    ),
    State(
        "container-without-volume",
        "docker",
        """
        change /usr/local/bin/guestbook-deploy 's|--volume /srv/guestbook/media:/app/media ||'
        install -d --owner guestbook --group guestbook /usr/local/src/guestbook-image/app/media
        restart_app""",
        'path=$(fetch /upload -F file=@/etc/hostname | tail -1); [ "$(status "$path")" = 404 ]',
        finding(
            "media-ephemeral",
            "/app/media",
            "guestbook",
            "container guestbook",
            "guestbook:/app/media",
        ),
        "Uploads are in the container's own layer; that Nginx looks elsewhere follows from it.",
    ),
    State(
        "uploads-in-private-tmp",
        "sites_enabled",
        rf"""
        change /etc/guestbook.env 's|/srv/guestbook/media|/tmp|'
        change {SITE} 's|alias /srv/guestbook/media/;|alias /tmp/;|'
        restart_app
        reload_nginx""",
        'path=$(fetch /upload -F file=@/etc/hostname | tail -1); [ "$(status "$path")" = 404 ]',
        finding("media-ephemeral", "/tmp"),
        "PrivateTmp=yes: the app's /tmp is not Nginx's, and ends with the service.",
    ),
    State(
        "app-writes-elsewhere",
        "sites_enabled",
        """
        install -d --owner guestbook --group uploads --mode 2750 /srv/guestbook/uploads
        change /etc/guestbook.env 's|/srv/guestbook/media|/srv/guestbook/uploads|'
        restart_app""",
        'path=$(fetch /upload -F file=@/etc/hostname | tail -1); [ "$(status "$path")" = 404 ]',
        finding(
            "upload-folder-mismatch", UPLOAD_FOLDER, Line(SITE, "alias /srv/guestbook/media/;")
        ),
    ),
    State(
        "nginx-serves-elsewhere",
        "accel",
        rf"""
        install -d --owner guestbook --group web --mode 2750 /srv/guestbook/data/old
        change {SITE} 's|alias /srv/guestbook/data/public/;|alias /srv/guestbook/data/old/;|'
        reload_nginx""",
        '[ "$(status /media/note.txt)" = 404 ]',
        finding(
            "upload-folder-mismatch", UPLOAD_FOLDER, Line(SITE, "alias /srv/guestbook/data/old/;")
        ),
    ),
    State(
        "upload-folder-not-set",
        "bare_process",
        """
        install -d --owner guestbook --group guestbook /srv/guestbook/media
        change /etc/init.d/guestbook '/FLASK_UPLOAD_FOLDER/d'
        restart_app""",
        'path=$(fetch /upload -F file=@/etc/hostname | tail -1); [ -e "/srv/guestbook/media/${path##*/}" ]',
        finding("upload-folder-mismatch", UPLOAD_FOLDER, Line(CONF, "root /var/www;", 2)),
        "The app's own default is another directory.",
    ),
    State(
        "volume-of-another-directory",
        "docker",
        """
        install -d --owner guestbook --group www-data --mode 2750 /srv/guestbook/uploads
        change /usr/local/bin/guestbook-deploy 's|/srv/guestbook/media:|/srv/guestbook/uploads:|'
        restart_app""",
        'path=$(fetch /upload -F file=@/etc/hostname | tail -1); [ "$(status "$path")" = 404 ]',
        finding(
            "upload-folder-mismatch",
            UPLOAD_FOLDER,
            Line(CONF, "alias /srv/guestbook/media/;"),
            "/srv/guestbook/uploads",
        ),
    ),
    State(
        "upload-folder-relative",
        "sites_enabled",
        """
        install -d --owner guestbook --group uploads --mode 2750 /srv/guestbook/app/uploads
        change /etc/guestbook.env 's|/srv/guestbook/media|uploads|'
        restart_app""",
        'path=$(fetch /upload -F file=@/etc/hostname | tail -1); [ -e "/srv/guestbook/app/uploads/${path##*/}" ]',
        finding("upload-folder-relative", UPLOAD_FOLDER),
        "file.save() takes it from the working directory, send_from_directory() from the package.",
    ),
    State(
        "upload-folder-relative-and-not-there",
        "uwsgi",
        """
        change /etc/uwsgi/guestbook.ini 's|/var/lib/guestbook/files|files|'
        restart_app""",
        '[ "$(status /upload -F file=@/etc/hostname)" = 500 ]',
        finding("upload-folder-relative", UPLOAD_FOLDER),
    ),
    State(
        "media-directory-gone",
        "sites_enabled",
        "rm -r /srv/guestbook/media",
        '[ "$(status /upload -F file=@/etc/hostname)" = 500 ]',
        finding("media-missing", "/srv/guestbook/media"),
    ),
    State(
        "link-to-media-leads-nowhere",
        "default_acl",
        """
        mv /data/uploads /data/uploads.old
        ln -s /mnt/storage/uploads /data/uploads""",
        '[ "$(status /upload -F file=@/etc/hostname)" = 500 ]',
        finding("media-missing", "/data/uploads", "/mnt/storage", "/mnt/storage/uploads"),
    ),
    State(
        "static-directory-gone",
        "bare_process",
        "rm -r /var/www/static",
        '[ "$(status /static/css/site.css)" = 404 ]',
        finding("static-missing", "/var/www/static"),
    ),
    State(
        "static-file-of-new-release-not-copied",
        "snippets",
        """
        echo 'p { margin: 0; }' > /usr/local/lib/guestbook/src/guestbook/static/css/new.css
        restart_app""",
        '[ "$(status /static/css/new.css)" = 404 ] && [ -e /usr/local/lib/guestbook/src/guestbook/static/css/new.css ]',
        finding(
            "static-missing",
            "/srv/www/guestbook/public/static",
            "/srv/www/guestbook/public/static/css/new.css",
        ),
    ),
    State(
        "static-of-last-release",
        "uwsgi",
        """
        echo 'p { margin: 0; }' >> /opt/guestbook/src/guestbook/static/css/site.css
        restart_app""",
        "! cmp -s /opt/guestbook/src/guestbook/static/css/site.css /var/lib/guestbook/assets/static/css/site.css",
        finding(
            "static-missing",
            "/var/lib/guestbook/assets/static",
            "/var/lib/guestbook/assets/static/css/site.css",
        ),
        "What is served is not what the app has: flask_verify calls it so.",
    ),
    State(
        "uploads-not-mounted",
        "sites_enabled",
        """
        mv /srv/guestbook/media /srv/guestbook/disk
        install -d /srv/guestbook/media
        echo 'UUID=0f2c7e9e-5f0e-4bd5-9a6a-2a4d1e5f7c11 /srv/guestbook/media ext4 defaults,nofail 0 2' >> /etc/fstab""",
        '[ "$(status /media/note.txt)" = 404 ]',
        finding("mount-missing", "/srv/guestbook/media"),
        "That the directory below is root's follows from it.",
    ),
    State(
        "parent-of-uploads-not-mounted",
        "accel",
        """
        mv /srv/guestbook/data /srv/guestbook/disk
        install -d /srv/guestbook/data
        echo '/dev/disk/by-label/data /srv/guestbook/data ext4 defaults,nofail,x-systemd.device-timeout=5 0 2' >> /etc/fstab""",
        '[ "$(status /media/cat.png)" = 404 ]',
        finding("mount-missing", "/srv/guestbook/data"),
        "The downloads are there too: one mount, one fault.",
    ),
    State(
        "volume-over-static-of-image",
        "docker",
        """
        change /usr/local/bin/guestbook-deploy 's|--volume /srv/guestbook/media|--volume static:/app/guestbook/static &|'
        restart_app
        echo 'p { margin: 0; }' > /usr/local/src/guestbook-image/app/guestbook/static/css/new.css
        restart_app""",
        "[ -e /usr/local/src/guestbook-image/app/guestbook/static/css/new.css ]"
        " && ! docker exec guestbook test -e /app/guestbook/static/css/new.css",
        finding(
            "volume-hides-static",
            "/app/guestbook/static",
            "static",
            "guestbook:/app/guestbook/static",
            "volume static",
        ),
        "A volume is filled when it is empty, and never again: what a new image has is not seen.",
    ),
    State(
        "disk-of-uploads-full",
        "sites_enabled",
        """
        use_loop_devices
        truncate --size=8M /var/uploads.img
        mkfs.ext4 -q -m 0 /var/uploads.img
        mv /srv/guestbook/media /srv/guestbook/media.old
        install -d /srv/guestbook/media
        echo '/var/uploads.img /srv/guestbook/media ext4 loop 0 2' >> /etc/fstab
        mount /srv/guestbook/media
        cp -a /srv/guestbook/media.old/. /srv/guestbook/media/
        rm -r /srv/guestbook/media.old /srv/guestbook/media/lost+found
        cat /dev/zero > /srv/guestbook/media/film.mp4 2>/dev/null || true
        chown guestbook:uploads /srv/guestbook/media/film.mp4
        chmod 640 /srv/guestbook/media/film.mp4
        restart_app""",
        '[ "$(status /upload -F file=@/bin/ls)" = 500 ]'
        " && journalctl --unit guestbook | grep --quiet 'No space left on device'",
        finding("disk-full", "/srv/guestbook/media"),
    ),
]
