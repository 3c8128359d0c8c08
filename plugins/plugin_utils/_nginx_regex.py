# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""PCRE's patterns by Python's ``re``, on text that is a character a byte: Nginx compiles without UTF.

What is written otherwise in Python is translated (pcre2pattern(3)); what Python lacks is refused rather
than taken for something near it.
"""

from __future__ import annotations

import functools
import re

_CLASSES = {
    "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z",
    "space": r" \t\n\r\f\v", "blank": r" \t", "xdigit": "0-9A-Fa-f", "punct": r"!-/:-@\[-`{-~",
    "cntrl": r"\x00-\x1f\x7f", "print": r"\x20-\x7e", "graph": r"\x21-\x7e", "word": r"\w",
}  # fmt: skip
_HORIZONTAL, _VERTICAL = r"\t \xa0", r"\n\x0b\x0c\r\x85"
# A group that ends in what repeats, and is repeated: the number of ways to match grows with two to the length.
_NESTED = re.compile(r"[*+][?+]?\)(?:[*+]|\{\d*,\d*\})")
_QUANTIFIER = re.compile(r"\{(?:\d+(?:,\d*)?)\}")
# Letters whose escape means the same to both
_SAME = frozenset("AbBdDsSwWnrtfa")


class NotTranslated(Exception):
    """The pattern uses what Python's ``re`` does not have, or not the same."""


@functools.lru_cache(maxsize=1024)
def compile_pattern(pattern: str, ignore_case: bool = False) -> re.Pattern[str]:
    """:raises NotTranslated: with the reason."""
    if _NESTED.search(pattern):
        # Python has no limit of its own as pcre2_set_match_limit(3) is, and would try for years.
        raise NotTranslated(
            f"the pattern {pattern!r} repeats what repeats, which can take for ever"
        )
    flags = re.ASCII | (re.IGNORECASE if ignore_case else re.NOFLAG if _HAS_NOFLAG else 0)
    try:
        return re.compile(_Translation(pattern).run(), flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise NotTranslated(f"the pattern {pattern!r}: {error}") from error


_HAS_NOFLAG = hasattr(re, "NOFLAG")


class _Translation:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._position = 0
        self._out: list[str] = []

    def _refuse(self, what: str) -> NotTranslated:
        return NotTranslated(f"the pattern {self._pattern!r} uses {what}")

    def run(self) -> str:
        while self._position < len(self._pattern):
            character = self._pattern[self._position]
            if character == "\\":
                self._out.append(self._escape(in_class=False))
            elif character == "[":
                self._out.append(self._class())
            elif character == "(":
                self._group()
            elif character == "{":
                # Literal where it is no quantifier; Python takes {,3} for one.
                found = _QUANTIFIER.match(self._pattern, self._position)
                self._out.append(found[0] if found else r"\{")
                self._position += len(found[0]) if found else 1
            else:
                self._out.append(character)
                self._position += 1
        return "".join(self._out)

    def _group(self) -> None:
        rest = self._pattern[self._position :]
        if rest.startswith("(*"):
            raise self._refuse("a verb such as (*UTF8)")
        named = re.match(r"\(\?(?:P?<([A-Za-z_]\w*)>|'([A-Za-z_]\w*)')", rest, re.ASCII)
        if named:
            self._take(f"(?P<{named[1] or named[2]}>", len(named[0]))
            return
        plain = re.match(r"\((?!\?)|\(\?(?:[:=!>]|<[=!])", rest)
        if plain:
            self._take(plain[0], len(plain[0]))
            return
        flags = re.match(r"\(\?[imsx]+\)", rest)
        if flags and self._position == 0:
            self._take(flags[0], len(flags[0]))
            return
        scoped = re.match(r"\(\?[imsx]*(?:-[imsx]+)?:", rest)
        if scoped:
            self._take(scoped[0], len(scoped[0]))
            return
        comment = re.match(r"\(\?#[^)]*\)", rest)
        if comment:
            self._take("", len(comment[0]))
            return
        backward = re.match(r"\(\?P=\w+\)", rest, re.ASCII)
        if backward:
            self._take(backward[0], len(backward[0]))
            return
        raise self._refuse(rest[:4])

    def _take(self, translated: str, length: int) -> None:
        self._out.append(translated)
        self._position += length

    def _escape(self, in_class: bool) -> str:
        rest = self._pattern[self._position + 1 :]
        if not rest:
            raise self._refuse("a backslash at its end")
        letter = rest[0]
        self._position += 2
        if not letter.isalnum():
            return "\\" + letter if letter.isascii() else letter
        hexadecimal = re.match(r"x(?:\{([0-9A-Fa-f]{1,2})\}|([0-9A-Fa-f]{2}))", rest)
        if hexadecimal:
            self._position += len(hexadecimal[0]) - 1
            return f"\\x{int(hexadecimal[1] or hexadecimal[2], 16):02x}"
        if letter in "hHvVN":
            return self._space(letter, in_class)
        if letter == "e":
            return r"\x1b"
        if in_class:
            if letter in _SAME - set("AB"):
                return "\\" + letter
        elif letter == "z":
            return r"\Z"
        elif letter == "Z":
            return r"(?=\n?\Z)"
        elif letter == "Q":
            end = self._pattern.find(r"\E", self._position)
            text = self._pattern[self._position : end if end >= 0 else None]
            self._position += len(text) + 2
            return re.escape(text)
        elif letter in _SAME or (letter in "123456789" and not rest[1:2].isdigit()):
            return "\\" + letter
        else:
            named = re.match(r"k(?:<(\w+)>|\{(\w+)\}|'(\w+)')|g\{?(\d+)\}?", rest, re.ASCII)
            if named:
                self._position += len(named[0]) - 1
                name = named[1] or named[2] or named[3]
                return f"(?P={name})" if name else f"(?:\\{named[4]})"
        raise self._refuse("\\" + letter)

    def _space(self, letter: str, in_class: bool) -> str:
        if letter == "N":
            if in_class:
                raise self._refuse(r"\N in a class")
            return r"[^\n]"
        members = _HORIZONTAL if letter in "hH" else _VERTICAL
        if in_class:
            if letter in "HV":
                raise self._refuse(f"\\{letter} in a class")
            return members
        return f"[{'^' if letter in 'HV' else ''}{members}]"

    def _class(self) -> str:
        out = ["["]
        self._position += 1
        if self._pattern.startswith("^", self._position):
            out.append("^")
            self._position += 1
        first = True
        while True:
            if self._position >= len(self._pattern):
                raise self._refuse("a [ that nothing closes")
            character = self._pattern[self._position]
            named = re.compile(r"\[:(\^?)(\w+):\]").match(self._pattern, self._position)
            if character == "]" and not first:
                self._position += 1
                return "".join(out) + "]"
            if named:
                if named[1] or named[2] not in _CLASSES:
                    raise self._refuse(named[0])
                out.append(_CLASSES[named[2]])
                self._position = named.end()
            elif character == "\\":
                out.append(self._escape(in_class=True))
            else:
                # Python warns of what may once begin a set in a set.
                out.append("\\" + character if character in "[&~|]" else character)
                self._position += 1
            first = False
