# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""What the command line of a WSGI server says, and the configuration that it names.

Nothing is run: a configuration that is Python is read as text, and only its plain literals count.
"""

from __future__ import annotations

import ast
import dataclasses
import os
import re
import shlex
import typing as t

# Returns the text of a file as the process sees it, or None.
Reader = t.Callable[[str], t.Optional[str]]

_PYTHON = re.compile(r"python[\d.]*\Z")
# Options of Python's that take a value: https://docs.python.org/3/using/cmdline.html
_PYTHON_VALUES = ("-W", "-X", "--check-hash-based-pycs")
_TITLE = re.compile(r"gunicorn: (?:master|worker) \[(?P<name>.*)\]")
_CALLABLE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*(?:\(.*\))?\Z")
_UWSGI = re.compile(r"uwsgi(?:-core)?(?:[_-]?python[\d.]*)?\Z", re.IGNORECASE)

_TOOLS = {
    "gunicorn": "gunicorn",
    "gunicorn3": "gunicorn",
    "gunicorn.app.wsgiapp": "gunicorn",
    "waitress-serve": "waitress",
    "waitress": "waitress",
    "hypercorn": "hypercorn",
    "flask": "flask run",
}
# Gunicorn's options that take no value: https://docs.gunicorn.org/en/stable/settings.html
_GUNICORN_FLAGS = frozenset(
    [
        "-D",
        "--daemon",
        "-R",
        "--enable-stdio-inheritance",
        "--reload",
        "--spew",
        "--check-config",
        "--print-config",
        "--preload",
        "--no-sendfile",
        "--reuse-port",
        "--initgroups",
        "--capture-output",
        "--log-syslog",
        "--proxy-protocol",
        "--do-handshake-on-connect",
        "--suppress-ragged-eofs",
        "--strip-header-spaces",
        "--permit-unconventional-http-method",
        "--permit-unconventional-http-version",
        "--casefold-http-method",
        "--permit-obsolete-folding",
        "--disable-redirect-access-to-syslog",
        "--no-control-socket",
    ]
)
_GUNICORN_NAMES = {
    "-b": "bind",
    "-c": "config",
    "-e": "env",
    "-g": "group",
    "-m": "umask",
    "-u": "user",
    "--pythonpath": "pythonpath",
}
_GUNICORN_SETTINGS = frozenset(
    ["bind", "chdir", "umask", "user", "group", "pythonpath", "raw_env", "wsgi_app"]
)
GUNICORN_BIND = "127.0.0.1:8000"

# uWSGI's options: https://uwsgi-docs.readthedocs.io/en/latest/Options.html
_UWSGI_NAMES = {
    "s": "socket",
    "uwsgi-socket": "socket",
    "http": "http-socket",
    "https": "http-socket",
    "https-socket": "http-socket",
    "fastcgi-socket": "socket",
    "scgi-socket": "socket",
    "w": "module",
    "wsgi": "module",
    "file": "wsgi-file",
    "H": "home",
    "virtualenv": "home",
    "venv": "home",
    "pyhome": "home",
    "pp": "pythonpath",
    "python-path": "pythonpath",
    "pyargv": "pyargv",
}
_UWSGI_VALUES = frozenset(
    [
        "socket",
        "http-socket",
        "module",
        "wsgi-file",
        "callable",
        "home",
        "chdir",
        "uid",
        "gid",
        "umask",
        "mount",
        "ini",
        "emperor",
        "env",
        "pythonpath",
        "include",
        "plugin",
        "plugins",
        "set",
        "daemonize",
        "pidfile",
        "logto",
        "processes",
        "workers",
        "threads",
    ]
)
_INCLUDES_LIMIT = 20


@dataclasses.dataclass
class Command:
    """What a command line tells.

    :ivar callable: as ``loader`` takes it; may name a file in place of a module.
    :ivar loader: whose rules for that hold: ``gunicorn`` or ``flask``.
    :ivar script: what Python runs, or the server's own command.
    :ivar environment: variables that the server sets for the app, secrets among them.
    """

    server: str | None = None
    callable: str | None = None
    loader: str = "gunicorn"
    directory: str | None = None
    listens: list[str] = dataclasses.field(default_factory=list)
    script_name: str | None = None
    user: str | None = None
    group: str | None = None
    umask: str | None = None
    virtualenv: str | None = None
    python: str | None = None
    python_path: list[str] = dataclasses.field(default_factory=list)
    script: str | None = None
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    config_files: list[str] = dataclasses.field(default_factory=list)
    unseen: list[str] = dataclasses.field(default_factory=list)


def server_of(argv: t.Sequence[str]) -> str | None:
    """Return the WSGI server that a command line runs; ``python`` for any other program of Python's."""
    if not argv:
        return None
    if _TITLE.match(argv[0]):
        return "gunicorn"
    if _UWSGI.match(os.path.basename(argv[0]).split(" ")[0]):
        return "uwsgi"
    _python, script, rest = _program(argv)
    name = os.path.basename(script or "")
    tool = _TOOLS.get(name)
    if tool == "flask run":
        return tool if "run" in rest else None
    if tool:
        return tool
    return "python" if _python else None


def emperor_of(argv: t.Sequence[str]) -> str | None:
    """Return the directory of the vassals of an emperor of uWSGI's."""
    for word, following in zip(argv, [*argv[1:], ""]):
        name, equals, value = word.partition("=")
        if name == "--emperor":
            return value if equals else following
    return None


@dataclasses.dataclass(frozen=True)
class _Files:
    """Files as a process names them.

    :ivar directories: that its relative names may go by, the likeliest first.
    """

    read: Reader
    directories: t.Sequence[str]

    def find(self, name: str) -> tuple[str, str] | None:
        """Return path and content of the first that is there."""
        for directory in self.directories or ["/"] * os.path.isabs(name):
            path = os.path.normpath(os.path.join(directory, name))
            content = self.read(path)
            if content is not None:
                return path, content
        return None


def _program(argv: t.Sequence[str]) -> tuple[str | None, str | None, list[str]]:
    """Return the Python of a command line, the script or module that it runs, and the arguments."""
    if not _PYTHON.match(os.path.basename(argv[0])):
        return None, argv[0], list(argv[1:])
    position = 1
    while position < len(argv) and argv[position].startswith("-"):
        word = argv[position]
        found = re.match(r"-[bBdEhiIOPqsSuvVx?]*([mc])(.*)\Z", word)
        if found and found[1] == "c":
            return argv[0], None, []
        if found:
            module = found[2] or (argv[position + 1] if position + 1 < len(argv) else "")
            return argv[0], module, list(argv[position + (1 if found[2] else 2) :])
        position += 2 if word in _PYTHON_VALUES else 1
    if position >= len(argv):
        return argv[0], None, []
    return argv[0], argv[position], list(argv[position + 1 :])


def parse(
    argv: t.Sequence[str],
    environ: t.Mapping[str, str],
    directory: str | None,
    read: Reader,
    starts: t.Sequence[str] = (),
) -> Command:
    """Return what a command line tells.

    :param directory: the process's working directory.
    :param read: of the configuration that is named there.
    :param starts: directories that it may have been started in, before it went to its own.
    """
    files = _Files(read, [each for each in (directory, *starts) if each])
    server = server_of(argv)
    command = Command(server=server)
    if server is None:
        return command
    if server == "uwsgi":
        _UwsgiParser(command, directory, environ, files).parse(argv[1:])
        return command
    title = _TITLE.match(argv[0])
    if title:
        if _CALLABLE.match(title["name"]):
            command.callable = title["name"]
        _gunicorn(command, [], environ, directory, files)
        return command
    command.python, command.script, rest = _program(argv)
    if server == "gunicorn":
        _gunicorn(command, rest, environ, directory, files)
    elif server == "waitress":
        _waitress(command, rest)
    elif server == "hypercorn":
        _hypercorn(command, rest)
    elif server == "flask run":
        _flask(command, rest, environ, files)
    return command


def _options(
    words: t.Sequence[str], flags: t.Collection[str], names: t.Mapping[str, str]
) -> tuple[dict[str, list[str]], list[str]]:
    """Split a command line as argparse does: options with their values, and the rest."""
    options: dict[str, list[str]] = {}
    rest: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "--":
            rest += words[position:]
            break
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        if word in flags:
            options.setdefault(word.lstrip("-"), []).append("")
            continue
        if word.startswith("--"):
            name, separator, value = word.partition("=")
        else:
            name, value = word[:2], word[2:]
            separator = value
        if not separator:
            value = words[position] if position < len(words) else ""
            position += 1
        options.setdefault(names.get(name, name.lstrip("-")), []).append(value)
    return options, rest


def _gunicorn(
    command: Command,
    words: t.Sequence[str],
    environ: t.Mapping[str, str],
    directory: str | None,
    files: _Files,
) -> None:
    """Read the settings in the order of https://docs.gunicorn.org/en/stable/configure.html."""
    given, rest = _options(words, _GUNICORN_FLAGS, _GUNICORN_NAMES)
    try:
        by_environment = shlex.split(environ.get("GUNICORN_CMD_ARGS", ""))
    except ValueError:
        by_environment = []
    more, more_rest = _options(by_environment, _GUNICORN_FLAGS, _GUNICORN_NAMES)
    config = [*given.get("config", []), *more.get("config", [])]
    settings = _gunicorn_file(command, config[0] if config else None, files)
    for each in (more, given):
        settings.update(
            (name, values if name == "bind" else values[-1])
            for name, values in each.items()
            if name in _GUNICORN_SETTINGS
        )
    raw_env = settings.get("raw_env") or []
    for assignment in [*raw_env, *more.get("env", []), *given.get("env", [])]:
        _set(command, str(assignment))
    callables = [*rest, *more_rest]
    command.callable = (callables[0] if callables else None) or _text(
        settings.get("wsgi_app") or command.callable
    )
    if command.callable:
        # All else that a configuration says, /proc says too.
        command.unseen.clear()
    bind = settings.get("bind")
    if bind is None:
        bind = f"0.0.0.0:{environ['PORT']}" if "PORT" in environ else GUNICORN_BIND
    command.listens = [address(each) for each in ([bind] if isinstance(bind, str) else bind)]
    command.directory = _joined(settings.get("chdir"), directory)
    command.user = _text(settings.get("user"))
    command.group = _text(settings.get("group"))
    umask = settings.get("umask")
    command.umask = f"{umask:04o}" if isinstance(umask, int) else _text(umask)
    command.python_path = [
        part for part in str(settings.get("pythonpath") or "").split(",") if part
    ]


def _gunicorn_file(command: Command, named: str | None, files: _Files) -> dict[str, t.Any]:
    """Return the settings of a configuration file that are plain literals."""
    if named and named.startswith("python:"):
        command.unseen.append(
            f"Gunicorn's settings are those of the module {named[7:]}, which is not read."
        )
        return {}
    name = (named or "gunicorn.conf.py").removeprefix("file:")
    found = files.find(name)
    if found is None:
        if named:
            command.unseen.append(f"Gunicorn's configuration {name} can't be read.")
        return {}
    path, content = found
    command.config_files.append(path)
    settings, computed = assignments(content, _GUNICORN_SETTINGS)
    if "wsgi_app" in computed:
        command.unseen.append(f"{path} computes wsgi_app, which is not known since it is not run.")
    return settings


def _set(command: Command, assignment: str) -> None:
    name, equals, value = assignment.partition("=")
    if equals and name:
        command.environment[name] = value
        if name == "SCRIPT_NAME":
            command.script_name = value


def assignments(text: str, names: t.Collection[str]) -> tuple[dict[str, t.Any], list[str]]:
    """Return what a Python file assigns to names as plain literals, and which it computes."""
    found: dict[str, t.Any] = {}
    computed: list[str] = []
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return {}, sorted(names)
    for node in body:
        for name, value in _assigned(node):
            if name not in names:
                continue
            found.pop(name, None)
            try:
                found[name] = ast.literal_eval(value)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                computed.append(name)
    return found, [name for name in dict.fromkeys(computed) if name not in found]


def _assigned(node: ast.stmt) -> t.Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value
    elif isinstance(node, ast.AnnAssign) and node.value and isinstance(node.target, ast.Name):
        yield node.target.id, node.value


def _waitress(command: Command, words: t.Sequence[str]) -> None:
    """Read the options of https://docs.pylonsproject.org/projects/waitress/en/stable/runner.html."""
    flags = {
        "--call",
        "--help",
        "--expose-tracebacks",
        "--no-expose-tracebacks",
        "--ipv4",
        "--ipv6",
    }
    flags |= {"--no-ipv4", "--no-ipv6", "--clear-untrusted-proxy-headers", "--asyncore-use-poll"}
    flags |= {"--no-clear-untrusted-proxy-headers", "--log-untrusted-proxy-headers"}
    options, rest = _options(words, flags, {})
    named = [*rest, *options.get("app", [])]
    if named:
        command.callable = f"{named[0]}()" if "call" in options else named[0]
    command.script_name = options.get("url-prefix", [None])[-1]
    command.listens = [
        address(each) for value in options.get("listen", []) for each in value.split()
    ]
    if "unix-socket" in options:
        command.listens = [f"unix:{options['unix-socket'][-1]}"]
    elif not command.listens:
        host = options.get("host", ["0.0.0.0"])[-1]
        command.listens = [address(f"{host}:{options.get('port', ['8080'])[-1]}")]


def _hypercorn(command: Command, words: t.Sequence[str]) -> None:
    """Read the options of https://hypercorn.readthedocs.io/en/latest/how_to_guides/configuring.html."""
    flags = {"--debug", "--reload", "--error-log", "-d"}
    names = {"-b": "bind", "-c": "config", "-u": "user", "-g": "group", "-m": "umask"}
    options, rest = _options(words, flags, names)
    if rest:
        # "wsgi:module:app" says of which kind it is.
        named = rest[0].split(":", 1)[1] if rest[0].count(":") > 1 else rest[0]
        command.callable = named if ":" in named else f"{named}:app"
    command.script_name = options.get("root-path", [None])[-1]
    command.listens = [address(each) for each in options.get("bind", [GUNICORN_BIND])]
    if "config" in options:
        command.unseen.append("Hypercorn's configuration file is not read.")


def _flask(
    command: Command,
    words: t.Sequence[str],
    environ: t.Mapping[str, str],
    files: _Files,
) -> None:
    """Read the options of https://flask.palletsprojects.com/en/stable/cli/."""
    flags = {
        "--debug",
        "--no-debug",
        "--reload",
        "--no-reload",
        "--with-threads",
        "--without-threads",
    }
    flags |= {"--debugger", "--no-debugger"}
    names = {"-A": "app", "-h": "host", "-p": "port", "-e": "env-file"}
    options, _rest = _options(words, flags, names)
    command.loader = "flask"
    command.callable = options.get("app", [environ.get("FLASK_APP", "")])[-1] or None
    for name in ("wsgi.py", "app.py"):
        # What Flask itself looks for without either
        if command.callable is None and files.find(name):
            command.callable = name
    host = options.get("host", [environ.get("FLASK_RUN_HOST", "127.0.0.1")])[-1]
    port = options.get("port", [environ.get("FLASK_RUN_PORT", "5000")])[-1]
    command.listens = [address(f"{host}:{port}")]


class _UwsgiParser:
    """Reads uWSGI's options: https://uwsgi-docs.readthedocs.io/en/latest/Configuration.html."""

    def __init__(
        self,
        command: Command,
        directory: str | None,
        environ: t.Mapping[str, str],
        files: _Files,
    ) -> None:
        self._command = command
        self._directory = directory
        self._environ = environ
        self._files = files
        self._values: dict[str, list[str]] = {}

    def parse(self, words: t.Sequence[str]) -> None:
        position = 0
        while position < len(words):
            word = words[position]
            position += 1
            if not word.startswith("-"):
                self._positional(word)
                continue
            name, separator, value = word.lstrip("-").partition("=")
            if not word.startswith("--") and len(name) > 1:
                name, value, separator = word[1], word[2:], "="
            name = _UWSGI_NAMES.get(name, name)
            if not separator and name in _UWSGI_VALUES:
                value = words[position] if position < len(words) else ""
                position += 1
            self._take(name, value)
        self._conclude()

    def _positional(self, word: str) -> None:
        if word.endswith(".ini"):
            self._ini(word)
        elif word.endswith((".xml", ".yaml", ".yml", ".json")):
            self._command.unseen.append(
                f"uWSGI's configuration {word} is not read: it is no ini file."
            )
        elif word.endswith((".py", ".wsgi")):
            self._take("wsgi-file", word)
        elif _CALLABLE.match(word):
            self._take("module", word)

    def _take(self, name: str, value: str) -> None:
        name = _UWSGI_NAMES.get(name, name)
        if name in ("ini", "include"):
            self._ini(value)
        elif name in ("xml", "yaml", "json"):
            self._command.unseen.append(
                f"uWSGI's configuration {value} is not read: it is no ini file."
            )
        else:
            self._values.setdefault(name, []).append(value)

    def _ini(self, named: str) -> None:
        name, _colon, section = named.partition(":")
        found = self._files.find(name)
        if found is None:
            self._command.unseen.append(f"uWSGI's configuration {name} can't be read.")
            return
        if len(self._command.config_files) >= _INCLUDES_LIMIT:
            return
        path, content = found
        self._command.config_files.append(path)
        for key, value in ini_options(content, section or "uwsgi"):
            self._take(key, self._expanded(value, path))

    def _expanded(self, value: str, path: str) -> str:
        """Put in what uWSGI calls magic variables, placeholders and the environment."""
        directory, file = os.path.split(path)
        magic = {
            "d": f"{directory.rstrip('/')}/",
            "n": file.rpartition(".")[0] or file,
            "s": file,
            "p": path,
            "e": file.rpartition(".")[2],
            "c": os.path.basename(directory),
            "x": "uwsgi",
            "%": "%",
        }

        def replaced(found: re.Match[str]) -> str:
            if found["key"]:
                return (self._values.get(found["key"]) or [found[0]])[-1]
            if found["variable"]:
                return self._environ.get(found["variable"], "")
            return magic.get(found["letter"], found[0])

        pattern = r"%\((?P<key>[^)]*)\)|\$\((?P<variable>[^)]*)\)|%(?P<letter>.)"
        return re.sub(pattern, replaced, value)

    def _conclude(self) -> None:
        command, last = self._command, self._last
        command.directory = _joined(last("chdir"), self._directory)
        base = command.directory or self._directory
        home = _joined(last("home"), self._directory)
        command.virtualenv = home.rstrip("/") if home else None
        command.user, command.group = last("uid"), last("gid")
        command.umask = last("umask")
        command.python_path = self._values.get("pythonpath", [])
        for assignment in self._values.get("env", []):
            _set(command, assignment)
        for name in ("socket", "http-socket"):
            command.listens += [address(each.split(",")[0]) for each in self._values.get(name, [])]
        name = last("callable") or "application"
        module, file = last("module"), last("wsgi-file")
        mounts = [mount for mount in self._values.get("mount", []) if "=" in mount]
        if mounts:
            command.script_name, _equals, app = mounts[0].partition("=")
            module, file = (None, app) if app.endswith((".py", ".wsgi")) else (app, None)
            if len(mounts) > 1:
                command.unseen.append(f"uWSGI mounts {len(mounts)} apps; the first is looked at.")
        if module:
            # "mod:app" or, uWSGI's own, "mod" and callable
            command.callable = module if ":" in module else f"{module}:{name}"
        elif path := _joined(file, base):
            command.callable = f"{path}:{name}"
        if command.callable:
            command.unseen = [each for each in command.unseen if "mounts" in each]

    def _last(self, name: str) -> str | None:
        values = self._values.get(name)
        return values[-1] if values else None


def ini_options(text: str, section: str) -> list[tuple[str, str]]:
    """Return the options of a section of uWSGI's, each as often as it is there."""
    found: list[tuple[str, str]] = []
    current = ""
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped[0] in ";#":
            continue
        if stripped.startswith("[") and stripped.endswith("]"):
            current = stripped[1:-1].strip()
        elif current == section:
            key, _equals, value = stripped.partition("=")
            found.append((key.strip(), value.strip()))
    return found


def address(bind: str) -> str:
    """Return ``unix:/path`` or ``host:port`` for what servers take as an address."""
    bind = re.sub(r"\A(?:tcp|http|https)://", "", bind)
    if bind.startswith(("unix:", "/")):
        return f"unix:{bind.removeprefix('unix:').removeprefix('//')}"
    host, _colon, port = bind.rpartition(":")
    if host in ("", "*"):
        host = "0.0.0.0"
    elif host == "localhost":
        host = "127.0.0.1"
    elif ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"{host}:{port}" if port.isdigit() else bind


def _joined(path: t.Any, directory: str | None) -> str | None:
    if not isinstance(path, str) or not path:
        return None
    if os.path.isabs(path):
        return os.path.normpath(path)
    return os.path.normpath(os.path.join(directory, path)) if directory else None


def _text(value: t.Any) -> str | None:
    return None if value is None else str(value)
