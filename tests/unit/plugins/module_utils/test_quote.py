from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import crossplane
import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _nginx_syntax, _quote
from hypothesis import example, given, settings
from hypothesis import strategies as st

printable = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=60)
tricky = st.text("ab $\"'\\{}();#`!~^*%tnr\u00a0é\u2028", max_size=20)
strings = st.one_of(printable, tricky)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("/static/", "/static/"),
        ("~*[.](?:png)$", '"~*[.](?:png)$"'),
        ("", '""'),
        ("a b", '"a b"'),
        ('say "hi"', r'"say \"hi\""'),
        (r"\d+\.js$", r'"\\d+\\.js$"'),
        ("it's", '"it\'s"'),
        ("a;b", '"a;b"'),
        ("{x}", '"{x}"'),
        ("#x", '"#x"'),
    ],
)
def test_nginx_word(value: str, word: str) -> None:
    assert _quote.nginx_word(value, regex=True) == word


@given(value=strings)
@example(value="\\")
@example(value="\\n")
@example(value='"')
def test_nginx_word_is_one_word_of_that_value(value: str) -> None:
    text = f"a {_quote.nginx_word(value, regex=True)} b;"
    (directive,) = _nginx_syntax.parse(text)
    assert isinstance(directive, _nginx_syntax.Directive)
    assert directive.arguments == [value, "b"]
    with tempfile.NamedTemporaryFile("w", suffix=".conf", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        tokens = [token for token, _line, _quoted in crossplane.lex(file.name)]
    assert len(tokens) == 4 and tokens[::2] == ["a", "b"]


@settings(max_examples=15, deadline=None)
@given(values=st.lists(strings, min_size=30, max_size=60))
@example(
    values=["\\", "\\n", "\\\\", '"', "'", "{", "}", ";", "#", "", " ", "a" * 4095, "é" * 2046]
)
def test_nginx_answers_with_the_word(values: list[str]) -> None:
    # Only here: a response may hold variables.
    values = [value.replace("$", "") for value in values]
    nginx = shutil.which("nginx", path="/usr/local/sbin:/usr/sbin:/usr/bin:/sbin")
    if nginx is None:
        pytest.fail("This test runs a real Nginx. Install it.")
    with tempfile.TemporaryDirectory(prefix="ngx-") as directory:
        locations = "\n".join(
            f"location = /{n} {{ return 200 {_quote.nginx_word(value)}; }}"
            for n, value in enumerate(values)
        )
        Path(directory, "nginx.conf").write_text(
            f"pid {directory}/pid; error_log {directory}/error.log; master_process off;\n"
            f"events {{}} http {{ access_log off; server {{ listen unix:{directory}/s;\n"
            f"{locations}\n}} }}\n",
            encoding="utf-8",
        )
        # It listens when this returns.
        subprocess.run([nginx, "-p", directory, "-c", f"{directory}/nginx.conf"], check=True)
        try:
            for n, value in enumerate(values):
                assert fetch(f"{directory}/s", f"/{n}") == value.encode()
        finally:
            stop(int(Path(directory, "pid").read_text()))


def fetch(address: str, path: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(address)
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        with connection.makefile("rb") as stream:
            return stream.read().partition(b"\r\n\r\n")[2]


def stop(pid: int) -> None:
    descriptor = os.pidfd_open(pid)
    os.kill(pid, signal.SIGTERM)
    # Readable when the process has ended: pidfd_open(2).
    assert select.select([descriptor], [], [], 30)[0]
    os.close(descriptor)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("a\nb", "a newline at character 2"),
        ("\tx", "a tab at character 1"),
        ("ab\0", "a NUL at character 3"),
        ("\x1b", "U+001B at character 1"),
        ("\x7f", "U+007F at character 1"),
        ("x\r", "a carriage return at character 2"),
        ("x\udc80", "U+DC80 at character 2"),
    ],
)
def test_no_quoting_makes_these_safe(value: str, said: str) -> None:
    with pytest.raises(_quote.QuoteError, match=said.replace("+", "[+]")):
        _quote.nginx_word(value)
    with pytest.raises(_quote.QuoteError, match=said.replace("+", "[+]")):
        _quote.env_value(value)


def test_a_variable_is_refused_where_it_would_be_one() -> None:
    with pytest.raises(_quote.QuoteError, match=r"'[$]' at character 3.*regex=true"):
        _quote.nginx_word("a $b")


def test_nginx_reads_the_longest_word_and_no_longer_one_is_made() -> None:
    longest = "a" * _quote.NGINX_WORD_MAX_BYTES
    assert _quote.nginx_word(longest) == longest
    for value in (longest + "a", "é" * 2047, '"' * 2047):
        with pytest.raises(_quote.QuoteError, match="shorten it"):
            _quote.nginx_word(value)
    assert _quote.nginx_word("é" * 2046)


def test_an_env_value_that_is_refused_is_not_shown() -> None:
    with pytest.raises(_quote.QuoteError) as caught:
        _quote.env_value("secret\n")
    assert "secret" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(strings, min_size=1, max_size=30))
@example(values=["$(id)", "`id`", "a\\", '"', "'", "\\$", "$HOME", "!x", "#", " ", ""])
def test_an_env_file_is_read_alike_by_a_shell_and_by_us(values: list[str]) -> None:
    wanted = {f"V{n}": value for n, value in enumerate(values)}
    text = "# a comment\n" + "".join(f"{k}={_quote.env_value(v)}\n" for k, v in wanted.items())
    assert _quote.parse_env_file(text) == wanted
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        script = f"set -a; . {file.name}; exec env -0"
        finished = subprocess.run(
            ["sh", "-c", script], capture_output=True, check=True, env={"LC_ALL": "C"}
        )
    found = dict(
        line.decode("utf-8").partition("=")[::2] for line in finished.stdout.split(b"\0") if line
    )
    assert {name: found[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("A=b", {"A": "b"}),
        ("A=\nB=c", {"A": "", "B": "c"}),
        ("# A=b\n; A=b\n  #x\nB=c", {"B": "c"}),
        ("A=b # c", {"A": "b # c"}),
        ("  A = b  \n", {"A": "b"}),
        ("A=b\\\nc", {"A": "bc"}),
        ("A=b\\ ", {"A": "b "}),
        ("A=\\$b", {"A": "$b"}),
        ("A='b $c \\'", {"A": "b $c \\"}),
        ('A="b\nc"', {"A": "b\nc"}),
        ('A="b\\\nc"', {"A": "bc"}),
        ('A="\\d \\" \\\\ \\$ \\`"', {"A": '\\d " \\ $ `'}),
        ("A=\"b\" 'c'", {"A": "bc"}),
        ('A="b"c', {"A": "bc"}),
        ("A=b'c'", {"A": "b'c'"}),
        ("A=b\r\nB=c\r\n", {"A": "b", "B": "c"}),
        ("export A=b", {}),
        ("1A=b\nnothing\nB=c", {"B": "c"}),
        ("A=b\nA=c", {"A": "c"}),
        ('A="unclosed', {"A": "unclosed"}),
        ("A==b=", {"A": "=b="}),
        ("A=b \\\n", {"A": "b "}),
        ("=*\\\nA=b", {"A": "b"}),
    ],
)
def test_parse_env_file_reads_what_systemd_reads(text: str, expected: dict[str, str]) -> None:
    assert _quote.parse_env_file(text) == expected


def test_a_nul_in_an_env_file_is_told_by_line() -> None:
    with pytest.raises(ValueError, match="Line 2"):
        _quote.parse_env_file("A=b\nB=\0")


def test_json_survives_in_an_env_file() -> None:
    value = json.dumps({"a": ["b", '"', "\\", "$"]})
    assert _quote.parse_env_file(f"A={_quote.env_value(value)}") == {"A": value}
