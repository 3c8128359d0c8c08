# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Ask a Flask app what it is: in its own virtualenv, as its own user, with the env it runs with.

The app's code is never run as root, and its answer is believed no further than its form.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import typing as t
import urllib.parse

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _flask_probe,
    _path_access,
    _proc,
    _quote,
)

UMASK = 0o027
# What says where and how a process was started: systemd.exec(5), and what a login sets.
OF_A_PROCESS = frozenset(
    [
        "HOME",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "LISTEN_FDNAMES",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LOGNAME",
        "MAIL",
        "MANAGERPID",
        "NOTIFY_SOCKET",
        "OLDPWD",
        "PATH",
        "PIDFILE",
        "PWD",
        "SHELL",
        "SHLVL",
        "SYSTEMD_EXEC_PID",
        "TERM",
        "USER",
        "VIRTUAL_ENV",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
        "_",
    ]
)
# Shorter values, such as "true" or "16", hide nothing and would punch holes in every message.
SECRET_LENGTH = 6
MASK = "********"
OUTPUT_LINES = 15
LINE_LENGTH = 300

Answer = dict[str, t.Any]


class FlaskAppError(Exception):
    """The app can't be asked. Nothing was changed."""


class NotYetError(FlaskAppError):
    """The app can't be asked because a run is still to make what that takes."""


@dataclasses.dataclass(frozen=True)
class Callable:
    """``module:attr`` or ``module:factory(…)``, as Gunicorn reads it.

    :ivar module: a file's path where ``file`` is set, as uWSGI's ``wsgi-file`` names one.
    :ivar arguments: of the call; ``None`` when there is none.
    :ivar loader: ``flask`` when Flask's own command is to find the app by the text.
    """

    text: str
    module: str
    attribute: str
    arguments: t.Sequence[t.Any] | None
    keywords: t.Mapping[str, t.Any]
    is_file: bool = False
    loader: str = "gunicorn"

    @classmethod
    def of(cls, text: str, loader: str) -> Callable:
        """Parse an app as a loader takes it.

        :param loader: ``gunicorn``, or ``flask`` for ``flask --app``, which finds the app itself.
        :raises FlaskAppError: when it would be refused.
        """
        if loader != "flask":
            return cls.parse(text)
        return cls(text, text.partition(":")[0], "", None, {}, loader=loader)

    @classmethod
    def parse(cls, text: str) -> Callable:
        """Parse ``wsgi_app`` (https://docs.gunicorn.org/en/stable/run.html), or a file in its place.

        :raises FlaskAppError: when Gunicorn would refuse it.
        """
        module, _sep, expression = text.partition(":")
        is_file = os.path.isabs(module)
        if not is_file and not all(part.isidentifier() for part in module.split(".")):
            raise _unreadable(text, f"{module!r} is no name of a module")
        try:
            # Gunicorn's own default
            node = ast.parse(expression or "application", mode="eval").body
        except (SyntaxError, ValueError):
            raise _unreadable(text, f"{expression!r} is neither a name nor a call") from None
        if isinstance(node, ast.Name):
            return cls(text, module, node.id, None, {}, is_file)
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            raise _unreadable(text, f"{expression!r} is neither a plain name nor a call of one")
        try:
            arguments = [ast.literal_eval(argument) for argument in node.args]
            keywords = {
                str(word.arg): ast.literal_eval(word.value) for word in node.keywords if word.arg
            }
            # What JSON can't hold can't be handed over as it is.
            same = json.loads(json.dumps([arguments, keywords])) == [arguments, keywords]
        except (ValueError, TypeError):
            same = False
        if not same or len(keywords) != len(node.keywords):
            raise _unreadable(
                text,
                "its arguments are no plain literals (text, numbers, true, false, none, lists)",
            )
        return cls(text, module, node.func.id, arguments, keywords, is_file)


def _unreadable(text: str, why: str) -> FlaskAppError:
    return FlaskAppError(
        f"callable is {text!r}: {why}, so Gunicorn can't read it. "
        "Write 'module:app', 'module:create_app()' or 'module:create_app(config=\"production\")'."
    )


@dataclasses.dataclass(frozen=True)
class FlaskApp:
    """An app on this host, and what it takes to run its code.

    :ivar virtualenv: ``None`` when the app is installed beside a Python of the system.
    :ivar interpreter: that Python.
    :ivar python_path: where modules are also looked for.
    :ivar server_environment: variables that the process's server sets on top of its environment.
    """

    virtualenv: str | None
    callable: Callable
    user: str
    directory: str | None = None
    interpreter: str | None = None
    python_path: t.Sequence[str] = ()
    server_environment: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    environment_files: t.Sequence[str] = ()
    environment: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    process_id: int | None = None
    timeout_seconds: float = 60
    umask: int = UMASK

    @property
    def python(self) -> str:
        """The Python that has the app."""
        if self.virtualenv is None:
            return self.interpreter or "/usr/bin/python3"
        return os.path.join(self.virtualenv, "bin", "python")

    def ask(self) -> Answer:
        """Import the app and return what it says about itself.

        :raises NotYetError: when virtualenv, user or an env file isn't there.
        :raises FlaskAppError: when the app can't be imported, or is no Flask app.
        """
        try:
            who = self._account()
            self._require_virtualenv()
            own = {
                **process_environment(self.process_id, who.uid),
                **self.server_environment,
                **read_environment_files(self.environment_files),
                **self.environment,
            }
            finished = self._run(who, own)
        except _as_user.AsUserError as error:
            raise FlaskAppError(str(error)) from error
        return self._read_answer(finished, Masking(own.values()))

    def _account(self) -> _as_user.Account:
        if self.timeout_seconds <= 0:
            raise FlaskAppError(
                f"timeout_seconds is {self.timeout_seconds:g}, in which no app starts. Write 60, or leave it out."
            )
        return account(self.user)

    def _require_virtualenv(self) -> None:
        if not os.path.lexists(self.python):
            raise NotYetError(
                f"{self.python} isn't there. Install the app first, or name the virtualenv that it is installed in."
            )

    def request(self) -> dict[str, t.Any]:
        """Return what the probe is asked."""
        return {
            "callable": self.callable.text,
            "loader": self.callable.loader,
            "module": self.callable.module,
            "is_file": self.callable.is_file,
            "attribute": self.callable.attribute,
            "arguments": self.callable.arguments,
            "keywords": self.callable.keywords,
            "directory": self.directory,
            "python_path": list(self.python_path),
            "timeout_seconds": self.timeout_seconds,
        }

    def _run(self, who: _as_user.Account, own: t.Mapping[str, str]) -> _as_user.Finished:
        environ = environment(own, self.virtualenv, self.directory or who.home)
        try:
            return _as_user.run(
                who,
                [
                    self.python,
                    "-B",
                    "-c",
                    probe_source(),
                    json.dumps(self.request()),
                    _as_user.RESULT_FD,
                ],
                environ=environ,
                timeout_seconds=self.timeout_seconds,
                umask=self.umask,
            )
        except OSError as error:
            raise FlaskAppError(self._not_started(who, error)) from error

    def _not_started(self, who: _as_user.Account, error: OSError) -> str:
        question = _path_access.Question(self.python, ("read",))
        (answer,) = _path_access.ask(who, [question])
        stop = answer["blocked_by"]
        if not stop:
            return f"{self.python} can't be run as {who.name}: {error.strerror}. Make the virtualenv anew."
        shown = f" ({stop['mode']} {stop['owner']}:{stop['group']})" if stop["mode"] else ""
        return (
            f"{self.python} can't be run as {who.name}: {stop['component']}{shown} is {stop['reason']} for them. "
            f"Make the virtualenv from a Python that {who.name} can reach, such as /usr/bin/python3."
        )

    def _read_answer(self, finished: _as_user.Finished, masking: Masking) -> Answer:
        if not finished.result:
            raise FlaskAppError(self._silence(finished, masking))
        try:
            answer = json.loads(finished.result)
            failure = answer.get("failure")
            if failure is None:
                return checked(answer["app"])
            trace = [str(line) for line in failure["trace"]]
            message = f"{self.callable.text} can't be asked: {failure['message']}."
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FlaskAppError(
                f"{self.callable.text} gave an answer that makes no sense ({error}). "
                "Something in the app writes to file descriptors that it didn't open."
            ) from error
        if trace:
            words = masking.tail("\n".join(trace))
            message += f" Its own words:\n{words}\nMend that, or the env files it reads."
        raise FlaskAppError(message)

    def _silence(self, finished: _as_user.Finished, masking: Masking) -> str:
        name = self.callable.text
        if finished.status is None:
            head = (
                f"{name} wasn't imported and built within {self.timeout_seconds:g} seconds, and was stopped. "
                "Let it not wait for anything at import, or raise timeout_seconds."
            )
        elif finished.status < 0:
            head = f"{name} was killed by signal {-finished.status} while it was imported."
        else:
            head = (
                f"{name} ended Python itself with status {finished.status} while it was imported. "
                "Let it raise an exception instead."
            )
        words = masking.tail(finished.output)
        return f"{head} Its last words:\n{words}" if words else f"{head} It printed nothing."


def process_environment(process_id: int | None, uid: int, proc: str = "/proc") -> dict[str, str]:
    """Return the variables that a process of this user was started with, but for those about itself.

    Nothing for a process of another user: its secrets are not the app's.
    """
    if process_id is None or not is_of(process_id, uid, proc):
        return {}
    found = _proc.Proc(proc).environ(process_id) or {}
    return {name: value for name, value in found.items() if name not in OF_A_PROCESS}


def is_of(process_id: int, uid: int, proc: str = "/proc") -> bool:
    """Return whether a process acts as a user; whose its files in /proc are may differ, proc(5)."""
    ids = _proc.Proc(proc).ids(process_id)
    return ids is not None and ids.uid == uid


def account(user: str) -> _as_user.Account:
    """Return the user whom an app runs as.

    :raises NotYetError: when there is none of that name.
    :raises FlaskAppError: when it is root.
    :raises _as_user.AsUserError: when we can't act as that user.
    """
    if not _as_user.exists(user):
        raise NotYetError(
            f"This host has no user {user!r}. Create it, or name the user that the app runs as."
        )
    who = _as_user.account(user)
    if who.uid == 0:
        raise FlaskAppError(
            f"user is {user!r}, who is root: importing an app runs its code. Name the user that the app runs as."
        )
    _as_user.require_switch(who)
    return who


def read_environment_files(paths: t.Iterable[str]) -> dict[str, str]:
    """Return the variables of env files, of which a later one wins.

    :raises NotYetError: when one isn't there.
    :raises FlaskAppError: when one can't be read.
    """
    found: dict[str, str] = {}
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                found.update(_quote.parse_env_file(file.read()))
        except FileNotFoundError:
            raise NotYetError(
                f"The env file {path} isn't there. Write it, or name another."
            ) from None
        except OSError as error:
            raise FlaskAppError(f"The env file {path} can't be read: {error.strerror}.") from error
        except ValueError as error:
            raise FlaskAppError(
                f"The env file {path} can't be understood: {error}. Write it as UTF-8 text."
            ) from error
    return found


def environment(own: t.Mapping[str, str], virtualenv: str | None, home: str) -> dict[str, str]:
    """Return the environment that an app's code is run with.

    :raises FlaskAppError: when one of its own variables can't be set.
    """
    for name, value in own.items():
        if "\0" in name + value or "=" in name or not name:
            raise FlaskAppError(f"{name!r} can't be set in an environment. Remove it.")
    own_commands = f"{os.path.join(virtualenv, 'bin')}:" if virtualenv else ""
    return _as_user.environment(
        {"PYTHONDONTWRITEBYTECODE": "1", **own},
        home=home,
        path=own_commands + _as_user.PATH,
    )


class Masking:
    """Hides the values of an environment in text, since every one may be a secret.

    The path of something that is there is none, and what an app says of it is of use.
    """

    def __init__(self, values: t.Iterable[str]) -> None:
        shapes: set[str] = set()
        for value in values:
            shapes.update(shape for shape in _shapes(value) if not _is_path(shape))
        # The longest first, so that none leaves a part of another in sight.
        self._shapes = sorted(
            (shape for shape in shapes if len(shape) >= SECRET_LENGTH), key=len, reverse=True
        )

    def apply(self, text: str) -> str:
        """Return the text without any of the values."""
        for shape in self._shapes:
            text = text.replace(shape, MASK)
        return text

    def tail(self, text: str) -> str:
        """Return the last lines of the text, masked and then cut, so that no secret is cut in two."""
        lines = self.apply(text).splitlines()[-OUTPUT_LINES:]
        return "\n".join(f"  {line[:LINE_LENGTH]}" for line in lines)


def _is_path(text: str) -> bool:
    return os.path.isabs(text) and os.path.lexists(text)


def _shapes(value: str) -> t.Iterator[str]:
    """Yield the forms in which a value shows up in a traceback."""
    yield value
    yield repr(value)[1:-1]
    yield from value.splitlines()
    try:
        # from_prefixed_env() reads values as JSON
        decoded = json.loads(value)
    except ValueError:
        pass
    else:
        for leaf in _leaves(decoded):
            yield leaf
            yield repr(leaf)[1:-1]
    try:
        password = urllib.parse.urlsplit(value).password
    except ValueError:
        return
    if password:
        yield password
        yield urllib.parse.unquote(password)


def _leaves(value: t.Any) -> t.Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)


def probe_source() -> str:
    """Return the text of the probe; inside a module it lies in Ansible's zip file."""
    loader = t.cast(t.Any, _flask_probe.__loader__)
    text: bytes = loader.get_data(_flask_probe.__file__)
    return text.decode("utf-8")


def checked(app: t.Any) -> Answer:
    """Return the app's answer if it has the form of one: the app may write to our descriptor.

    :raises ValueError: when it hasn't.
    """
    if not isinstance(app, dict) or set(app) != _FORM.keys():
        raise ValueError("it is another answer than was asked for")
    wrong = [name for name, kind in _FORM.items() if not isinstance(app[name], kind)]
    if wrong:
        raise ValueError(f"{wrong[0]} is no {_FORM[wrong[0]].__name__}")
    for mount in app["mounts"]:
        url, folder = mount["url"], mount["folder"]
        if not (url.startswith("/") and url.endswith("/")):
            raise ValueError(f"{url!r} is no URL prefix")
        if not folder.startswith("/") or not (url + folder).isprintable():
            raise ValueError(f"{folder!r} is no folder")
    return app


_FORM: dict[str, type] = {
    "mounts": list,
    "config": dict,
    "config_types": dict,
    "rules": list,
    "rules_total": int,
    "import_name": str,
    "root_path": str,
    "instance_path": str,
    "warnings": list,
    "versions": dict,
    "process": dict,
    "heeds_forwarded_prefix": bool,
    "heeds_forwarded_proto": bool,
    "accel_redirects": list,
}


def assumed() -> Answer:
    """Return what stands in for an app that a run is still to install: Flask's own defaults."""
    return {
        "mounts": [
            {
                "endpoint": "static",
                "url": "/static/",
                "host": None,
                "folder": None,
                "exists": False,
                "shadowed_by": None,
            }
        ],
        "config": dict.fromkeys(_flask_probe.CONFIG),
        "config_types": {},
        "rules": [],
        "rules_total": 0,
        "import_name": None,
        "root_path": None,
        "instance_path": None,
        "warnings": [],
        "versions": {},
        "process": {},
        "heeds_forwarded_prefix": None,
        "heeds_forwarded_proto": None,
        "accel_redirects": [],
    }
