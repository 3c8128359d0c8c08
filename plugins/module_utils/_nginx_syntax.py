# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""The syntax of Nginx configuration: words, directives and blocks, with where they stand.

As ngx_conf_read_token() in Nginx's src/core/ngx_conf_file.c reads it. What a directive means is not
known here. Text comes from bytes by ``surrogateescape``, so that a file in no encoding survives.
"""

from __future__ import annotations

import bisect
import dataclasses
import re
import typing as t

_GAP = re.compile(r"(?:[ \t\r\n]+|\#[^\n]*)*")
# A backslash takes the next character into the word, whatever it is; "${" does not begin a block.
_BARE = re.compile(r"(?:\\.|\$\{*|[^ \t\r\n;{\\$])+", re.DOTALL)
_QUOTED = {
    '"': re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL),
    "'": re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL),
}
_ESCAPE = re.compile(r"""\\(["'\\trn])""")
_ESCAPED = {"t": "\t", "r": "\r", "n": "\n"}
# What may stand directly behind a quoted word; a ")" begins a word of its own.
_AFTER_QUOTED = " \t\r\n;{)"

# Lua's own comments and strings, whose braces do not count: lua-nginx-module, content_by_lua_block.
_LUA_BLOCK_SUFFIX = "_by_lua_block"
_LUA = re.compile(
    r"""--\[(?P<comment>=*)\[.*?\](?P=comment)\]   # long comment
    |   --[^\n]*
    |   \[(?P<string>=*)\[.*?\](?P=string)\]       # long string
    |   "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*'
    |   (?P<brace>[{}])
    """,
    re.DOTALL | re.VERBOSE,
)


class NginxSyntaxError(Exception):
    """Nginx would not read this either. Tells the line, counted from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(f"{message} at line {line}")
        self.line = line


@dataclasses.dataclass(frozen=True)
class Word:
    """A word as Nginx takes it: without quotes, escapes resolved."""

    value: str
    line: int
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class Directive:
    """One directive, or the opening of a block.

    :ivar words: the name and the arguments.
    :ivar parents: the blocks that it stands in within this file, outermost first.
    :ivar opens: whether a block follows. A Lua block's text is passed over, and opens none.
    :ivar start: where the first word begins.
    :ivar end: just behind the ``;`` or the ``{``.
    """

    words: t.Sequence[Word]
    parents: tuple[Directive, ...]
    opens: bool
    start: int
    end: int

    @property
    def name(self) -> str:
        return self.words[0].value

    @property
    def arguments(self) -> list[str]:
        return [word.value for word in self.words[1:]]

    @property
    def line(self) -> int:
        return self.words[0].line


@dataclasses.dataclass(frozen=True)
class BlockEnd:
    """The ``}`` of a block.

    :ivar block: the directive that opened it.
    :ivar start: where the ``}`` stands.
    """

    block: Directive
    start: int


def parse(text: str) -> t.Iterator[Directive | BlockEnd]:
    """Yield directives and ends of blocks in the order of the text.

    :raises NginxSyntaxError: where Nginx would stop reading. All before it has been yielded.
    """
    lines = _Lines(text)
    parents: tuple[Directive, ...] = ()
    words: list[Word] = []
    position = 0
    while True:
        position = _skip_gap(text, position)
        if position == len(text):
            break
        character = text[position]
        if character == "}":
            if words or not parents:
                raise NginxSyntaxError('unexpected "}"', lines.at(position))
            yield BlockEnd(parents[-1], position)
            parents = parents[:-1]
            position += 1
        elif character in ";{":
            if not words:
                raise NginxSyntaxError(f'unexpected "{character}"', lines.at(position))
            position += 1
            has_lua = character == "{" and words[0].value.endswith(_LUA_BLOCK_SUFFIX)
            opens = character == "{" and not has_lua
            directive = Directive(tuple(words), parents, opens, words[0].start, position)
            yield directive
            words = []
            if opens:
                parents = (*parents, directive)
            elif has_lua:
                position = _skip_lua(text, position, lines)
        else:
            word = _read_word(text, position, lines)
            words.append(word)
            position = word.end
    if words or parents:
        raise NginxSyntaxError("unexpected end of file", lines.at(len(text)))


def is_lua(directive: Directive) -> bool:
    """Return whether a block of Lua follows."""
    return directive.name.endswith(_LUA_BLOCK_SUFFIX)


def end_of_lua(text: str, directive: Directive) -> int:
    """Return the position behind the ``}`` of a directive's block of Lua.

    :raises NginxSyntaxError: where it has no end.
    """
    return _skip_lua(text, directive.end, _Lines(text))


def _skip_gap(text: str, position: int) -> int:
    match = _GAP.match(text, position)
    return match.end() if match else position


def _read_word(text: str, position: int, lines: _Lines) -> Word:
    quote = text[position]
    pattern = _QUOTED.get(quote, _BARE)
    match = pattern.match(text, position)
    end = match.end() if match else len(text)
    if match is None or end == len(text):
        # A word that the end of the file cuts off is no word for Nginx, a bare one included.
        raise NginxSyntaxError("unexpected end of file", lines.at(len(text)))
    raw = text[position:end]
    if quote in _QUOTED:
        raw = raw[1:-1]
        if text[end] not in _AFTER_QUOTED:
            raise NginxSyntaxError(f'unexpected "{text[end]}"', lines.at(end))
    value = _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), raw)
    return Word(value, lines.at(position), position, end)


def _skip_lua(text: str, position: int, lines: _Lines) -> int:
    depth = 1
    for found in _LUA.finditer(text, position):
        if found["brace"]:
            depth += 1 if found["brace"] == "{" else -1
            if not depth:
                return found.end()
    raise NginxSyntaxError("unexpected end of file", lines.at(len(text)))


class _Lines:
    """Line numbers by position. Only a line feed ends a line, as in Nginx."""

    def __init__(self, text: str) -> None:
        self._feeds = [match.start() for match in re.finditer("\n", text)]

    def at(self, position: int) -> int:
        return bisect.bisect_left(self._feeds, position) + 1


def quote(value: str) -> str:
    """Return text that Nginx reads as one word of this value, control characters included."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
