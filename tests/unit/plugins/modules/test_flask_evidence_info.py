"""The module as Ansible runs it, against a real Nginx by HTTP and HTTPS."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.flaskworks.static_media.plugins.module_utils._certificate import SelfSigned
from ansible_collections.flaskworks.static_media.plugins.modules import flask_evidence_info

from tests.unit.roles.nginx import free_ports, serving

if t.TYPE_CHECKING:
    from tests.unit.plugins.conftest import Module

NGINX = """\
client_max_body_size 100k;
server {
    listen 127.0.0.1:@tls@ ssl;
    server_name other.example;
    # Who names nobody, or another, is refused.
    ssl_reject_handshake on;
    ssl_certificate @dir@/a.pem;
    ssl_certificate_key @dir@/a.pem;
}
server {
    listen 127.0.0.1:@port@;
    listen 127.0.0.1:@tls@ ssl;
    listen 127.0.0.1:@proxied@ proxy_protocol;
    listen 127.0.0.1:@proxied_tls@ ssl proxy_protocol;
    server_name a.example;
    ssl_certificate @dir@/a.pem;
    ssl_certificate_key @dir@/a.pem;
    add_header X-Seen $request_uri;
    add_header X-Seen twice;
    location /media/ { root @dir@; }
    location /app/ { proxy_pass http://127.0.0.1:9; }
    location = /said { default_type text/plain; return 200 $scheme; }
}
"""


class Site(t.NamedTuple):
    directory: Path
    media: Path
    port: int
    tls: int
    proxied: int
    proxied_tls: int

    def ask(self, target: str, id_: str = "r", **question: t.Any) -> dict[str, t.Any]:
        own = {"id": id_, "port": self.port, "host": "a.example", "target": target}
        return {**own, **question}


@pytest.fixture(scope="module")
def site() -> t.Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="flaskworks-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        SelfSigned(f"{directory}/a.pem", ["a.example"]).apply()
        ports = free_ports(4)
        text = NGINX
        for kind, port in zip(("port", "tls", "proxied", "proxied_tls"), ports, strict=True):
            text = text.replace(f"@{kind}@", str(port))
        media = directory / "media"
        media.mkdir()
        os.chown(media, 65534, 65534)
        with serving(directory, text):
            yield Site(directory, media, *ports)


@pytest.fixture
def asked(run_module: Module, site: Site) -> t.Callable[..., dict[str, t.Any]]:
    def ask(*requests: dict[str, t.Any], check: bool = False, **others: t.Any) -> dict[str, t.Any]:
        answer = run_module(
            "flask_evidence_info",
            check=check,
            error_logs=[f"{site.directory}/error.log"],
            questions={"requests": list(requests), **others},
        )
        assert answer["changed"] is False
        assert answer["unseen"] == []
        answers: dict[str, t.Any] = answer["answers"]
        return answers

    return ask


Asked = t.Callable[..., dict[str, t.Any]]


def test_a_canary_is_served_and_why_not_is_in_the_log(asked: Asked, site: Site) -> None:
    canary = {"id": "c", "directory": str(site.media), "user": "nobody", "suffix": ".txt"}
    target = "/media/{canary:c}"
    refused = asked(site.ask(target, log=True), canaries=[canary])
    answer = refused["r"]
    (line,) = answer["log"]
    assert answer["status"] == 403
    assert "(13: Permission denied)" in line
    assert refused["c"]["name"] in line

    served = asked(site.ask(target, log=True), canaries=[{**canary, "umask": "0022"}])
    answer, placed = served["r"], served["c"]
    assert (answer["status"], answer["log"]) == (200, [])
    assert (answer["length"], answer["sha256"]) == (placed["size"], placed["sha256"])
    assert answer["target"] == f"/media/{placed['name']}"
    assert list(site.media.iterdir()) == []


def test_log_lines_are_its_own_and_without_queries(asked: Asked, site: Site) -> None:
    answers = asked(
        site.ask("/media/a?token=hunter2", "a", log=True),
        site.ask("/media/b", "b", log=True),
        site.ask("/app/x", "c", log=True),
        site.ask("/media/d", "d"),
    )
    assert [answers[id_]["status"] for id_ in "abcd"] == [404, 404, 502, 404]
    assert [len(answers[id_]["log"]) for id_ in "abcd"] == [1, 1, 1, 0]
    assert "/media/a?***" in answers["a"]["log"][0]
    assert "connect() failed (111: Connection refused)" in answers["c"]["log"][0]
    assert "hunter2" not in str([answer["log"] for answer in answers.values()])


def test_nginx_gets_what_was_asked_for(asked: Asked, site: Site) -> None:
    targets = ["/media//x/../y", "/media/%2e%2e/a", "/said?x=%00", "//said", "/./said"]
    answers = asked(*(site.ask(target, target) for target in targets))
    for target in targets:
        if answers[target]["status"] == 200:
            seen = [value for name, value in answers[target]["headers"] if name == "X-Seen"]
            assert seen == [target, "twice"]
    assert [answers[target]["status"] for target in targets] == [404, 404, 200, 200, 200]


def test_the_host_is_named_in_the_handshake(asked: Asked, site: Site) -> None:
    tls = {"port": site.tls, "tls": True}
    answers = asked(
        site.ask("/said", "a", **tls),
        site.ask("/said", "b", **{**tls, "host": "other.example"}),
        site.ask("/said", "c", port=site.tls),
        site.ask("/said", "d", tls=True),
        site.ask("/said", "e", **{**tls, "host": "a.example:8443"}),
    )
    assert (answers["a"]["status"], answers["a"]["head"]) == (200, "https")
    assert answers["b"]["error"].startswith("TLS: ")
    assert answers["c"]["status"] == 400
    assert answers["d"]["error"].startswith("TLS: ")
    assert answers["e"]["status"] == 200


def test_a_load_balancers_word_comes_first(asked: Asked, site: Site) -> None:
    tls = {"tls": True, "port": site.proxied_tls}
    answers = asked(
        site.ask("/said", "a", port=site.proxied, proxy_protocol=True),
        site.ask("/said", "b", proxy_protocol=True, **tls),
        site.ask("/said", "c", port=site.proxied),
    )
    assert [answers[id_]["head"] for id_ in "ab"] == ["http", "https"]
    assert answers["c"]["status"] is None


def test_conditions_and_ranges(asked: Asked, site: Site) -> None:
    content = b"0123456789" * 10
    (site.media / "a.txt").write_bytes(content)
    try:
        etag = dict(asked(site.ask("/media/a.txt"))["r"]["headers"])["ETag"]
        answers = asked(
            site.ask("/media/a.txt", "head", method="HEAD"),
            site.ask("/media/a.txt", "same", headers={"If-None-Match": etag}),
            site.ask("/media/a.txt", "range", headers={"Range": "bytes=10-14"}),
        )
    finally:
        (site.media / "a.txt").unlink()
    assert (answers["head"]["status"], answers["head"]["length"]) == (200, 0)
    assert dict(answers["head"]["headers"])["Content-Length"] == "100"
    assert (answers["same"]["status"], answers["same"]["length"]) == (304, 0)
    assert (answers["range"]["status"], answers["range"]["head"]) == (206, "01234")
    assert all(answer["error"] is None for answer in answers.values())


@pytest.mark.parametrize("is_tls", [False, True])
def test_limits_are_met_before_the_body_is_sent(asked: Asked, site: Site, is_tls: bool) -> None:
    way = {"method": "POST", "tls": is_tls, "port": site.tls if is_tls else site.port}
    large, small = 32 * 1024 * 1024, 100 * 1024
    answers = asked(
        site.ask("/app/", "large", body_bytes=large, **way),
        site.ask("/app/", "chunked", body_bytes=large, chunked=True, **way),
        site.ask("/app/", "small", body_bytes=small, **way),
        site.ask("/app/", "small chunked", body_bytes=small, chunked=True, **way),
        site.ask("/app/", "announced", body_bytes=10**12, expect=True, **way),
        site.ask("/app/", "taken", body_bytes=small, expect=True, **way),
    )
    statuses = {id_: answer["status"] for id_, answer in answers.items()}
    assert statuses == {
        "large": 413,
        "chunked": 413,
        "small": 502,
        "small chunked": 502,
        "announced": 413,
        "taken": 100,
    }
    assert answers["small"]["sent"] is True
    assert answers["taken"]["sent"] is False
    assert [answer["error"] for answer in answers.values()] == [None] * 6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_ended_in_its_midst_it_leaves_nothing(
    tmp_path: Path, site: Site, number: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        questions = {
            "canaries": [{"id": "c", "directory": str(site.media), "user": "nobody"}],
            "requests": [{"id": "r", "port": silent.getsockname()[1]}],
        }
        file = tmp_path / "arguments.json"
        file.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {"questions": questions}}))
        with subprocess.Popen(
            [sys.executable, "-m", flask_evidence_info.__name__, file],
            env={**os.environ, "PYTHONPATH": str(Path(flask_evidence_info.__file__).parents[5])},
        ) as process:
            stream, _unused = silent.accept()
            with stream:
                assert len(list(site.media.iterdir())) == 1
                process.send_signal(number)
                assert process.wait() == 128 + number
    assert list(site.media.iterdir()) == []


def test_check_mode_asks_the_rest(asked: Asked, site: Site) -> None:
    canary = {"id": "c", "directory": str(site.media), "user": "nobody"}
    target = "/media/{canary:c}"
    answers = asked(site.ask("/said"), site.ask(target, "needs"), check=True, canaries=[canary])
    assert (answers["r"]["status"], answers["r"]["head"]) == (200, "http")
    assert "check mode" in answers["needs"]["unseen"]
    assert "check mode" in answers["c"]["unseen"]


def test_a_body_is_hashed_as_it_came(asked: Asked, site: Site) -> None:
    assert asked(site.ask("/said"))["r"]["sha256"] == hashlib.sha256(b"http").hexdigest()


def test_what_is_returned_is_documented(asked: Asked, site: Site) -> None:
    documented = yaml.safe_load(flask_evidence_info.RETURN)["answers"]["sample"]["served"]
    assert asked(site.ask("/said"))["r"].keys() == documented.keys()


@pytest.mark.parametrize("questions", [None, "all", [1]])
def test_questions_are_a_dictionary(run_module: Module, questions: t.Any) -> None:
    assert run_module("flask_evidence_info", questions=questions)["failed"]
