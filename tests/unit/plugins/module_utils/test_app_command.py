"""What command lines of WSGI servers say, in all forms that their documents give."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _app_command

PYTHON = "/srv/app/venv/bin/python3"


def parse(
    line: t.Sequence[str] | str,
    environ: t.Mapping[str, str] | None = None,
    files: t.Mapping[str, str] | None = None,
) -> _app_command.Command:
    argv = line.split() if isinstance(line, str) else line
    return _app_command.parse(argv, environ or {}, "/srv/app", (files or {}).get)


@pytest.mark.parametrize(
    ("line", "server"),
    [
        ("gunicorn wsgi:app", "gunicorn"),
        (f"{PYTHON} /srv/app/venv/bin/gunicorn wsgi:app", "gunicorn"),
        (f"{PYTHON} -m gunicorn wsgi:app", "gunicorn"),
        (f"{PYTHON} -u -W ignore -Im gunicorn.app.wsgiapp wsgi:app", "gunicorn"),
        ("/usr/bin/python3 /usr/bin/gunicorn3 wsgi:app", "gunicorn"),
        ("uwsgi --ini app.ini", "uwsgi"),
        ("/usr/bin/uwsgi-core --ini app.ini", "uwsgi"),
        ("/usr/bin/uwsgi_python3 --ini app.ini", "uwsgi"),
        ("python3 /srv/app/venv/bin/waitress-serve wsgi:app", "waitress"),
        ("python3 -m waitress wsgi:app", "waitress"),
        ("python3 /usr/bin/hypercorn wsgi:app", "hypercorn"),
        ("python3 /usr/bin/flask run", "flask run"),
        ("python3 -m flask --app hello run", "flask run"),
        ("python3 /usr/bin/flask db upgrade", None),
        ("python3 app.py", "python"),
        ("python3.11 -c pass", "python"),
        ("node server.js", None),
        ("nginx -g daemon", None),
        ("vim gunicorn.conf.py", None),
    ],
)
def test_the_server(line: str, server: str | None) -> None:
    assert _app_command.server_of(line.split()) == server


@pytest.mark.parametrize(
    ("argv", "server"),
    [
        (["gunicorn: master [wsgi:app]"], "gunicorn"),
        (["gunicorn: worker [wsgi:app]"], "gunicorn"),
        (["uWSGI master"], "uwsgi"),
        (["uWSGI worker 1"], "uwsgi"),
        ([], None),
        ([""], None),
    ],
)
def test_the_server_by_its_title(argv: list[str], server: str | None) -> None:
    assert _app_command.server_of(argv) == server


@pytest.mark.parametrize(
    ("line", "app", "listens"),
    [
        ("gunicorn -w 2 wsgi:app", "wsgi:app", ["127.0.0.1:8000"]),
        ("gunicorn -w2 -b:9000 wsgi:app", "wsgi:app", ["0.0.0.0:9000"]),
        ("gunicorn --bind=unix:/run/a.sock wsgi:app", "wsgi:app", ["unix:/run/a.sock"]),
        ("gunicorn --bind localhost:81 -b [::1]:81 a.b:c", "a.b:c", ["127.0.0.1:81", "[::1]:81"]),
        ("gunicorn --reload --preload wsgi", "wsgi", ["127.0.0.1:8000"]),
        ("gunicorn wsgi:app --access-logfile -", "wsgi:app", ["127.0.0.1:8000"]),
        ("gunicorn -k gthread --threads 4 -D wsgi:app", "wsgi:app", ["127.0.0.1:8000"]),
        ("gunicorn -- wsgi:app", "wsgi:app", ["127.0.0.1:8000"]),
    ],
)
def test_the_forms_of_gunicorn(line: str, app: str, listens: list[str]) -> None:
    found = parse(line)
    assert (found.callable, found.listens, found.unseen) == (app, listens, [])


def test_a_factory_of_gunicorn_with_arguments() -> None:
    found = parse(["gunicorn", "wsgi:create_app(config='a b')"])
    assert found.callable == "wsgi:create_app(config='a b')"


CONFIG = """
import os
bind = ["unix:/run/gallery.sock", "127.0.0.1:8001"]
wsgi_app: str = "gallery:create_app()"
chdir = os.path.realpath("/opt/gallery/current")
umask = 0o027
raw_env = ["SCRIPT_NAME=/gallery", "TOKEN=secret-of-the-file"]
password = os.system("touch /tmp/never")
"""


def test_gunicorns_file_is_read_and_never_run() -> None:
    found = parse("gunicorn -c conf/g.py", files={"/srv/app/conf/g.py": CONFIG})
    assert found.callable == "gallery:create_app()"
    assert found.listens == ["unix:/run/gallery.sock", "127.0.0.1:8001"]
    assert (found.umask, found.script_name) == ("0027", "/gallery")
    assert found.environment == {"SCRIPT_NAME": "/gallery", "TOKEN": "secret-of-the-file"}
    assert found.config_files == ["/srv/app/conf/g.py"]
    assert found.unseen == [], "what is computed there, /proc tells"


def test_gunicorns_file_of_the_directory_is_read_without_being_named() -> None:
    found = parse("gunicorn", files={"/srv/app/gunicorn.conf.py": 'wsgi_app = "wsgi:app"'})
    assert found.callable == "wsgi:app"


def test_the_order_of_gunicorns_settings() -> None:
    files = {"/srv/app/gunicorn.conf.py": 'bind = "127.0.0.1:1"\nwsgi_app = "file:app"'}
    by_environment = {"GUNICORN_CMD_ARGS": "--bind=127.0.0.1:2 --chdir /srv/two"}
    assert parse("gunicorn", {}, files).listens == ["127.0.0.1:1"]
    found = parse("gunicorn", by_environment, files)
    assert (found.listens, found.directory) == (["127.0.0.1:2"], "/srv/two")
    assert parse("gunicorn -b 127.0.0.1:3 a:b", by_environment, files).listens == ["127.0.0.1:3"]
    assert parse("gunicorn a:b", {"PORT": "5"}).listens == ["0.0.0.0:5"]


@pytest.mark.parametrize(
    ("argv", "files", "why"),
    [
        ("gunicorn -c python:conf.g", {}, "module conf.g"),
        ("gunicorn -c /etc/g.py", {}, "/etc/g.py can't be read"),
        ("gunicorn -c g.py", {"/srv/app/g.py": "wsgi_app = f()"}, "computes wsgi_app"),
        ("gunicorn -c g.py", {"/srv/app/g.py": "wsgi_app = ("}, "computes wsgi_app"),
    ],
)
def test_what_gunicorn_is_not_seen_to_serve(argv: str, files: dict[str, str], why: str) -> None:
    found = parse(argv, files=files)
    assert found.callable is None
    (unseen,) = found.unseen
    assert why in unseen


def test_a_title_of_gunicorns_names_the_app_or_a_name() -> None:
    assert parse(["gunicorn: master [wsgi:app]"]).callable == "wsgi:app"
    assert parse(["gunicorn: master [wsgi:create_app()]"]).callable == "wsgi:create_app()"
    assert parse(["gunicorn: master [gallery]"]).callable is None


INI = """
[other]
module = not:this
[uwsgi]
; a comment
# another
plugin = python3
base = /srv/app
chdir = %(base)/code
module = wsgi
callable = application_of_mine
home = %(base)/venv
socket = /run/uwsgi/%n.sock
http-socket = :9090
uid = www-data
umask = 007
pythonpath = %d
env = SECRET_KEY=secret-of-the-ini
env = SCRIPT_NAME=$(PREFIX)
"""


def test_an_ini_file_of_uwsgi() -> None:
    files = {"/etc/uwsgi/gallery.ini": INI}
    found = parse("uwsgi --ini /etc/uwsgi/gallery.ini", {"PREFIX": "/gallery"}, files)
    assert found.callable == "wsgi:application_of_mine"
    assert (found.directory, found.virtualenv) == ("/srv/app/code", "/srv/app/venv")
    assert found.listens == ["unix:/run/uwsgi/gallery.sock", "0.0.0.0:9090"]
    assert (found.user, found.umask, found.script_name) == ("www-data", "007", "/gallery")
    assert found.python_path == ["/etc/uwsgi/"]
    assert found.environment["SECRET_KEY"] == "secret-of-the-ini"


@pytest.mark.parametrize(
    ("line", "app"),
    [
        ("uwsgi -s /run/a.sock -w wsgi:app", "wsgi:app"),
        ("uwsgi -s /run/a.sock --module=wsgi --callable=app", "wsgi:app"),
        ("uwsgi --module wsgi", "wsgi:application"),
        ("uwsgi --http-socket :80 --master --wsgi-file wsgi.py", "/srv/app/wsgi.py:application"),
        ("uwsgi --file /a/b.py --callable app", "/a/b.py:app"),
        ("uwsgi --chdir /x --wsgi-file y.py", "/x/y.py:application"),
        ("uwsgi --mount /gallery=wsgi:app --manage-script-name", "wsgi:app"),
        ("uwsgi --mount=/gallery=wsgi.py --callable app", "/srv/app/wsgi.py:app"),
        ("uwsgi app.ini", "from_ini:app"),
        ("uwsgi /etc/a.ini:production", "from_section:app"),
    ],
)
def test_the_forms_of_uwsgi(line: str, app: str) -> None:
    files = {
        "/srv/app/app.ini": "[uwsgi]\nmodule = from_ini:app",
        "/etc/a.ini": "[production]\nmodule = from_section:app",
    }
    if ":production" in line:
        line = line.replace("uwsgi ", "uwsgi --ini ")
    assert parse(line, files=files).callable == app


def test_later_options_of_uwsgi_win_and_lists_grow() -> None:
    files = {
        "/usr/share/uwsgi/conf/default.ini": "[uwsgi]\nsocket = /run/uwsgi/$(N)/socket\nuid = www-data",
        "/etc/uwsgi/apps-enabled/a.ini": "[uwsgi]\nuid = app\nmodule = a:b\nsocket = 127.0.0.1:3031",
    }
    line = "uwsgi --ini /usr/share/uwsgi/conf/default.ini --ini /etc/uwsgi/apps-enabled/a.ini"
    found = parse(f"{line} --daemonize /var/log/uwsgi/app/a.log", {"N": "app/a"}, files)
    assert (found.user, found.callable) == ("app", "a:b")
    assert found.listens == ["unix:/run/uwsgi/app/a/socket", "127.0.0.1:3031"]


def test_an_ini_file_that_includes_itself_has_an_end() -> None:
    found = parse("uwsgi a.ini", files={"/srv/app/a.ini": "[uwsgi]\nini = a.ini\nmodule = a:b"})
    assert found.callable == "a:b"


def test_other_configurations_of_uwsgi_are_not_read() -> None:
    assert "no ini file" in parse("uwsgi --yaml app.yaml").unseen[0]
    assert "can't be read" in parse("uwsgi --ini gone.ini").unseen[0]
    assert "mounts 2 apps" in parse("uwsgi --mount /a=a:b --mount /c=c:d").unseen[0]


@pytest.mark.parametrize(
    ("line", "app", "listens"),
    [
        ("python3 /bin/waitress-serve wsgi:app", "wsgi:app", ["0.0.0.0:8080"]),
        ("waitress-serve --listen=127.0.0.1:81 --call wsgi:make", "wsgi:make()", ["127.0.0.1:81"]),
        ("waitress-serve --port=82 --host localhost wsgi:app", "wsgi:app", ["127.0.0.1:82"]),
        ("waitress-serve --unix-socket=/run/w.sock wsgi:app", "wsgi:app", ["unix:/run/w.sock"]),
        ("hypercorn wsgi:app -b unix:/run/h.sock", "wsgi:app", ["unix:/run/h.sock"]),
        ("hypercorn --bind 127.0.0.1:83 wsgi:a:app", "a:app", ["127.0.0.1:83"]),
        ("hypercorn hello", "hello:app", ["127.0.0.1:8000"]),
    ],
)
def test_waitress_and_hypercorn(line: str, app: str, listens: list[str]) -> None:
    found = parse(line)
    assert (found.callable, found.listens) == (app, listens)


def test_the_prefix_of_waitress_and_hypercorn() -> None:
    assert parse("waitress-serve --url-prefix=/a wsgi:app").script_name == "/a"
    assert parse("hypercorn --root-path /a wsgi:app").script_name == "/a"


@pytest.mark.parametrize(
    ("line", "environ", "files", "app", "listens"),
    [
        ("flask --app hello run", {}, {}, "hello", "127.0.0.1:5000"),
        ("python3 -m flask -A h:f(1) run -p 81", {}, {}, "h:f(1)", "127.0.0.1:81"),
        ("flask run --host=0.0.0.0", {"FLASK_APP": "x.py"}, {}, "x.py", "0.0.0.0:5000"),
        ("flask run --debug", {}, {"/srv/app/app.py": ""}, "app.py", "127.0.0.1:5000"),
        ("flask run", {}, {"/srv/app/app.py": "", "/srv/app/wsgi.py": ""}, "wsgi.py", "127.0.0.1:5000"),
        ("flask run", {"FLASK_RUN_PORT": "9"}, {}, None, "127.0.0.1:9"),
    ],
)  # fmt: skip
def test_flask_run(
    line: str, environ: dict[str, str], files: dict[str, str], app: str | None, listens: str
) -> None:
    found = parse(line, environ, files)
    assert (found.callable, found.listens, found.loader) == (app, [listens], "flask")


def test_a_script_says_nothing_of_its_app() -> None:
    found = parse("python3 -u app.py --port 80")
    assert (found.server, found.callable, found.script) == ("python", None, "app.py")


@pytest.mark.parametrize("directory", ["/srv/app", None])
def test_a_configuration_beside_which_a_server_was_started(directory: str | None) -> None:
    """With chdir, a server is elsewhere by now than its relative names go by."""
    files = {
        "/etc/vassals/a.ini": "[uwsgi]\nchdir = /srv/app\nwsgi-file = w.py\npythonpath = %d",
        "/root/g.py": "wsgi_app = 'a:b'",
    }
    starts = ["/etc/vassals", "/root"]
    found = _app_command.parse(["uwsgi", "--ini", "a.ini"], {}, directory, files.get, starts)
    assert found.callable == "/srv/app/w.py:application"
    assert found.python_path == ["/etc/vassals/"]
    found = _app_command.parse(["gunicorn", "-c", "./g.py"], {}, directory, files.get, starts)
    assert found.callable == "a:b"
    # What has no directory that is known is not made up.
    found = _app_command.parse(["uwsgi", "--wsgi-file", "w.py"], {}, None, files.get, starts)
    assert found.callable is None


@pytest.mark.parametrize(
    ("line", "directory"),
    [
        ("uwsgi --emperor /etc/vassals", "/etc/vassals"),
        ("uwsgi --ini x --emperor=/etc/vassals --die-on-term", "/etc/vassals"),
        ("uwsgi --ini x", None),
        ("", None),
    ],
)
def test_the_directory_of_an_emperor(line: str, directory: str | None) -> None:
    assert _app_command.emperor_of(line.split()) == directory
