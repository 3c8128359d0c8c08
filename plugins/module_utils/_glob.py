# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""glob(3) over a view of the file system, which may differ from what is there."""

from __future__ import annotations

import functools
import os
import re
import typing as t

# strpbrk() in Nginx's ngx_conf_include() (src/core/ngx_conf_file.c): with one of these it is a pattern.
MAGIC = re.compile(r"[*?\[]")


def expand(pattern: str, list_directory: t.Callable[[str], t.Iterable[str]]) -> list[str]:
    """Return what glob(3) would, for an absolute pattern, in its order.

    :param list_directory: returns the names in a directory, so that it can be another's view.
        Of what is none it returns nothing.
    """
    found = [""]
    parts = [part for part in pattern.split("/") if part]
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        matches: list[str] = []
        expression = _translate(_bytes(part))
        for base in found:
            if expression is None and not is_last:
                matches.append(f"{base}/{_unescape(part)}")
                continue
            # Of a file the library finds not even these.
            own = (".", "..") if os.path.isdir(base or "/") else ()
            for name in {*own, *list_directory(base)}:
                if _matches_name(part, name) and (is_last or os.path.isdir(f"{base}/{name}")):
                    matches.append(f"{base}/{name}")
        found = matches
    return sorted(found, key=os.fsencode)


def matches(pattern: str, path: str) -> bool:
    """Tell whether glob(3) would find a path that is there: components of an absolute pattern one by one."""
    parts = [part for part in pattern.split("/") if part]
    names = [name for name in path.split("/") if name]
    return len(parts) == len(names) and all(map(_matches_name, parts, names))


def _matches_name(part: str, name: str) -> bool:
    expression = _translate(_bytes(part))
    if expression is None:
        return name == _unescape(part)
    # A leading period is matched by a period only: glob(7).
    hidden = name.startswith(".") and not part.startswith((".", "\\."))
    return not hidden and bool(expression.fullmatch(_bytes(name)))


def _bytes(name: str) -> str:
    """Return a character for each byte, since Nginx sets no locale: order and matches are by bytes."""
    return os.fsencode(name).decode("latin-1")


def _unescape(part: str) -> str:
    return re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL)


@functools.lru_cache
def _translate(part: str) -> re.Pattern[str] | None:
    """Return the expression of one component of a pattern, or ``None`` when it is literal."""
    if not MAGIC.search(re.sub(r"\\.", "", part, flags=re.DOTALL)):
        return None
    expression = ""
    position = 0
    while position < len(part):
        character = part[position]
        bracket = _bracket(part, position) if character == "[" else None
        if bracket:
            text, position = bracket
            expression += text
            continue
        if character == "*":
            expression += ".*"
        elif character == "?":
            expression += "."
        else:
            if character == "\\" and position + 1 < len(part):
                position += 1
            expression += re.escape(part[position])
        position += 1
    return re.compile(expression, re.DOTALL)


_CLASSES = {
    "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z",
    "space": r" \t\n\r\f\v", "blank": r" \t", "xdigit": "0-9A-Fa-f", "punct": r"!-/:-@\[-`{-~",
    "cntrl": r"\x00-\x1f\x7f", "print": r"\x20-\x7e", "graph": r"\x21-\x7e",
}  # fmt: skip


def _bracket(part: str, start: int) -> tuple[str, int] | None:
    """Return the expression of the bracket at ``start`` and where it ends, or ``None`` when it is none."""
    position = start + 1
    negated = part[position : position + 1] in ("!", "^")
    position += negated
    items: list[str] = []
    first = True
    while True:
        if position >= len(part):
            return None
        if part[position] == "]" and not first:
            break
        first = False
        named = re.compile(r"\[:(\w+):\]").match(part, position)
        if named and named[1] in _CLASSES:
            items.append(_CLASSES[named[1]])
            position = named.end()
            continue
        low, position = _bracket_character(part, position)
        if part[position : position + 1] == "-" and part[position + 1 : position + 2] not in (
            "]",
            "",
        ):
            high, position = _bracket_character(part, position + 1)
            if low <= high:
                items.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            items.append(re.escape(low))
    if not items:
        return (r"." if negated else r"(?!)"), position + 1
    return f"[{'^' if negated else ''}{''.join(items)}]", position + 1


def _bracket_character(part: str, position: int) -> tuple[str, int]:
    if part[position] == "\\" and position + 1 < len(part):
        position += 1
    return part[position], position + 1
