"""What an app says about itself: asked of real Flask apps, each in a Python of its own."""

from __future__ import annotations

import json
import os
import re
import textwrap
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _flask_app
from ansible_collections.flaskworks.static_media.plugins.module_utils._flask_app import (
    Callable,
    FlaskApp,
    FlaskAppError,
    Masking,
    NotYetError,
)
from hypothesis import given
from hypothesis import strategies as st

NOBODY = 65534


class Asker(t.Protocol):
    def __call__(self, source: str, callable: str = ..., **options: t.Any) -> dict[str, t.Any]: ...


@pytest.fixture
def ask(as_root: None, flask_virtualenv: Path, open_directory: Path) -> Asker:
    """Ask an app, given as the source of a module ``shop``."""

    def ask(source: str, callable: str = "shop:app", **options: t.Any) -> dict[str, t.Any]:
        (open_directory / "shop.py").write_text(textwrap.dedent(source))
        given: dict[str, t.Any] = {
            "virtualenv": str(flask_virtualenv),
            "callable": Callable.parse(callable),
            "user": "nobody",
            "directory": str(open_directory),
            **options,
        }
        return FlaskApp(**given).ask()

    return ask


def refusal(ask: Asker, source: str, callable: str = "shop:app", **options: t.Any) -> str:
    with pytest.raises(FlaskAppError) as caught:
        ask(source, callable, **options)
    return str(caught.value)


def mounts(app: dict[str, t.Any]) -> dict[str, tuple[str, str | None]]:
    return {mount["endpoint"]: (mount["url"], mount["shadowed_by"]) for mount in app["mounts"]}


@pytest.mark.parametrize(
    ("text", "attribute", "arguments", "keywords"),
    [
        ("shop", "application", None, {}),
        ("shop:app", "app", None, {}),
        ("shop.wsgi:create_app()", "create_app", [], {}),
        ("shop:make('a', 1, debug=True, x=None)", "make", ["a", 1], {"debug": True, "x": None}),
        ("shop:make(config={'A': [1, -2.5]})", "make", [], {"config": {"A": [1, -2.5]}}),
    ],
)
def test_a_callable_is_read_as_gunicorn_reads_it(
    text: str, attribute: str, arguments: t.Any, keywords: t.Any
) -> None:
    parsed = Callable.parse(text)
    assert parsed.module == text.partition(":")[0]
    assert (parsed.attribute, parsed.arguments, parsed.keywords) == (attribute, arguments, keywords)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":app",
        "shop/app.py",
        "shop.:app",
        "shop:app.wsgi",
        "shop:factory().app",
        "shop:create_app(",
        "shop:create_app(os.environ)",
        "shop:create_app(__import__('os').system('id'))",
        "shop:create_app(*['a'])",
        "shop:create_app(**{'a': 1})",
        "shop:create_app(a=b'bytes')",
        "shop:create_app((1, 2))",
        "shop:app; import os",
        "shop:[app][0]",
    ],
)
def test_what_gunicorn_cannot_read_is_refused(text: str) -> None:
    with pytest.raises(FlaskAppError, match=r"Gunicorn can't read it\. Write 'module:app'"):
        Callable.parse(text)


def test_root_runs_no_app(ask: Asker, open_directory: Path) -> None:
    witness = open_directory / "witness"
    text = refusal(ask, f"open({str(witness)!r}, 'w')", user="root")
    assert "root: importing an app runs its code" in text
    assert not witness.exists()


def test_a_user_that_is_not_there(ask: Asker) -> None:
    with pytest.raises(NotYetError, match="no user 'no-such-user'"):
        ask("", user="no-such-user")


def test_a_virtualenv_that_is_not_there(ask: Asker, open_directory: Path) -> None:
    with pytest.raises(NotYetError, match=r"gone/bin/python isn't there"):
        ask("", virtualenv=str(open_directory / "gone"))


def test_an_env_file_that_is_not_there(ask: Asker) -> None:
    with pytest.raises(NotYetError, match="env file /no/such/file isn't there"):
        ask("", environment_files=["/no/such/file"])


def test_an_env_file_that_is_no_text(ask: Asker, open_directory: Path) -> None:
    (open_directory / "env").write_bytes(b"A=\xff\n")
    assert "can't be understood" in refusal(
        ask, "", environment_files=[str(open_directory / "env")]
    )


def test_a_virtualenv_that_the_user_cannot_reach_names_the_component(
    ask: Asker, open_directory: Path
) -> None:
    python = open_directory / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(open_directory / "closed" / "python3")
    (open_directory / "closed").mkdir(mode=0o700)
    (open_directory / "closed" / "python3").touch(mode=0o755)
    text = refusal(ask, "", virtualenv=str(open_directory / "venv"))
    assert f"{open_directory}/closed (0700 root:root) is not-traversable" in text
    assert "such as /usr/bin/python3" in text


def test_a_directory_that_the_user_cannot_enter(ask: Asker, open_directory: Path) -> None:
    (open_directory / "closed").mkdir(mode=0o700)
    text = refusal(ask, "", directory=str(open_directory / "closed"))
    assert f"{open_directory}/closed: Permission denied" in text


def test_flask_is_not_installed(ask: Asker, open_directory: Path) -> None:
    bare = open_directory / "venv" / "bin"
    bare.mkdir(parents=True)
    (bare / "python").symlink_to("/usr/bin/python3")
    (bare.parent / "pyvenv.cfg").write_text("home = /usr/bin\n")
    assert "Flask isn't installed" in refusal(ask, "", virtualenv=str(bare.parent))


def test_a_module_that_is_not_there(ask: Asker) -> None:
    text = refusal(ask, "", "shopp:app")
    assert "there is no module shopp" in text
    assert "What may be meant: shop" in text


def test_a_module_of_a_package_that_is_not_there(ask: Asker, open_directory: Path) -> None:
    package = open_directory / "store"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "wsgi.py").touch()
    assert "store has no module web. It has: wsgi" in refusal(ask, "", "store.web:app")


def test_a_module_that_the_app_lacks(ask: Asker) -> None:
    text = refusal(ask, "import flask_nothing")
    assert "shop needs the module flask_nothing, which isn't installed beside it" in text
    assert 'shop.py", line 1' in text
    assert "importlib" not in text


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("raise RuntimeError('no database')", id="error"),
        pytest.param("raise SystemExit('no database')", id="exit"),
        pytest.param("raise KeyboardInterrupt('no database')", id="interrupt"),
        pytest.param("class No(BaseException): ...\nraise No('no database')", id="base"),
    ],
)
@pytest.mark.parametrize("place", ["import", "factory"])
def test_an_app_that_fails_is_quoted(ask: Asker, end: str, place: str) -> None:
    if place == "import":
        text = refusal(ask, end)
        assert "when it was imported" in text
    else:
        text = refusal(ask, "def app():\n" + textwrap.indent(end, "    "), "shop:app()")
        assert "app() raised" in text
    assert "no database" in text
    assert "shop.py" in text
    # The probe's own frames say nothing about the app.
    assert "<string>" not in text


def test_a_factory_that_is_called_wrongly(ask: Asker) -> None:
    text = refusal(ask, "def create_app(config): ...", "shop:create_app()")
    assert "missing 1 required positional argument: 'config'" in text


def test_a_long_traceback_is_cut(ask: Asker) -> None:
    text = refusal(ask, "raise ValueError('\\n'.join('x' * 1000 for _ in range(1000)))")
    assert len(text) < 10_000


def test_an_attribute_that_is_not_there(ask: Asker) -> None:
    text = refusal(
        ask,
        """
        from flask import Flask
        wsgi = Flask(__name__)
        _hidden = Flask(__name__)
        def create_app(): ...
        def start() -> Flask: ...
        def get_mapper(): ...
        """,
    )
    assert "shop has no app. It has: create_app(), start(), wsgi; " in text
    assert "set flask_app_callable=shop:create_app()" in text


def test_a_module_without_any_app(ask: Asker) -> None:
    assert "It has no Flask app and no factory of one" in refusal(ask, "")


def test_a_factory_without_its_parentheses(ask: Asker) -> None:
    text = refusal(ask, "def create_app(): ...", "shop:create_app")
    assert "set flask_app_callable=shop:create_app()" in text


@pytest.mark.parametrize("value", ["None", "42", "object()", "lambda environ, start: []"])
def test_what_is_no_flask_app(ask: Asker, value: str) -> None:
    assert "no Flask app was found" in refusal(ask, f"app = {value}")


def test_a_dispatcher_without_a_root_app_is_not_supported(ask: Asker) -> None:
    text = refusal(
        ask,
        """
        from flask import Flask
        from werkzeug.exceptions import NotFound
        from werkzeug.middleware.dispatcher import DispatcherMiddleware
        app = DispatcherMiddleware(NotFound(), {"/shop": Flask("shop")})
        """,
    )
    assert "not supported" in text
    assert "/shop" in text


def test_a_dispatchers_other_apps_are_told(ask: Asker) -> None:
    answer = ask(
        """
        from flask import Flask
        from werkzeug.middleware.dispatcher import DispatcherMiddleware
        app = DispatcherMiddleware(Flask("shop"), {"/api": Flask("api")})
        """
    )
    assert answer["import_name"] == "shop"
    assert "/api" in answer["warnings"][0]


@pytest.mark.parametrize(
    "wrapping",
    [
        "flask.wsgi_app = ProxyFix(flask.wsgi_app); app = flask",
        "app = ProxyFix(flask)",
        "app = ProxyFix(ProxyFix(flask.wsgi_app))",
        "app = flask.wsgi_app",
        "app = functools.partial(flask)",
        "app = traced(flask)",
        "app = Odd(flask)",
    ],
)
def test_middleware_is_looked_through(ask: Asker, wrapping: str) -> None:
    answer = ask(
        f"""
        import functools
        from flask import Flask
        from werkzeug.middleware.proxy_fix import ProxyFix

        def traced(inner):
            def wrapper(environ, start_response):
                return inner(environ, start_response)
            return wrapper

        class Odd:
            def __init__(self, inner):
                self.secret_name_for_it = inner
            def __getattr__(self, name):
                raise RuntimeError("outside of a request")
            def __call__(self, environ, start_response):
                return self.secret_name_for_it(environ, start_response)

        flask = Flask(__name__)
        {wrapping}
        """
    )
    assert mounts(answer) == {"static": ("/static/", None)}
    assert answer["import_name"] == "shop"


def test_an_app_that_waits_is_stopped_and_its_place_shown(ask: Asker) -> None:
    text = refusal(ask, "import time\nprint('connecting')\ntime.sleep(1000)", timeout_seconds=8)
    assert "within 8 seconds" in text
    assert "raise timeout_seconds" in text
    assert 'shop.py", line 3' in text


def test_an_app_that_ends_python(ask: Asker) -> None:
    text = refusal(ask, "import os\nprint('bye', flush=True)\nos._exit(3)")
    assert "ended Python itself with status 3" in text
    assert "bye" in text
    assert "killed by signal 11" in refusal(ask, "import os, signal\nos.kill(os.getpid(), 11)")


def test_an_answer_of_the_apps_own_making_is_refused(ask: Asker) -> None:
    forge = """
        import os, sys
        for descriptor in range(3, 64):
            try:
                os.write(descriptor, {answer!r})
            except OSError:
                pass
        os._exit(0)
        """
    assert "makes no sense" in refusal(ask, forge.format(answer=b"{}"))
    assert "makes no sense" in refusal(ask, forge.format(answer=b"[1"))
    assert "makes no sense" in refusal(ask, forge.format(answer=b'{"app": {"mounts": []}}'))


@pytest.mark.parametrize(
    "mount",
    [
        {"url": "static/", "folder": "/srv"},
        {"url": "/static", "folder": "/srv"},
        {"url": "/static/", "folder": "srv"},
        {"url": "/st\natic/", "folder": "/srv"},
        {"url": "/static/", "folder": "/srv\0"},
    ],
)
def test_an_answer_is_believed_no_further_than_its_form(mount: dict[str, str]) -> None:
    answer = {
        "mounts": [],
        "config": {},
        "config_types": {},
        "rules": [],
        "rules_total": 0,
        "import_name": "shop",
        "root_path": "/srv",
        "instance_path": "/srv/instance",
        "warnings": [],
        "versions": {},
        "process": {},
        "heeds_forwarded_prefix": False,
        "heeds_forwarded_proto": False,
        "accel_redirects": [],
    }
    assert _flask_app.checked(answer) == answer
    with pytest.raises(ValueError, match="is no"):
        _flask_app.checked({**answer, "mounts": [mount]})
    with pytest.raises(ValueError, match="config is no dict"):
        _flask_app.checked({**answer, "config": []})
    with pytest.raises(ValueError, match="another answer"):
        _flask_app.checked({**answer, "more": 1})


def test_secrets_do_not_show_in_the_apps_words(ask: Asker, open_directory: Path) -> None:
    env = open_directory / "shop.env"
    env.write_text(
        'SECRET_KEY="hunter2hunter2"\nDATABASE_URL=postgresql://me:pa55word@db/shop\nSHORT=true\n'
    )
    env.chmod(0o600)
    text = refusal(
        ask,
        """
        import os
        url = os.environ["DATABASE_URL"]
        raise RuntimeError("true", os.environ["SECRET_KEY"], url, url.split(":")[2].split("@")[0])
        """,
        environment_files=[str(env)],
        environment={"TOKEN": "top-secret-token"},
    )
    assert "RuntimeError: ('true', '********', '********', '********')" in text
    printed = refusal(
        ask,
        "import os\nprint(os.environ['TOKEN'], flush=True)\nos._exit(1)",
        environment={"TOKEN": "top-secret-token"},
    )
    assert "top-secret" not in printed
    assert "********" in printed


def test_masking_hides_each_form_of_a_value() -> None:
    masking = Masking(
        ['back\\slash"quote', '{"KEY": "json-secret"}', "line-one\nline-two", "short"]
    )
    shown = masking.apply(
        "%r %s json-secret line-two short" % ('back\\slash"quote', 'back\\slash"quote')  # noqa: UP031
    )
    assert shown == "'********' ******** ******** ******** short"


def test_masking_shows_what_an_app_says_of_a_path(tmp_path: Path) -> None:
    absent = f"{tmp_path}/absent"
    masking = Masking([str(tmp_path), json.dumps(str(tmp_path)), absent])
    assert masking.apply(f"cannot read {tmp_path}") == f"cannot read {tmp_path}"
    assert masking.apply(absent) == _flask_app.MASK


@given(st.lists(st.text(min_size=6), min_size=1), st.text(), st.text())
def test_no_masked_value_is_left(values: list[str], before: str, after: str) -> None:
    masking = Masking(values)
    for value in values:
        # A mask may itself be a value, and so may a path.
        if not set(value) <= {"*"} and not os.path.lexists(value):
            shown = masking.apply(f"{before}{value}{after}")
            assert value not in shown or value in f"{before}{_flask_app.MASK}{after}"


def test_a_cut_line_does_not_show_half_a_secret() -> None:
    secret = "s3cret-" * 10
    assert "s3cret" not in Masking([secret]).tail("x" * 280 + secret)


def test_the_env_is_the_apps_alone(
    ask: Asker, open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOTS_SECRET", "s3cret")
    first, second = open_directory / "first.env", open_directory / "second.env"
    first.write_text("FLASK_UPLOAD_FOLDER=/one\nFLASK_MEDIA_URL=/first/\n")
    second.write_text("FLASK_UPLOAD_FOLDER=/two\nFLASK_MAX_CONTENT_LENGTH=16M\n")
    for file in (first, second):
        file.chmod(0o600)
    answer = ask(
        """
        import os
        from flask import Flask
        app = Flask(__name__)
        app.config.from_prefixed_env()
        app.config["MEDIA_ROOT"] = " ".join(sorted(os.environ))
        app.config["SERVER_NAME"] = os.environ["HOME"]
        """,
        environment_files=[str(first), str(second)],
        environment={"FLASK_MEDIA_URL": "/own/"},
    )
    config = answer["config"]
    assert config["UPLOAD_FOLDER"] == "/two"
    assert config["MEDIA_URL"] == "/own/"
    assert config["SERVER_NAME"] == str(open_directory)
    assert "ROOTS_SECRET" not in config["MEDIA_ROOT"]
    assert (config["MAX_CONTENT_LENGTH"], answer["config_types"]["MAX_CONTENT_LENGTH"]) == (
        "16M",
        "str",
    )


def test_the_config_is_an_allow_list(ask: Asker) -> None:
    answer = ask(
        """
        import datetime, pathlib
        from flask import Flask
        app = Flask(__name__)
        app.config.update(
            SECRET_KEY="hunter2hunter2",
            SQLALCHEMY_DATABASE_URI="postgresql://me:pa55word@db/shop",
            UPLOAD_FOLDER=pathlib.Path("/srv/media"),
            UPLOADED_PHOTOS_DEST="/srv/photos",
            UPLOADED_PHOTOS_KEY="pa55word",
            SEND_FILE_MAX_AGE_DEFAULT=datetime.timedelta(hours=1),
            MAX_CONTENT_LENGTH=16 * 1024 * 1024,
            MEDIA_ROOT=object(),
        )
        """
    )
    config, types = answer["config"], answer["config_types"]
    assert "hunter2" not in str(answer)
    assert "pa55word" not in str(answer)
    assert (config["UPLOAD_FOLDER"], types["UPLOAD_FOLDER"]) == ("/srv/media", "PosixPath")
    assert config["UPLOADED_PHOTOS_DEST"] == "/srv/photos"
    assert config["SEND_FILE_MAX_AGE_DEFAULT"] == 3600
    assert (config["MAX_CONTENT_LENGTH"], types["MAX_CONTENT_LENGTH"]) == (16777216, "int")
    assert config["MEDIA_ROOT"].startswith("<object object")
    assert config["DEBUG"] is False
    assert config["MEDIA_URL"] is None
    assert "MEDIA_URL" not in types


def test_an_app_runs_as_its_user_and_leaves_nothing(ask: Asker, open_directory: Path) -> None:
    open_directory.chmod(0o777)
    answer = ask(
        """
        import sys
        print("noise on", sys.stdout.fileno(), sys.argv, flush=True)
        from flask import Flask
        app = Flask(__name__)
        open("witness", "w").close()
        """
    )
    assert answer["process"]["uid"] == NOBODY
    assert answer["process"]["groups"] == [NOBODY]
    assert answer["process"]["umask"] == "0027"
    assert answer["root_path"] == str(open_directory)
    assert answer["instance_path"] == str(open_directory / "instance")
    assert re.match(r"3\.\d+\.\d+", answer["versions"]["python"])
    assert answer["versions"]["flask"]
    assert answer["versions"]["werkzeug"]
    witness = (open_directory / "witness").stat()
    assert (witness.st_uid, witness.st_mode & 0o777) == (NOBODY, 0o640)
    # No byte code
    assert sorted(os.listdir(open_directory)) == ["shop.py", "witness"]


def test_an_exit_hook_or_a_thread_that_hangs_does_not_matter(ask: Asker) -> None:
    answer = ask(
        """
        import atexit, threading, time
        from flask import Flask
        app = Flask(__name__)
        atexit.register(time.sleep, 1000)
        threading.Thread(target=time.sleep, args=(1000,)).start()
        """
    )
    assert answer["import_name"] == "shop"


def test_every_static_mount_is_found(ask: Asker, open_directory: Path) -> None:
    (open_directory / "static").mkdir()
    (open_directory / "real").mkdir()
    (open_directory / "link").symlink_to("real")
    answer = ask(
        """
        from flask import Blueprint, Flask
        app = Flask(__name__)
        twice = Blueprint("twice", __name__, static_folder="link", url_prefix="/twice")
        parent = Blueprint("parent", __name__, url_prefix="/parent")
        child = Blueprint("child", __name__, url_prefix="/child", static_folder="gone", static_url_path="/files")
        parent.register_blueprint(child)
        app.register_blueprint(parent)
        app.register_blueprint(twice)
        app.register_blueprint(twice, name="again", url_prefix="/again")
        app.register_blueprint(Blueprint("plain", __name__, url_prefix="/plain"))
        """
    )
    assert mounts(answer) == {
        "static": ("/static/", None),
        "twice.static": ("/twice/link/", None),
        "again.static": ("/again/link/", None),
        "parent.child.static": ("/parent/child/files/", None),
    }
    found = {mount["endpoint"]: (mount["folder"], mount["exists"]) for mount in answer["mounts"]}
    assert found == {
        "static": (str(open_directory / "static"), True),
        "twice.static": (str(open_directory / "real"), True),
        "again.static": (str(open_directory / "real"), True),
        "parent.child.static": (str(open_directory / "gone"), False),
    }
    assert [mount["url"] for mount in answer["mounts"]] == sorted(
        mount["url"] for mount in answer["mounts"]
    )


def test_extensions_bring_mounts_of_their_own(ask: Asker) -> None:
    answer = ask(
        """
        from flask import Flask
        from flask_admin import Admin
        from flask_bootstrap import Bootstrap5
        app = Flask(__name__, static_url_path="/assets", static_folder="static")
        app.config["SECRET_KEY"] = "x"
        Bootstrap5(app)
        Admin(app)
        """
    )
    found = mounts(answer)
    assert found["static"] == ("/assets/", None)
    assert found["admin.static"] == ("/admin/static/", None)
    assert found["bootstrap.static"] == ("/bootstrap/assets/", None)
    assert all(mount["exists"] for mount in answer["mounts"] if mount["endpoint"] != "static")


def test_an_unreachable_blueprint_static_is_marked(ask: Asker) -> None:
    answer = ask(
        """
        from flask import Blueprint, Flask
        app = Flask(__name__)
        app.register_blueprint(Blueprint("about", __name__, static_folder="static"))
        """
    )
    assert mounts(answer) == {"static": ("/static/", None), "about.static": ("/static/", "static")}


def test_a_route_that_takes_the_prefix_is_named(ask: Asker) -> None:
    answer = ask(
        """
        from flask import Flask
        app = Flask(__name__, static_folder=None)
        @app.route("/static/<path:filename>")
        def page(filename): ...
        app.static_folder = "static"
        app.add_url_rule("/static/<path:filename>", endpoint="static", view_func=app.send_static_file)
        """
    )
    assert mounts(answer) == {"static": ("/static/", "page")}


def test_static_at_the_root(ask: Asker) -> None:
    answer = ask(
        """
        from flask import Flask
        app = Flask(__name__, static_url_path="", static_folder="public")
        @app.route("/<page>")
        def page(page): ...
        """
    )
    # A page takes names of one segment, the files in directories are still reached.
    assert mounts(answer) == {"static": ("/", None)}


def test_a_static_folder_below_a_variable_prefix_is_told(ask: Asker) -> None:
    answer = ask(
        """
        from flask import Blueprint, Flask
        app = Flask(__name__, static_folder=None)
        app.register_blueprint(Blueprint("site", __name__, static_folder="s", url_prefix="/<lang>"))
        """
    )
    assert answer["mounts"] == []
    assert "/<lang>/s/<path:filename> (site.static)" in answer["warnings"][0]


def test_an_endpoint_called_static_without_a_folder_is_no_mount(ask: Asker) -> None:
    answer = ask(
        """
        from flask import Blueprint, Flask
        app = Flask(__name__, static_folder=None)
        api = Blueprint("api", __name__)
        @api.route("/api/static/<path:filename>", endpoint="static")
        def made_up(filename): ...
        app.register_blueprint(api)
        @app.route("/x/<path:filename>", endpoint="static")
        def other(filename): ...
        """
    )
    assert answer["mounts"] == []


def test_a_second_rule_of_the_same_endpoint_is_a_mount_too(ask: Asker) -> None:
    answer = ask(
        """
        from flask import Flask
        app = Flask(__name__)
        app.add_url_rule("/old/<path:filename>", endpoint="static", view_func=app.view_functions["static"])
        app.add_url_rule("/cdn/<path:filename>", endpoint="static", build_only=True)
        """
    )
    assert [(mount["url"], mount["shadowed_by"]) for mount in answer["mounts"]] == [
        ("/cdn/", None),
        ("/old/", None),
        ("/static/", None),
    ]


def test_a_host_is_told(ask: Asker) -> None:
    answer = ask(
        """
        from flask import Blueprint, Flask
        app = Flask(__name__, host_matching=True, static_host="cdn.example.com")
        """
    )
    assert [(m["url"], m["host"], m["shadowed_by"]) for m in answer["mounts"]] == [
        ("/static/", "cdn.example.com", None)
    ]


def test_a_subdomain_is_told(ask: Asker) -> None:
    answer = ask(
        """
        from flask import Blueprint, Flask
        app = Flask(__name__, subdomain_matching=True)
        app.config["SERVER_NAME"] = "example.com:8000"
        app.register_blueprint(Blueprint("shop", __name__, subdomain="shop", static_folder="static"))
        app.register_blueprint(
            Blueprint("any", __name__, subdomain="<tenant>", static_folder="static", static_url_path="/any")
        )
        """
    )
    assert {m["endpoint"]: (m["url"], m["host"], m["shadowed_by"]) for m in answer["mounts"]} == {
        "static": ("/static/", None, None),
        "shop.static": ("/static/", "shop.example.com:8000", None),
        "any.static": ("/any/", "<tenant>.example.com:8000", None),
    }


def test_rules_are_told_and_bounded(ask: Asker) -> None:
    answer = ask(
        """
        from flask import Flask
        app = Flask(__name__)
        app.add_url_rule("/media/<path:filename>", endpoint="media", build_only=True)
        @app.post("/upload")
        def upload(): ...
        for index in range(2500):
            app.add_url_rule(f"/page/{index}", endpoint=f"page{index}", view_func=upload)
        """
    )
    assert answer["rules_total"] == 2503
    assert len(answer["rules"]) == 2000
    rules = {rule["endpoint"]: rule for rule in answer["rules"]}
    assert rules["media"]["build_only"] is True
    assert rules["upload"] == {
        "rule": "/upload",
        "endpoint": "upload",
        "methods": ["OPTIONS", "POST"],
        "build_only": False,
    }


def test_arguments_reach_the_factory(ask: Asker) -> None:
    answer = ask(
        """
        from flask import Flask
        def create_app(name, *, folder=None):
            app = Flask(name)
            app.config["UPLOAD_FOLDER"] = folder
            return app
        """,
        "shop:create_app('store', folder='/srv/media')",
    )
    assert answer["import_name"] == "store"
    assert answer["config"]["UPLOAD_FOLDER"] == "/srv/media"


def test_an_app_installed_in_the_virtualenv_needs_no_directory(
    ask: Asker, open_directory: Path
) -> None:
    answer = ask(
        "from flask import Flask\napp = Flask(__name__)",
        directory=None,
        environment={"PYTHONPATH": str(open_directory)},
    )
    assert answer["root_path"] == str(open_directory)


def test_a_module_of_the_apps_does_not_replace_one_of_the_probes(
    ask: Asker, open_directory: Path
) -> None:
    for name in ("json", "inspect", "traceback"):
        (open_directory / f"{name}.py").write_text("raise RuntimeError('shadowed')")
    assert ask("from flask import Flask\napp = Flask(__name__)")["import_name"] == "shop"


def test_a_variable_that_no_environment_can_hold(ask: Asker) -> None:
    assert "'A=B' can't be set" in refusal(ask, "", environment={"A=B": "x"})
    assert "'A' can't be set" in refusal(ask, "", environment={"A": "x\0"})


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_time_is_refused(ask: Asker, seconds: int) -> None:
    assert "timeout_seconds" in refusal(ask, "", timeout_seconds=seconds)


def test_what_stands_in_for_an_app_has_the_form_of_an_answer(ask: Asker) -> None:
    answer = ask("from flask import Flask\napp = Flask(__name__)")
    assumed = _flask_app.assumed()
    assert assumed.keys() == answer.keys()
    assert assumed["config"].keys() == answer["config"].keys()
    assert assumed["mounts"][0].keys() == answer["mounts"][0].keys()
    assert assumed["mounts"][0]["url"] == "/static/"


def test_the_environment_of_a_process(tmp_path: Path) -> None:
    process = tmp_path / "7"
    process.mkdir()
    (process / "environ").write_bytes(b"FLASK_UPLOAD_FOLDER=/old=x\0PATH=/bin\0odd\0A=\xff\0")
    uid = 61001
    # Whose its files are says nothing: of one that has changed its ids they are root's, proc(5).
    (process / "status").write_text(f"Uid:\t0\t{uid}\t0\t0\nGid:\t0\t{uid}\t0\t0\nGroups:\t\n")
    found = _flask_app.process_environment(7, uid, str(tmp_path))
    assert found == {"FLASK_UPLOAD_FOLDER": "/old=x", "A": "\udcff"}
    # Another user's secrets are not for the app's code.
    assert _flask_app.process_environment(7, uid + 1, str(tmp_path)) == {}
    assert _flask_app.process_environment(8, uid, str(tmp_path)) == {}
    assert _flask_app.process_environment(None, uid, str(tmp_path)) == {}


def test_what_an_app_tells_of_its_way_to_nginx_is_read_and_not_run(ask: Asker) -> None:
    source = """
    from flask import Flask, Response
    from werkzeug.middleware.proxy_fix import ProxyFix

    app = Flask(__name__)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_prefix=0)
    app.config["MEDIA_ACCEL_URL"] = "/_kept/"

    def sent(name):
        raise SystemExit("run")
        return Response(headers={"X-Accel-Redirect": "/_protected/" + name})

    @app.get("/download/<name>")
    def download(name):
        return sent(name)

    @app.get("/other")
    def other():
        return "/_nothing/"
    """
    answer = ask(source)
    assert answer["accel_redirects"] == [{"endpoint": "download", "paths": ["/_protected/"]}]
    assert answer["config"]["MEDIA_ACCEL_URL"] == "/_kept/"
    assert (answer["heeds_forwarded_prefix"], answer["heeds_forwarded_proto"]) == (False, True)
