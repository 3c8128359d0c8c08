# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Any string as one word of an Nginx configuration or of an env file, and env files read back."""

from __future__ import annotations

import re
import unicodedata

# Nginx reads its configuration through a buffer of 4,096 bytes; a longer word is refused.
NGINX_WORD_MAX_BYTES = 4095

_NGINX_BARE = re.compile(r"[A-Za-z0-9_./:@%+,=*-]+")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# systemd takes both as the end of a line.
_NEWLINES = "\n\r"
_WHITESPACE = " \t" + _NEWLINES
# What a backslash escapes within double quotes: POSIX, Shell Command Language, 2.2.3; systemd.exec(5).
_SHELL_ESCAPED = '"\\$`'


class QuoteError(ValueError):
    """A string that no quoting makes safe. Says which character, and where."""


def nginx_word(value: str, regex: bool = False) -> str:
    """Return text that Nginx reads as exactly one word whose value is ``value``.

    :param regex: The word is a regular expression, in which ``$`` is an anchor. Elsewhere Nginx
        takes it for a variable, and has no way to escape it.
    :raises QuoteError: on a control character, or a ``$`` that is not a regular expression's.
    """
    _refuse_unsafe(value, repr(value))
    if "$" in value and not regex:
        position = value.index("$") + 1
        raise QuoteError(
            f"{value!r} has a '$' at character {position}. Nginx would take it for a variable and "
            "knows no escape for it. Use a value without one; if the value is a regular expression, "
            "say regex=true."
        )
    # Within quotes a backslash escapes a quote and itself, makes \t, \r and \n control characters,
    # and else stands for itself: ngx_conf_read_token() in Nginx's src/core/ngx_conf_file.c.
    quoted = '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
    word = value if _NGINX_BARE.fullmatch(value) else quoted
    size = len(word.encode("utf-8"))
    if size > NGINX_WORD_MAX_BYTES:
        raise QuoteError(
            f"{value[:40]!r}… is {size} bytes long when quoted. Nginx reads words of up to "
            f"{NGINX_WORD_MAX_BYTES} bytes: shorten it."
        )
    return word


def env_value(value: str) -> str:
    """Return a value for an env file that systemd, a POSIX shell and :func:`parse_env_file` read alike.

    :raises QuoteError: on a control character. It doesn't show the value, which may be a secret.
    """
    _refuse_unsafe(value, "The value")
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'


def _refuse_unsafe(value: str, shown: str) -> None:
    for position, character in enumerate(value, start=1):
        if character < " " or character == "\x7f":
            name = {"\n": "a newline", "\r": "a carriage return", "\t": "a tab", "\0": "a NUL"}.get(
                character, f"the control character U+{ord(character):04X}"
            )
            raise QuoteError(
                f"{shown} has {name} at character {position}, which no quoting makes safe. Remove it."
            )
        if unicodedata.category(character) == "Cs":
            raise QuoteError(
                f"{shown} has U+{ord(character):04X} at character {position}, which is no character "
                "and can't be written as UTF-8. Remove it."
            )


def parse_env_file(text: str) -> dict[str, str]:
    """Return the variables that systemd's ``EnvironmentFile=`` would set.

    As systemd does, lines that set no variable of a proper name are passed over.

    :raises ValueError: on a NUL, with which systemd refuses the file.
    """
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"Line {line} has a NUL character. Remove it.")
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        if text[position] in _WHITESPACE:
            position += 1
        elif text[position] in "#;":
            position = _end_of_line(text, position)
        else:
            end = _end_of_line(text, position)
            # The first character belongs to the name, whatever it is.
            equals = text.find("=", position + 1, end)
            if equals < 0:
                position = end
                continue
            name = text[position:equals].rstrip(_WHITESPACE)
            value, position = _parse_value(text, equals + 1)
            if _ENV_NAME.fullmatch(name):
                found[name] = value
    return found


def _end_of_line(text: str, start: int) -> int:
    return next((i for i in range(start, len(text)) if text[i] in _NEWLINES), len(text))


def _parse_value(text: str, position: int) -> tuple[str, int]:
    """Return the value that begins at ``position``, and where it ends.

    Quoted parts come first and are joined; from the first bare character on, quotes are literal
    (parse_env_file_internal() in systemd's src/basic/env-file.c).
    """
    value = ""
    while position < len(text) and text[position] not in _NEWLINES:
        character = text[position]
        if character in "\"'":
            part, position = _parse_quoted(text, position)
            value += part
        elif character in _WHITESPACE:
            position += 1
        else:
            return _parse_bare(text, position, value)
    return value, position


def _parse_quoted(text: str, position: int) -> tuple[str, int]:
    quote, position = text[position], position + 1
    part = ""
    while position < len(text) and text[position] != quote:
        character = text[position]
        if quote == '"' and character == "\\" and position + 1 < len(text):
            position += 1
            following = text[position]
            if following in _SHELL_ESCAPED:
                part += following
            elif following != "\n":
                part += character + following
        else:
            part += character
        position += 1
    return part, position + 1


def _parse_bare(text: str, position: int, value: str) -> tuple[str, int]:
    # Trailing white space is dropped, unless it or what follows it is escaped.
    kept = len(value)
    while position < len(text) and text[position] not in _NEWLINES:
        character = text[position]
        if character == "\\":
            position += 1
            if position < len(text) and text[position] not in _NEWLINES:
                value += text[position]
            kept = len(value)
        else:
            value += character
            if character not in _WHITESPACE:
                kept = len(value)
        position += 1
    return value[:kept], position
