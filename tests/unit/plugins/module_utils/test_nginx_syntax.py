from __future__ import annotations

import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path

import crossplane
import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _nginx_syntax
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st


def words(text: str) -> list[list[str]]:
    return [
        [word.value for word in item.words]
        for item in _nginx_syntax.parse(text)
        if isinstance(item, _nginx_syntax.Directive)
    ]


def outline(text: str) -> list[str]:
    """Directives with their blocks, as far as the text can be read."""
    found = []
    try:
        for item in _nginx_syntax.parse(text):
            if isinstance(item, _nginx_syntax.Directive):
                blocks = [parent.name for parent in item.parents]
                found.append("/".join([*blocks, item.name]) + f":{item.line}")
    except _nginx_syntax.NginxSyntaxError as error:
        found.append(f"error:{error.line}")
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a;", [["a"]]),
        ("a b  c\t\r\n d;", [["a", "b", "c", "d"]]),
        ("a#b c;", [["a#b", "c"]]),
        ("a #b;\n c;", [["a", "c"]]),
        ("#a;\n", []),
        ("a 'b c' \"d;\";", [["a", "b c", "d;"]]),
        (r'a "\"" "\\" "\d" "\n" \; ;', [["a", '"', "\\", "\\d", "\n", "\\;"]]),
        ("a ${b}c;", [["a", "${b}c"]]),
        ("a ${{b;", [["a", "${{b"]]),
        ("a$ {}", [["a$"]]),
        ("a b}c;", [["a", "b}c"]]),
        ("a b\"c d'e;", [["a", 'b"c', "d'e"]]),
        ('if ($a = "b") { c; }', [["if", "($a", "=", "b", ")"], ["c"]]),
        ("a{b;}c;", [["a"], ["b"], ["c"]]),
        ("\ufeffa b;", [["\ufeffa", "b"]]),
        ("a \udcff;", [["a", "\udcff"]]),
        ("include  x.conf  ;", [["include", "x.conf"]]),
        ('content_by_lua_block { ngx.say("}") -- }\n } b;', [["content_by_lua_block"], ["b"]]),
        ("x_by_lua_block { a = [[ } ]] --[==[ } ]==] t = {} }\nb;", [["x_by_lua_block"], ["b"]]),
        ("set_by_lua_block $a { return '{' }", [["set_by_lua_block", "$a"]]),
    ],
)
def test_words(text: str, expected: list[list[str]]) -> None:
    assert words(text) == expected


def test_lines_and_blocks() -> None:
    assert outline("a\n b\n ;\nc {\n d {\r e; } f;\n}\ng;") == [
        "a:1", "c:4", "c/d:5", "c/d/e:5", "c/f:5", "g:7",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\na", 2),
        ("a b\n", 2),
        ("a {", 1),
        ("}", 1),
        ("a { b }", 1),
        ("\n;", 2),
        ("{", 1),
        ("a 'b\n", 2),
        ("a 'b'c;", 1),
        ("a \\", 1),
        ("a_by_lua_block {\n '}'\n", 3),
    ],
)
def test_what_can_not_be_read(text: str, line: int) -> None:
    with pytest.raises(_nginx_syntax.NginxSyntaxError) as caught:
        list(_nginx_syntax.parse(text))
    assert caught.value.line == line


def test_all_before_an_error_is_told() -> None:
    assert outline("a; b { c; ;") == ["a:1", "b:1", "b/c:1", "error:1"]


pieces = st.sampled_from(
    [
        *"ab;{}#$'\"\\ \n\t\r()",
        "${",
        "a b;",
        "a {",
        "}\n",
        "'c d'",
        '"e"',
        ";\n",
        "é",
        "#f\n",
        "\\;",
    ]
)
texts = st.lists(pieces, max_size=25).map("".join)


@pytest.fixture(scope="session")
def nginx_reads() -> t.Iterator[t.Callable[[str], bool]]:
    """Whether Nginx reads a text to its end.

    The text is put into a types block, which takes directives of any name and length.
    """
    nginx = shutil.which("nginx", path="/usr/local/sbin:/usr/sbin:/usr/bin:/sbin")
    if nginx is None:
        pytest.fail("This test runs a real Nginx. Install it.")
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "nginx.conf")

        def reads(text: str) -> bool:
            file.write_text(text, newline="")
            finished = subprocess.run(
                [nginx, "-t", "-p", directory, "-c", file, "-g", f"pid {directory}/pid;"],
                capture_output=True,
                text=True,
                # Nginx quotes the one byte that it stumbled on, which may be half a character.
                errors="replace",
                check=False,
            )
            said = finished.stderr
            return not any(sign in said for sign in ("unexpected", "too long", "is not terminated"))

        yield reads


@settings(max_examples=150, deadline=None)
@given(text=texts)
@example(text="a ${b}{c;}")
@example(text='a "b")c;')
@example(text='a "b" )c;')
@example(text="'c d'é")
def test_reads_what_nginx_reads(nginx_reads: t.Callable[[str], bool], text: str) -> None:
    inside = f"events {{}} http {{ types {{\n{text}\n}}\n }}"
    directives = []
    ours = True
    try:
        for item in _nginx_syntax.parse(inside):
            if isinstance(item, _nginx_syntax.Directive):
                directives.append(item)
    except _nginx_syntax.NginxSyntaxError:
        ours = False
    data = [item for item in directives if item.name not in ("events", "http", "types")]
    # A types block has no blocks in it, and ends at the first closing brace.
    assume(not any(item.opens or not item.parents for item in data) and "}" not in text)
    assert nginx_reads(inside) == ours


@settings(max_examples=400, deadline=None)
@given(text=texts)
def test_agrees_with_crossplane(text: str) -> None:
    """An independent reading, where it is one: crossplane takes some liberties."""
    # Its lexer resolves no escapes, takes a brace in a word for a block's, and knows no "$" + "{{".
    assume("\\" not in text and "$" not in text and "\r" not in text)
    try:
        ours = words(text)
    except _nginx_syntax.NginxSyntaxError:
        return
    assume(not any("}" in word or "{" in word for line in ours for word in line))
    with tempfile.NamedTemporaryFile("w", suffix=".conf", newline="") as file:
        file.write(text)
        file.flush()
        tokens = [token for token, _line, _quoted in crossplane.lex(file.name)]
    separators = {";", "{", "}"}
    theirs = [token for token in tokens if token not in separators and not token.startswith("#")]
    flat = [word for line in ours for word in line]
    assume(not any(word in separators or word.startswith("#") for word in flat))
    assert flat == theirs


@given(value=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30))
def test_a_quoted_word_is_read_back(value: str) -> None:
    assert words(f"a {_nginx_syntax.quote(value)};") == [["a", value]]
