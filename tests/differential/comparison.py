"""One configuration and its requests, asked of a real Nginx and of the prediction."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import nginxes
import tree
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _nginx_config,
    _nginx_routes,
)
from configurations import Request
from raw_http import Connection, Response

HOST = "www"
# What a response's end is told by, and what changes from one to the next
MENTIONED = ("location", "content-type", "cache-control")


@dataclass
class Count:
    configurations: int = 0
    requests: int = 0
    unknown: int = 0
    kinds: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(self.kinds.items()))
        return f"{self.requests} requests to {self.configurations} configurations ({kinds})"


@dataclass(frozen=True)
class Difference:
    request: Request
    what: str
    predicted: object
    real: object
    steps: tuple[str, ...]

    def __str__(self) -> str:
        steps = "".join(f"\n    {step}" for step in self.steps)
        return f"{self.request}: {self.what} predicted {self.predicted!r}, is {self.real!r}{steps}"


class Place:
    """Directory, files and upstreams, made once for many configurations."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="flaskworks-")).resolve()
        tree.make(self.directory)
        self._upstreams: list[nginxes.Upstream] = []

    def __enter__(self) -> Self:
        names = ("first.sock", "second.sock")
        self._upstreams = [nginxes.Upstream(self.directory / name) for name in names]
        return self

    def __exit__(self, *_error: object) -> None:
        for upstream in self._upstreams:
            upstream.stop()
        shutil.rmtree(self.directory)


@dataclass(frozen=True)
class Answer:
    """What Nginx answered, and the line that the answering location wrote."""

    request: Request
    response: Response | None
    line: str | None


@dataclass(frozen=True)
class Outcomes:
    config: _nginx_config.Config
    port: int
    answers: list[Answer]


def ask(nginx: nginxes.Nginx, place: Place, http: str, requests: Iterable[Request]) -> Outcomes:
    """:raises nginxes.NginxError: where the configuration is none."""
    log = place.directory / "access.log"
    log.write_bytes(b"")
    running = nginxes.Running(nginx, place.directory, http)
    try:
        asked = list(requests)
        with Connection(("127.0.0.1", running.port), HOST) as connection:
            responses = [_ask(connection, *one) for one in enumerate(asked)]
            # When it is answered, or refused an answer, all before it has been logged.
            _ask(connection, len(asked), Request("GET", "/%zz"))
    finally:
        running.stop()
    logged = log.read_bytes().decode("latin-1").split("\n")
    lines = {number: line for number, _tab, line in (line.partition("\t") for line in logged)}
    config = _nginx_config.load(
        {str(running.conf_file): running.text}, str(running.conf_file), str(place.directory)
    )
    assert not config.problems, config.problems
    answers = [
        Answer(request, response, lines.get(str(number)))
        for number, (request, response) in enumerate(zip(asked, responses, strict=True))
    ]
    return Outcomes(config, running.port, answers)


def compare(
    nginx: nginxes.Nginx, place: Place, http: str, requests: Iterable[Request], count: Count
) -> list[Difference]:
    outcomes = ask(nginx, place, http, requests)
    count.configurations += 1
    return [
        difference
        for answer in outcomes.answers
        for difference in _differences(outcomes.config, outcomes.port, answer, count)
    ]


def tells(response: Response, fact: str, directory: Path, port: int) -> bool:
    """Whether a response shows what is known: see ``known.Known``."""
    kind, _space, rest = fact.partition(" ")
    if kind == "header":
        name, _equals, value = rest.partition("=")
        return response.all(name) == [value]
    if kind == "no":
        return not response.all(rest)
    if kind == "file":
        return response.body == (directory / rest).resolve().read_bytes()
    if kind == "upstream":
        return response.first("X-Got") == f"GET {rest}"
    return response.first("Location") == f"http://{HOST}:{port}{rest}"


def predicts(route: _nginx_routes.Route, fact: str, directory: Path, port: int) -> bool:
    kind, _space, rest = fact.partition(" ")
    if kind == "header":
        name, _equals, value = rest.partition("=")
        return [one[1] for one in route.headers if one[0] == name] == [value]
    if kind == "no":
        return rest not in [one[0] for one in route.headers]
    if kind == "file":
        return route.kind == "file" and route.path == f"{directory}/{rest}"
    if kind == "upstream":
        return route.kind == "proxy" and route.upstream_uri == rest
    return route.redirect_to == f"http://{HOST}:{port}{rest}"


def _ask(connection: Connection, number: int, request: Request) -> Response | None:
    body = b"x" * (request.body_bytes or 0)
    try:
        # By its number the log is read: what gets no answer is asked twice.
        headers = {**request.headers, "X-Number": str(number)}
        return connection.request(request.method, request.target, headers, body)
    except (ConnectionError, EOFError):
        return None


def predict(config: _nginx_config.Config, port: int, request: Request) -> _nginx_routes.Route:
    server = _nginx_routes.choose_server(config, "127.0.0.1", port, HOST)
    assert server is not None
    return _nginx_routes.route(
        config,
        server,
        request.target,
        method=request.method,
        exists=tree.exists,
        host=HOST,
        port=port,
        headers=request.headers,
        body_bytes=request.body_bytes,
    )


def _differences(
    config: _nginx_config.Config, port: int, answer: Answer, count: Count
) -> Iterable[Difference]:
    request, response, line = answer.request, answer.response, answer.line
    route = predict(config, port, request)
    count.requests += 1
    count.kinds[route.kind] = count.kinds.get(route.kind, 0) + 1
    if route.kind == "unknown":
        count.unknown += 1
        return

    def difference(what: str, predicted: object, real: object) -> Difference:
        return Difference(request, what, predicted, real, tuple(route.steps))

    filename = ""
    assert route.level is not None
    if line is not None:
        number, uri, filename = line.split("\t")
        (log,) = route.level.own("access_log")
        if log.args[1] != f"log{number}":
            yield difference("location", log.args[1], f"log{number}")
        if uri != _bytes(route.uri):
            yield difference("uri", route.uri, uri)
    elif not any(step.startswith("400:") for step in route.steps):
        # Only where the request's first line was refused was its number never read.
        yield difference("status", route.status, 400)
    if response is None:
        if route.status != 444:
            yield difference("status", route.status, "no answer")
        return
    status = 200 if route.status is None else route.status
    if status != response.status:
        yield difference("status", status, response.status)
    predicted = [_shown(name, _bytes(value)) for name, value, _always in route.headers]
    if route.content_type and route.kind != "proxy":
        predicted.append(("content-type", _bytes(route.content_type)))
    real = [_shown(name, value) for name, value in response.headers]
    real = [
        (name, value)
        for name, value in real
        if name.startswith("x-") or name in MENTIONED or name == "expires"
    ]
    real = [one for one in real if one[0] != "x-got"]
    if route.kind == "proxy":
        real = [one for one in real if one[0] != "content-type"]
    unknown = {name for name, value in predicted if route.kind == "proxy" and "$" in value}
    predicted = [one for one in predicted if one[0] not in unknown]
    real = [one for one in real if one[0] not in unknown]
    if sorted(predicted) != sorted(real):
        yield difference("headers", sorted(predicted), sorted(real))
    # Of an error, too, where nothing has come after it.
    is_last = route.path is not None and route.error_page is None
    # What a header's map has captured since is in a path made of captures when it is logged.
    is_fixed = not any("$" in one.args[0] for one in route.level.effective("root"))
    if (
        line is not None
        and is_last
        and is_fixed
        and _bytes(route.path or "") not in (filename, f"{filename}.gz")
    ):
        yield difference("path", route.path, filename)
    if route.kind == "file":
        assert route.path is not None
        if request.method != "HEAD" and response.body != Path(route.path).read_bytes():
            yield difference("content", route.path, response.body)
    got = response.first("X-Got")
    if (route.kind == "proxy") != bool(got):
        yield difference("kind", route.kind, f"upstream got {got!r}")
    elif got:
        _method, _space, got_uri = got.partition(" ")
        if got_uri != _bytes(route.upstream_uri or ""):
            yield difference("upstream URI", route.upstream_uri, got_uri)


def _bytes(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _shown(name: str, value: str) -> tuple[str, str]:
    """Of a date only that it is there."""
    lowered = name.lower()
    return lowered, "" if lowered == "expires" else value.strip()
