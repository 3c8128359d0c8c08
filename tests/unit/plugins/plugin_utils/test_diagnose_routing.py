"""Which location, root or alias is at fault, on hosts made up; each fault one finding, and none without."""

from __future__ import annotations

import typing as t

import pytest

from tests.unit import diagnosis
from tests.unit.made_host import Host

CODE = "/opt/gallery/src/gallery/static"
FILES = {
    f"{CODE}/css/site.css": "body {}",
    f"{CODE}/js/site.js": "let a;",
    "/opt/gallery/src/wsgi.py": "app = 1",
    "/opt/gallery/src/gallery/__init__.py": "import flask",
    "/var/www/gallery/static/css/site.css": "body {}",
    "/var/www/gallery/static/js/site.js": "let a;",
    "/var/www/gallery/media/cat.png": "PNG",
    "/var/www/gallery/media/note.txt": "Hello",
}
ADMIN = "/opt/gallery/src/gallery/admin/static"
MOUNTS = diagnosis.APP["mounts"]
ADMIN_MOUNT = {**MOUNTS[0], "endpoint": "admin.static", "url": "/admin/static/", "folder": ADMIN}
STATIC = "location ^~ /static/ {\n        alias /var/www/gallery/static/;"
MEDIA = "location ^~ /media/ {\n        alias /var/www/gallery/media/;"
APP = "location / {"


def conf(*changes: tuple[str, str]) -> str:
    """Return the healthy site's configuration with changes, each of which has to be one."""
    text = diagnosis.SITE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def found(host: Host) -> list[tuple[str, str, str]]:
    """Return ids, severities, and the lines that components name."""
    lines = host.case.nginx["files"][1]["content"].splitlines()
    told = []
    for finding in host.findings():
        file, _colon, line = finding.component.rpartition(":")
        is_line = file == diagnosis.CONF
        component = lines[int(line) - 1].strip() if is_line else finding.component
        told.append((finding.id, finding.severity, component))
    return told


def rule(text: str, *methods: str, endpoint: str = "view", **more: t.Any) -> dict[str, t.Any]:
    return {"rule": text, "endpoint": endpoint, "methods": [*methods], "build_only": False, **more}


@pytest.mark.parametrize(
    "changes",
    [
        [],
        # A root in place of an alias, and a directory of the same name in the URL
        [(STATIC, "location ^~ /static/ {\n root /var/www/gallery;")],
        # Without slashes, where nothing lies beside: as root is documented
        [(MEDIA, "location ^~ /media {\n root /var/www/gallery;")],
        # One file is no directory, whatever slashes lack.
        [(APP, "location /favicon.ico { alias /var/www/gallery/static/css/site.css; }\n" + APP)],
        # Regex locations that serve the same files, with other headers
        [
            (STATIC, "location /static/ {\n alias /var/www/gallery/static/;"),
            (APP, "location ~ [.]css$ { root /var/www/gallery; expires 30d; }\n" + APP),
        ],
        [(MEDIA, MEDIA + " location ~ [.](?:png|jpg)$ { add_header X-Seen yes; }")],
        # What is never shown may be refused.
        [(MEDIA, MEDIA + " location ~ [.](?:php|py)$ { deny all; }")],
        # A list of something that is nobody's upload
        [(APP, "location ^~ /mirror/ { alias /srv/mirror/; autoindex on; }\n" + APP)],
        # The files of the app itself, in its own folder
        [("/var/www/gallery/static/", f"{CODE}/")],
        [(APP, "location ^~ /_files/ { internal; alias /var/www/gallery/media/; }\n" + APP)],
    ],
)
def test_what_is_right_gives_nothing(changes: list[tuple[str, str]]) -> None:
    files = {**FILES, "/srv/mirror/a.iso": "a"}
    assert found(Host(conf(*changes), files)) == []


def test_what_lies_in_the_release_behind_a_link_is_the_same_file() -> None:
    files = {path.replace("/var/www/gallery", "/var/www/r1"): text for path, text in FILES.items()}
    links = {"/var/www/gallery": "/var/www/r1"}
    assert found(Host(conf(), files, links=links)) == []


# Slashes and paths


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            [(MEDIA, "location ^~ /media {\n alias /var/www/gallery/media/;")],
            ("alias-traversal", "error", "alias /var/www/gallery/media/;"),
        ),
        (
            [(STATIC, "location /static {\n alias /var/www/gallery/static/;")],
            ("alias-traversal", "error", "alias /var/www/gallery/static/;"),
        ),
        (
            [(MEDIA, "location ^~ /media {\n alias /var/www/gallery/media;")],
            ("alias-sibling-leak", "warning", "alias /var/www/gallery/media;"),
        ),
        (
            [(STATIC, "location ^~ /static/ {\n alias /var/www/gallery/static;")],
            ("alias-wrong-path", "error", "alias /var/www/gallery/static;"),
        ),
        (
            [(STATIC, "location ^~ /static/ {\n alias /var/www/galery/static/;")],
            ("alias-wrong-path", "error", "alias /var/www/galery/static/;"),
        ),
        (
            [(MEDIA, "location ^~ /media/ {\n alias /var/www/gallery/medias/;")],
            ("alias-wrong-path", "error", "alias /var/www/gallery/medias/;"),
        ),
        (
            [(STATIC, "location ^~ /static/ {\n root /var/www/gallery/static;")],
            ("root-doubled", "error", "root /var/www/gallery/static;"),
        ),
        (
            [(MEDIA, "location ^~ /media/ {\n root /var/www/gallery/media;")],
            ("root-doubled", "error", "root /var/www/gallery/media;"),
        ),
        (
            [(STATIC, "location ^~ /static/ {\n alias gallery/static/;")],
            ("relative-path", "error", "alias gallery/static/;"),
        ),
        (
            [(MEDIA, "location ^~ /media/ {\n root gallery;")],
            ("relative-path", "error", "root gallery;"),
        ),
        (
            [(STATIC, "location ~ ^/static/ {\n alias /var/www/gallery/static/;")],
            ("regex-alias", "error", "alias /var/www/gallery/static/;"),
        ),
        (
            [
                (
                    STATIC,
                    "location ~ ^/static/(.*)$ {\n alias /var/www/gallery/static/$1;\ntry_files $uri =404;",
                )
            ],
            ("regex-alias", "error", "alias /var/www/gallery/static/$1;"),
        ),
    ],
)
def test_a_slip_of_a_path_is_its_line(
    changes: list[tuple[str, str]], expected: tuple[str, str, str]
) -> None:
    assert found(Host(conf(*changes), FILES)) == [expected]


@pytest.mark.parametrize("directive", ["alias /var/www/gallery/media;", "root /var/www/gallery;"])
def test_what_lies_beside_and_can_be_had_is_an_error(directive: str) -> None:
    changed = conf((MEDIA, f"location ^~ /media {{\n {directive}"))
    files = {**FILES, "/var/www/gallery/media-old/dump.txt": "secret"}
    [(finding, severity, component)] = found(Host(changed, files))
    is_alias = directive.startswith("alias")
    assert (finding, severity) == ("alias-sibling-leak", "error")
    assert component == (directive if is_alias else "location ^~ /media {")


def test_a_way_up_that_something_keeps_is_none() -> None:
    changed = conf(
        (MEDIA, "location /media {\n alias /var/www/gallery/media/;"),
        (APP, "location ~ [.][.]/ { return 403; }\n" + APP),
    )
    assert found(Host(changed, FILES)) == []


def test_a_way_up_that_nobody_could_try_is_told_by_its_rule() -> None:
    changed = conf((MEDIA, "location ^~ /media {\n alias /var/www/gallery/media/;"))
    unanswered = [f"alias.1.up.{way}" for way in ("plain", "encoded", "slash")]
    [finding] = found(Host(changed, FILES, unanswered=unanswered))
    assert finding[0] == "alias-traversal"


def test_a_wrong_path_is_the_cause_where_the_app_answers_instead() -> None:
    changed = conf(
        (STATIC, "location ^~ /static/ {\n alias /var/www/galery/static/;\ntry_files $uri @app;"),
        (APP, "location @app { proxy_pass http://unix:/run/gallery/gallery.sock; }\n" + APP),
    )
    expected = ("alias-wrong-path", "error", "alias /var/www/galery/static/;")
    assert found(Host(changed, FILES)) == [expected]


def test_what_was_not_collected_is_no_wrong_path() -> None:
    files = {
        path: text for path, text in FILES.items() if not path.startswith("/var/www/gallery/s")
    }
    assert found(Host(conf(), files)) == []
    files["/var/www/gallery/static/js/site.js"] = "let a;"
    assert found(Host(conf(), files)) == []


def test_the_files_of_another_release_are_a_wrong_path() -> None:
    old, new = CODE.replace("src", "releases/1"), CODE.replace("src", "releases/2")
    files = {f"{old}/css/site.css": "old", f"{new}/css/site.css": "new"}
    app = {"mounts": [{**MOUNTS[0], "folder": new}]}
    changed = conf(("/var/www/gallery/static/", f"{old}/"))
    assert found(Host(changed, files, app=app)) == [("alias-wrong-path", "error", f"alias {old}/;")]
    files[f"{old}/css/site.css"] = "new"
    assert found(Host(changed, files, app=app)) == []


def test_a_password_file_is_looked_for_beside_nginx_conf() -> None:
    guarded = "auth_basic Members;\n auth_basic_user_file members;\n" + APP
    changed = conf((APP, guarded))
    # The whole server block asks for a password then.
    told = [each for each in found(Host(changed, FILES)) if each[0] == "relative-path"]
    assert told == [("relative-path", "error", "auth_basic_user_file members;")]
    files = {**FILES, "/etc/nginx/members": "ada:x"}
    assert [each for each in found(Host(changed, files)) if each[0] == "relative-path"] == []


# Locations


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            [(MEDIA, "location ^~ /uploads/ {\n alias /var/www/gallery/media/;")],
            ("location-missing", "error", "server {"),
        ),
        (
            [
                (MEDIA, "location ^~ /uploads/ {\n alias /var/www/gallery/media/;"),
                (APP, "location / { root /var/www/html; try_files $uri @app; }\nlocation @app {"),
            ],
            ("location-missing", "error", "server {"),
        ),
        (
            [(STATIC, "location ^~ /assets/ {\n alias /var/www/gallery/static/;")],
            ("static-url-mismatch", "warning", "location ^~ /assets/ {"),
        ),
        (
            [(STATIC, "location ^~ /nothing/ {\n alias /srv/nothing/;")],
            ("served-by-app", "warning", "server {"),
        ),
        (
            [
                (
                    STATIC,
                    "location ^~ /static/ {\n proxy_pass http://unix:/run/gallery/gallery.sock;",
                )
            ],
            ("served-by-app", "warning", "location ^~ /static/ {"),
        ),
        (
            [
                (STATIC, "location /static/ {\n alias /var/www/gallery/static/;"),
                (APP, "location ~ [.]css$ { root /var/www/html; }\n" + APP),
            ],
            ("location-shadowed", "error", "location ~ [.]css$ { root /var/www/html; }"),
        ),
        (
            [
                (STATIC, "location /static/ {\n alias /var/www/gallery/static/;"),
                (APP, "location ~ [.]js$ { root /var/www/html; }\n" + APP),
            ],
            ("location-shadowed", "error", "location ~ [.]js$ { root /var/www/html; }"),
        ),
        (
            [
                (MEDIA, "location /media/ {\n alias /var/www/gallery/media/;"),
                (APP, "location ~* [.](gif|png)$ { root /var/www/html; }\n" + APP),
            ],
            ("location-shadowed", "error", "location ~* [.](gif|png)$ { root /var/www/html; }"),
        ),
        (
            [(STATIC, STATIC + "\nlocation ~ [.]css$ { root /var/www/html; }")],
            ("location-shadowed", "error", "location ~ [.]css$ { root /var/www/html; }"),
        ),
        (
            [(APP, "location ^~ /static/js/ { alias /var/www/html/; }\n" + APP)],
            ("location-shadowed", "error", "location ^~ /static/js/ { alias /var/www/html/; }"),
        ),
    ],
)
def test_a_location_at_fault_is_named(
    changes: list[tuple[str, str]], expected: tuple[str, str, str]
) -> None:
    # What the docroot of all has is none of the app's.
    told = found(Host(conf(*changes), {**FILES, "/var/www/html/index.html": "Welcome"}))
    assert told == [expected]


def test_a_location_at_fault_is_named_without_the_app_too() -> None:
    taken = "location ~ [.]css$ { root /var/www/html; }"
    changed = conf(
        (STATIC, "location /static/ {\n alias /var/www/gallery/static/;"),
        (APP, f"{taken}\n{APP}"),
    )
    for text, expected in ((changed, [("location-shadowed", "error", taken)]), (conf(), [])):
        host = Host(text, FILES)
        host.case.app = None
        assert found(host) == expected


def test_uploads_that_the_app_sends_come_from_the_app() -> None:
    changed = conf((MEDIA, "location ^~ /uploads/ {\n alias /srv/none/;"))
    host = Host(changed, FILES, serves_media=True)
    assert found(host) == [("served-by-app", "warning", "server {")]


def test_views_below_a_prefix_of_files_are_swallowed() -> None:
    rules = [
        rule("/media/upload", "POST"),
        rule("/media/<int:number>/edit", "GET", "HEAD", "OPTIONS"),
        # In development the app does what Nginx does: these are no loss.
        rule("/media/<path:filename>", "GET", "HEAD", "OPTIONS", endpoint="media"),
        rule("/media/<name>", "GET", endpoint="media_by_name"),
        rule("/static/<path:filename>", "GET", endpoint="static"),
        rule("/media/built", "GET", build_only=True),
        rule("/about", "GET"),
    ]
    host = Host(conf(), FILES, app={"rules": rules})
    assert found(host) == [("location-swallows-endpoint", "error", "location ^~ /media/ {")]
    [finding] = host.findings()
    assert "/media/upload, /media/<int:number>/edit" in finding.message
    # No view is run by the question.
    endpoints = [each for each in host.asked if str(each["id"]).startswith("routing.endpoint")]
    assert [each["method"] for each in endpoints] == ["OPTIONS", "OPTIONS"]


def test_a_view_that_has_a_location_of_its_own_is_reached() -> None:
    own = "location = /media/upload { proxy_pass http://unix:/run/gallery/gallery.sock; }\n" + APP
    host = Host(conf((APP, own)), FILES, app={"rules": [rule("/media/upload", "POST")]})
    assert found(host) == []


def test_a_blueprint_below_the_apps_own_prefix_is_unreachable() -> None:
    shadowed = {**ADMIN_MOUNT, "url": "/static/", "shadowed_by": "static"}
    files = {**FILES, f"{ADMIN}/admin.css": "h1 {}"}
    host = Host(conf(), files, app={"mounts": [*MOUNTS, shadowed]})
    assert found(host) == [("blueprint-static-unreachable", "error", "admin.static")]


def test_a_blueprint_that_a_location_takes_is_unreachable() -> None:
    files = {**FILES, f"{ADMIN}/admin.css": "h1 {}"}
    app = {"mounts": [*MOUNTS, {**ADMIN_MOUNT, "url": "/static/admin/"}]}
    expected = ("blueprint-static-unreachable", "error", "location ^~ /static/ {")
    assert found(Host(conf(), files, app=app)) == [expected]
    # Published there, it is reached.
    files["/var/www/gallery/static/admin/admin.css"] = "h1 {}"
    assert found(Host(conf(), files, app=app)) == []


def test_a_link_on_the_way_is_blocked_without_from() -> None:
    changed = conf((STATIC, STATIC + "\ndisable_symlinks on;"))
    files = {path.replace("/var/www/gallery", "/var/www/r1"): text for path, text in FILES.items()}
    host = Host(changed, files, links={"/var/www/gallery": "/var/www/r1"})
    answer = host._requests

    def blocked(question: dict[str, t.Any]) -> dict[str, t.Any]:
        """As Nginx does it: this module of its is none of the routes'."""
        if question["target"].startswith("/static/") and question["method"] == "GET":
            line = 'openat() "/var/www/gallery/static/css/site.css" failed (20: Not a directory)'
            return {**answer({**question, "target": "/static/absent"}), "log": [line]}
        return answer(question)

    host._requests = blocked  # type: ignore[method-assign]
    [finding] = host.findings()
    assert finding.id == "symlink-blocked"
    assert "/var/www/gallery -> /var/www/r1" in finding.message
    assert "from=$document_root" in finding.fix


@pytest.mark.parametrize(("owner", "expected"), [(0, True), (999, False)])
def test_a_link_among_uploads_is_told_unless_it_is_the_apps(owner: int, expected: bool) -> None:
    changed = conf((MEDIA, MEDIA + "\ndisable_symlinks on from=$document_root;"))
    link = "/var/www/gallery/media/2026"
    host = Host(changed, {**FILES, "/srv/2026/note.txt": "a"}, links={link: "/srv/2026"})
    host.case.process["uid"] = owner or 1  # type: ignore[index]
    answer, trees = host._requests, host._trees

    def blocked(question: dict[str, t.Any]) -> dict[str, t.Any]:
        told = answer({**question, "target": question["target"].replace("/2026", "/absent")})
        line = f'openat() "{link}" failed (40: Too many levels of symbolic links)'
        return {**told, "log": [line] if question["target"] == "/media/2026" else []}

    def owned(question: dict[str, t.Any]) -> dict[str, t.Any]:
        told = trees(question)
        for entry in told["entries"]:
            entry["uid"] = owner
        return told

    host._requests, host._trees = blocked, owned  # type: ignore[method-assign]
    told = [(finding.id, finding.component) for finding in host.findings()]
    assert told == ([("symlink-blocked", link)] if expected else [])


# What everybody can have


@pytest.mark.parametrize("name", [".env", ".git/HEAD", "css/.htpasswd"])
def test_hidden_files_that_can_be_had_are_exposed(name: str) -> None:
    files = {**FILES, f"/var/www/gallery/static/{name}": "secret"}
    host = Host(conf(), files)
    assert found(host) == [("dotfile-exposed", "error", "location ^~ /static/ {")]
    [finding] = host.findings()
    assert finding.evidence == f"HEAD /static/{name} 200, 6 bytes"
    rule = '\nlocation ~ "/[.]" { return 404; }'
    kept = conf((STATIC, STATIC + rule), (MEDIA, MEDIA + rule))
    assert found(Host(kept, files)) == []


def test_what_is_meant_to_be_read_is_not_exposed() -> None:
    files = {**FILES, "/var/www/gallery/static/.well-known/security.txt": "Contact: us"}
    assert found(Host(conf(), files)) == []


def test_a_rule_for_hidden_files_has_to_work_for_uploads() -> None:
    changed = conf((APP, "location ~ /\\. { deny all; }\n" + APP))
    expected = ("dotfile-exposed", "warning", "location ^~ /media/ {")
    assert found(Host(changed, FILES)) == [expected]


@pytest.mark.parametrize(
    ("change", "component"),
    [
        (
            f"root /opt/gallery/src;\n{APP}\ntry_files $uri @app; }}\nlocation @app {{",
            "root /opt/gallery/src;",
        ),
        (
            "location ^~ /files/ {\nalias /opt/gallery/;\n}\n" + APP,
            "alias /opt/gallery/;",
        ),
    ],
)
def test_the_apps_code_is_not_for_everybody(change: str, component: str) -> None:
    host = Host(conf((APP, change)), {**FILES, "/opt/gallery/src/.env": "SECRET"})
    assert found(host) == [("project-root-exposed", "error", component)]
    # Nothing of it is read.
    methods = {each["method"] for each in host.asked if "exposure.source" in str(each["id"])}
    assert methods == {"HEAD"}


def test_a_list_of_uploads_is_told_once_and_at_its_line() -> None:
    changed = conf(("server_name", "autoindex on;\nserver_name"))
    assert found(Host(changed, FILES)) == [("directory-listing", "error", "autoindex on;")]
    own = conf((MEDIA, MEDIA + "\nautoindex on;"))
    assert found(Host(own, FILES)) == [("directory-listing", "error", "autoindex on;")]


GUARDED = (
    "location /papers/ {\n root /srv;\n auth_basic Members;\n auth_basic_user_file /etc/m;\n}\n"
)


def test_what_a_regex_takes_from_a_guarded_location_is_for_everybody() -> None:
    around = "location ~ [.]pdf$ { root /srv; }\n"
    files = {**FILES, "/srv/papers/a.pdf": "a", "/srv/papers/a.txt": "a"}
    host = Host(conf((APP, GUARDED + around + APP)), files)
    assert found(host) == [("auth-bypassed", "error", around.strip())]
    kept = GUARDED.replace("location /papers/", "location ^~ /papers/")
    assert found(Host(conf((APP, kept + around + APP)), files)) == []


def test_what_lies_in_a_public_directory_is_for_everybody() -> None:
    guarded = GUARDED.replace("root /srv", "alias /var/www/gallery/media/papers/")
    files = {**FILES, "/var/www/gallery/media/papers/a.pdf": "a"}
    host = Host(conf((APP, guarded + APP)), files)
    assert found(host) == [("auth-bypassed", "error", "location ^~ /media/ {")]


def test_without_a_server_block_nothing_is_asked() -> None:
    host = Host("server { listen 80; }", {})
    host.case.server = None
    assert found(host) == []
