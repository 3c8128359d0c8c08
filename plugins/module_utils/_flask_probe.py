# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Runs in the app's own Python, as the app's own user, and tells what the app is.

``_flask_app`` hands the text of this file to that Python. So it is whole in itself: it imports the
standard library, and Flask only from the app's virtualenv.
"""

from __future__ import annotations

import contextlib
import datetime
import difflib
import faulthandler
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import os
import pkgutil
import platform
import re
import sys
import traceback
import typing as t

Answer = dict[str, t.Any]

# Nothing else of the config leaves the app: the rest may be secret.
CONFIG = (
    "APPLICATION_ROOT",
    "DEBUG",
    "MAX_CONTENT_LENGTH",
    "MAX_FORM_MEMORY_SIZE",
    "MAX_FORM_PARTS",
    "MEDIA_ROOT",
    "MEDIA_URL",
    "PREFERRED_URL_SCHEME",
    "SEND_FILE_MAX_AGE_DEFAULT",
    "SERVER_NAME",
    "TESTING",
    "UPLOAD_FOLDER",
    "USE_X_SENDFILE",
)
# Flask-Uploads and its successors name a destination for each set of files.
# What hands files to Nginx has no fixed name, but always this word in it.
CONFIG_PATTERN = re.compile(
    r"UPLOAD(?:ED_[A-Z0-9_]+|S_DEFAULT)_DEST\Z|[A-Z0-9_]*ACCEL[A-Z0-9_]*(?:URL|URI|PATH|PREFIX|LOCATION|REDIRECT)\Z"
)
FACTORY = re.compile(r"(?:create|make|build|get|new)_(?:\w+_)?app(?:lication)?\Z|app_factory\Z")
RULES_LIMIT = 2000
TRACEBACK_LINES = 30
# A longer line is left out whole: cut, it could show half a secret that is masked only later.
LINE_LENGTH = 20_000
NAMES_SHOWN = 10
UNWRAP_DEPTH = 8
ATTRIBUTES_LIMIT = 50
# Where middleware keeps the application that it wraps.
WRAPPED = ("app", "wsgi_app", "application", "_app", "wrapped", "__wrapped__", "__self__", "func")
# A name that no rule of an app's own spells out.
PROBE = "flask-app-info-4e1fbb6a"


class ProbeError(Exception):
    """The app can't be asked."""

    def __init__(self, message: str, trace: t.Sequence[str] = ()) -> None:
        super().__init__(message)
        self.trace = list(trace)


def import_module(name: str, directory: str | None) -> t.Any:
    """Import the app's module as Gunicorn does."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(missing + "."):
            raise ProbeError(_module_message(name, missing, directory)) from None
        raise ProbeError(
            f"{name} needs the module {missing}, which isn't installed beside it",
            trace_of(error),
        ) from error
    # An app can raise anything while it is imported, SystemExit included.
    except BaseException as error:
        raise ProbeError(
            f"{name} raised {type(error).__name__} when it was imported",
            trace_of(error),
        ) from error


def import_file(path: str, directory: str | None) -> t.Any:
    """Import the app's file as uWSGI does, whose directory need not be one that modules are in."""
    name = re.sub(r"\W", "_", path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not os.path.isfile(path):
        raise ProbeError(f"there is no Python file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        raise ProbeError(
            f"{path} raised {type(error).__name__} when it was imported", trace_of(error)
        ) from error
    return module


def load_by_flask(name: str) -> t.Any:
    """Return the app that ``flask --app NAME run`` serves, found by Flask's own rules."""
    from flask import cli

    # As the command sets it, so that an app.run() in the app's module does nothing
    os.environ["FLASK_RUN_FROM_CLI"] = "true"
    try:
        cli.load_dotenv()
        return cli.ScriptInfo(app_import_path=name).load_app()
    except BaseException as error:
        trace = [] if type(error).__name__ == "NoAppException" else trace_of(error)
        why = str(error) if not trace else f"it raised {type(error).__name__}"
        raise ProbeError(f"flask --app {name} finds no app: {why}", trace) from error


def _module_message(name: str, missing: str, directory: str | None) -> str:
    parent, _sep, last = missing.rpartition(".")
    if parent:
        package = sys.modules.get(parent)
        names = _public(
            module.name for module in pkgutil.iter_modules(getattr(package, "__path__", []))
        )
        return f"{parent} has no module {last}. It has: {', '.join(names) or 'none'}"
    everywhere = _public(module.name for module in pkgutil.iter_modules())
    near = difflib.get_close_matches(last, everywhere, n=3, cutoff=0.7)
    own = _public(module.name for module in pkgutil.iter_modules([directory])) if directory else []
    candidates = list(dict.fromkeys([*near, *_modules_that_need_flask(), *own]))[:NAMES_SHOWN]
    hint = (
        f"What may be meant: {', '.join(candidates)}"
        if candidates
        else "Is the app installed there?"
    )
    return f"there is no module {name} in this virtualenv or directory. {hint}"


def _modules_that_need_flask() -> list[str]:
    """Return the top-level modules of installed distributions that need Flask, extensions apart."""
    found: list[str] = []
    for distribution in importlib.metadata.distributions():
        needed = " ".join(distribution.requires or []).lower()
        title = str(distribution.metadata["Name"]).lower()
        if re.search(r"\bflask\b", needed) and "flask" not in title:
            files = distribution.files or []
            tops = {file.parts[0].removesuffix(".py") for file in files if file.suffix == ".py"}
            found += _public(tops)
    return found


def _public(names: t.Iterable[str]) -> list[str]:
    return sorted({name for name in names if name.isidentifier() and not name.startswith("_")})


def build(
    module: t.Any, attribute: str, arguments: t.Sequence[t.Any] | None, keywords: Answer
) -> t.Any:
    """Return the object that Gunicorn would serve."""
    try:
        found = getattr(module, attribute)
    except AttributeError:
        raise ProbeError(f"{module.__name__} has no {attribute}. {_callables(module)}") from None
    if arguments is None:
        return found
    try:
        return found(*arguments, **keywords)
    except BaseException as error:
        raise ProbeError(f"{attribute}() raised {type(error).__name__}", trace_of(error)) from error


def _callables(module: t.Any) -> str:
    from flask import Flask

    names: list[str] = []
    for name, value in sorted(vars(module).items()):
        if name.startswith("_"):
            continue
        if isinstance(value, Flask):
            names.append(name)
        elif _is_factory(value):
            names.append(f"{name}()")
    if not names:
        return "It has no Flask app and no factory of one"
    return (
        f"It has: {', '.join(names[:NAMES_SHOWN])}; "
        f"set flask_app_callable={module.__name__}:{names[0]}"
    )


def _is_factory(value: t.Any) -> bool:
    if not inspect.isfunction(value):
        return False
    if FACTORY.match(value.__name__):
        return True
    try:
        annotation = value.__annotations__.get("return")
    except NameError:
        # From Python 3.14 on annotations are evaluated only now, and may name what was never imported.
        return False
    return re.search(r"\bFlask\b", str(annotation)) is not None


def find_flask(served: t.Any, label: str, factory: bool) -> tuple[t.Any, list[str]]:
    """Look through middleware for the Flask app.

    :return: the app, and what of the served object could not be asked.
    """
    from flask import Flask

    seen: set[int] = set()
    warnings: list[str] = []
    level = [served]
    for _unused in range(UNWRAP_DEPTH):
        following: list[t.Any] = []
        for candidate in level:
            if isinstance(candidate, Flask):
                return candidate, warnings
            if id(candidate) in seen or isinstance(candidate, (str, bytes, int, float, type(None))):
                continue
            seen.add(id(candidate))
            if type(candidate).__name__ == "DispatcherMiddleware":
                warnings.append(
                    f"DispatcherMiddleware also serves {', '.join(sorted(candidate.mounts))}; "
                    "the apps mounted there are not asked"
                )
            following += _inside(candidate)
        level = following
    raise ProbeError(_not_flask_message(served, label, factory, warnings))


def _inside(candidate: t.Any) -> list[t.Any]:
    """Return what an object or function may wrap: the usual attributes first."""
    found: list[t.Any] = []
    for name in WRAPPED:
        # Static first: a proxy makes up attributes, and may fail at it outside a request.
        if inspect.getattr_static(candidate, name, None) is not None:
            with contextlib.suppress(Exception):
                found.append(getattr(candidate, name))
    if inspect.isfunction(candidate):
        for cell in candidate.__closure__ or ():
            # ValueError: an empty cell
            with contextlib.suppress(ValueError):
                found.append(cell.cell_contents)
    with contextlib.suppress(Exception):
        attributes = list(vars(candidate).values())[:ATTRIBUTES_LIMIT]
        found += [value for value in attributes if callable(value)]
    return found


def _not_flask_message(served: t.Any, label: str, factory: bool, warnings: list[str]) -> str:
    kind = f"{type(served).__module__}.{type(served).__name__}"
    if warnings:
        return (
            f"{label} is a DispatcherMiddleware without a Flask app at its root, which is not supported "
            f"({warnings[0]}). Name the Flask app itself, or describe its static files by flask_static_mounts"
        )
    if inspect.isfunction(served) and not factory:
        return (
            f"{label} is a function, in which no Flask app was found. If it makes one, "
            f"set flask_app_callable={label}()"
        )
    what = "None" if served is None else f"a {kind}"
    return (
        f"{label} is {what}, in which no Flask app was found. Name the Flask app, "
        "or describe its static files by flask_static_mounts"
    )


def static_mounts(app: t.Any) -> tuple[list[Answer], list[str]]:
    """Return every URL prefix below which the app serves a folder, and what can't be one.

    Flask gives each folder the endpoint ``static``, with the blueprint's name before it.
    """
    found: list[Answer] = []
    warnings: list[str] = []
    for rule in app.url_map.iter_rules():
        owner = _owner(app, rule.endpoint)
        if owner is None or not owner.has_static_folder:
            continue
        prefix, _sep, variable = rule.rule.partition("<")
        if variable != "path:filename>" or not prefix.endswith("/"):
            warnings.append(
                f"{rule.rule} ({rule.endpoint}) has no fixed prefix, so Nginx can't serve it; the app does"
            )
            continue
        folder = os.path.realpath(owner.static_folder)
        found.append(
            {
                "endpoint": rule.endpoint,
                "url": prefix,
                "host": _host(app, rule),
                "folder": folder,
                "exists": os.path.isdir(folder),
                "shadowed_by": None if rule.build_only else _shadow(app, rule, prefix),
            }
        )
    return sorted(found, key=lambda mount: (mount["url"], mount["endpoint"])), warnings


def _owner(app: t.Any, endpoint: str) -> t.Any:
    if endpoint == "static":
        return app
    name, _sep, last = endpoint.rpartition(".")
    return app.blueprints.get(name) if last == "static" else None


def _host(app: t.Any, rule: t.Any) -> str | None:
    """Return the host that a rule is bound to, or ``None`` for any."""
    if rule.host:
        return str(rule.host)
    if rule.subdomain and not app.url_map.host_matching:
        return f"{rule.subdomain}.{app.config.get('SERVER_NAME') or 'localhost'}"
    return None


def _shadow(app: t.Any, rule: t.Any, prefix: str) -> str | None:
    """Return the endpoint that answers in place of this rule, or ``None``.

    The router itself is asked. A rule such as ``/<page>`` takes names of one segment only, so
    a deeper name is tried too.
    """
    first = None
    for name in (PROBE, f"{PROBE}/{PROBE}"):
        winner = _winner(app, rule, prefix + name)
        if winner is None or winner is rule:
            return None
        first = first or str(winner.endpoint)
    return first


def _winner(app: t.Any, rule: t.Any, path: str) -> t.Any:
    from werkzeug.exceptions import HTTPException

    server = app.config.get("SERVER_NAME") or "localhost"
    if app.url_map.host_matching:
        adapter = app.url_map.bind(_filled(rule.host or server))
    else:
        adapter = app.url_map.bind(server, subdomain=_filled(rule.subdomain or ""))
    try:
        return adapter.match(path, method="GET", return_rule=True)[0]
    except HTTPException:
        return None


def _filled(host: str) -> str:
    return re.sub(r"<[^>]*>", "x", host)


def config_of(app: t.Any) -> tuple[Answer, dict[str, str]]:
    """Return the allowed part of the config, and the type of each value that is set."""
    names = [name for name in app.config if CONFIG_PATTERN.match(str(name))]
    values: Answer = {name: _plain(app.config.get(name)) for name in sorted({*CONFIG, *names})}
    types = {name: type(app.config[name]).__name__ for name in values if name in app.config}
    return values, types


def _plain(value: t.Any) -> t.Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    return (value if isinstance(value, str) else repr(value))[:4096]


def rules_of(app: t.Any) -> list[Answer]:
    """Return the app's rules, as the router tries them."""
    rules = [
        {
            "rule": rule.rule,
            "endpoint": rule.endpoint,
            "methods": sorted(rule.methods or ()),
            "build_only": bool(rule.build_only),
        }
        for rule in app.url_map.iter_rules()
    ]
    return rules[:RULES_LIMIT]


def heeds_forwarded(served: t.Any, app: t.Any) -> tuple[bool, bool]:
    """Whether a prefix, and a scheme, that the proxy tells become part of the app's links.

    The served object is called as Gunicorn does, with a request that ends before any code of a view:
    https://flask.palletsprojects.com/en/stable/deploying/proxy_fix/
    """
    from flask import request, request_started
    from werkzeug.exceptions import NotFound
    from werkzeug.test import EnvironBuilder

    seen: list[tuple[str, str]] = []

    def look(_sender: t.Any, **_unused: t.Any) -> t.NoReturn:
        seen.append((request.script_root, request.scheme))
        raise NotFound

    headers = [("X-Forwarded-Prefix", f"/{PROBE}"), ("X-Forwarded-Proto", "https")]
    environ = EnvironBuilder(
        path=f"/{PROBE}", headers=headers, environ_base={"REMOTE_ADDR": "127.0.0.1"}
    ).get_environ()
    # Whatever middleware does with a request that it did not expect, the answer is no.
    with contextlib.suppress(Exception), request_started.connected_to(look, app):
        for _part in served(environ, lambda _status, _headers, _info=None: lambda _data: None):
            pass
    if len(seen) != 1:
        return False, False
    return seen[0][0] == f"/{PROBE}", seen[0][1] == "https"


def accel_redirects(app: t.Any) -> list[Answer]:
    """Return the endpoints whose code names X-Accel-Redirect, with the URL paths that it spells out.

    The code is only read: its constants, and those of functions of its module that it names.
    """
    found = []
    for endpoint, view in sorted(app.view_functions.items()):
        constants = _constants(view)
        if any(text.lower() == "x-accel-redirect" for text in constants):
            paths = {text for text in constants if re.match(r"/[\w./%~+-]{0,200}\Z", text)}
            found.append({"endpoint": endpoint, "paths": sorted(paths)})
    return found


def _constants(view: t.Any) -> set[str]:
    texts: set[str] = set()
    seen: set[int] = set()
    # Of a class, its methods: https://flask.palletsprojects.com/en/stable/views/
    owner = getattr(view, "view_class", None)
    level = [view, *(vars(owner).values() if owner else ())]
    for _unused in range(2):
        following: list[t.Any] = []
        for function in level:
            function = inspect.unwrap(function) if callable(function) else function
            code = getattr(function, "__code__", None)
            if code is None or id(code) in seen:
                continue
            seen.add(id(code))
            for name in _read(code, texts):
                named = getattr(function, "__globals__", {}).get(name)
                if inspect.isfunction(named):
                    following.append(named)
        level = following
    return texts


def _read(code: t.Any, texts: set[str]) -> set[str]:
    """Add the texts of a code object, nested ones included; return the names that it uses."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, str):
            texts.add(constant)
        elif isinstance(constant, tuple):
            texts.update(each for each in constant if isinstance(each, str))
        elif inspect.iscode(constant):
            names |= _read(constant, texts)
    return names


def describe(served: t.Any, app: t.Any, warnings: list[str]) -> Answer:
    """Return what the app says about itself."""
    mounts, unserved = static_mounts(app)
    values, types = config_of(app)
    rules = rules_of(app)
    umask = os.umask(0)
    os.umask(umask)
    prefix, scheme = heeds_forwarded(served, app)
    return {
        "mounts": mounts,
        "config": values,
        "config_types": types,
        "rules": rules,
        "rules_total": sum(1 for _unused in app.url_map.iter_rules()),
        "import_name": app.import_name,
        "root_path": app.root_path,
        "instance_path": app.instance_path,
        "warnings": [*warnings, *unserved],
        "versions": {
            "python": platform.python_version(),
            "flask": importlib.metadata.version("flask"),
            "werkzeug": importlib.metadata.version("werkzeug"),
        },
        "process": {
            "uid": os.getuid(),
            "gid": os.getgid(),
            "groups": sorted(os.getgroups()),
            "umask": f"{umask:04o}",
        },
        "heeds_forwarded_prefix": prefix,
        "heeds_forwarded_proto": scheme,
        "accel_redirects": accel_redirects(app),
    }


def trace_of(error: BaseException) -> list[str]:
    """Return the last lines of a traceback, from the app's first frame on."""
    tail = error.__traceback__
    while tail and (
        tail.tb_frame.f_globals is globals()
        or tail.tb_frame.f_code.co_filename.startswith(("<frozen importlib", importlib.__file__))
    ):
        tail = tail.tb_next
    lines = "".join(traceback.format_exception(type(error), error, tail)).splitlines()
    return [
        line if len(line) <= LINE_LENGTH else f"(a line of {len(line)} characters)"
        for line in lines[-TRACEBACK_LINES:]
    ]


def ask(request: Answer) -> Answer:
    """Import, build and describe the app.

    :raises ProbeError: when one of these fails.
    """
    directory = request["directory"]
    # With -c, Python puts the working directory first.
    sys.path[:] = [entry for entry in sys.path if entry]
    if directory:
        try:
            os.chdir(directory)
        except OSError as error:
            raise ProbeError(f"{directory}: {error.strerror}") from error
        sys.path.insert(0, directory)
    sys.path[:0] = request["python_path"]
    if importlib.util.find_spec("flask") is None:
        raise ProbeError("Flask isn't installed in this virtualenv")
    called = request["arguments"] is not None
    if request["loader"] == "flask":
        served = load_by_flask(request["callable"])
    else:
        load = import_file if request["is_file"] else import_module
        module = load(request["module"], directory)
        served = build(module, request["attribute"], request["arguments"], request["keywords"])
    app, warnings = find_flask(served, request["callable"], called)
    try:
        return describe(served, app, warnings)
    except Exception as error:
        raise ProbeError(
            f"the app can't be described: {type(error).__name__}",
            trace_of(error),
        ) from error


def main(arguments: t.Sequence[str]) -> t.NoReturn:
    """Answer on the descriptor that the request names, and end without the app's exit hooks."""
    request = json.loads(arguments[0])
    channel = int(arguments[1])
    os.set_inheritable(channel, False)
    # What an app finds under Gunicorn.
    sys.argv[:] = ["gunicorn"]
    faulthandler.dump_traceback_later(max(request["timeout_seconds"] * 0.9, 0.1), file=2)
    try:
        answer: Answer = {"app": ask(request)}
    except ProbeError as error:
        answer = {"failure": {"message": str(error), "trace": error.trace}}
    data = json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")
    while data:
        data = data[os.write(channel, data) :]
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
