# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""What Nginx makes of the target of a request line, and how it escapes what it makes of that.

As ngx_http_parse_request_line(), ngx_http_parse_complex_uri() (src/http/ngx_http_parse.c),
ngx_escape_uri() and ngx_unescape_uri() (src/core/ngx_string.c). Nginx knows bytes only: text is a
character a byte here, see ``to_bytes``.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

_HEX = "0123456789abcdefABCDEF"
_ABSOLUTE = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://([A-Za-z0-9.-]*|\[[^\]/?# ]*\])(?::[0-9]*)?(?=[/?]|$)"
)
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_NOT_IN_URI = frozenset(chr(code) for code in (*range(0x21), *range(0x7F, 0x100))) | set(
    '"#%<>?\\^`{|}'
)
_NOT_IN_ARGS = _NOT_IN_URI | set("&+;")


class BadRequest(Exception):
    """Nginx answers with 400 before it looks for a location."""


def to_bytes(text: str) -> str:
    """A character for each byte."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def to_text(data: str) -> str:
    return data.encode("latin-1").decode("utf-8", "surrogateescape")


@dataclasses.dataclass
class Target:
    """A request's target, taken apart.

    :ivar uri: decoded and normalised, as locations see it.
    :ivar extension: what the type is chosen by. Of a first request it is found otherwise than later on.
    :ivar host: of an absolute target; it counts instead of the header.
    """

    uri: str
    args: str
    unparsed: str
    extension: str
    is_quoted: bool
    has_plus: bool
    host: str | None = None
    has_path: bool = True


def parse(target: str, merge_slashes: bool = True) -> Target:
    """:raises BadRequest: where Nginx answers 400."""
    host = None
    if not target.startswith("/"):
        absolute = _ABSOLUTE.match(target)
        if not absolute:
            raise BadRequest("the target of the request begins neither with / nor with a scheme")
        host = absolute[1]
        target = target[absolute.end() :]
    has_path = not target.startswith("?")
    unparsed = target or "/"
    if _CONTROL.search(unparsed):
        raise BadRequest("the target of the request contains a space or a control character")
    if not has_path:
        unparsed = "/" + unparsed
    path, _question, args = unparsed.partition("?")
    is_complex = "#" in unparsed or "%" in path or not has_path
    is_complex = is_complex or "//" in path or "/." in path
    if not is_complex:
        name = path.rpartition("/")[2]
        dot = name.rfind(".")
        extension = name[dot + 1 :] if dot > 0 else ""
        return Target(path, args, unparsed, extension, False, "+" in path, host, has_path)
    parser = _ComplexUri(merge_slashes)
    rest = parser.feed(unparsed)
    args = rest.partition("#")[0] if rest is not None else ""
    return Target(
        parser.uri,
        args,
        unparsed,
        parser.extension,
        parser.is_quoted,
        parser.has_plus,
        host,
        has_path,
    )


class _ComplexUri:
    """The states of ngx_http_parse_complex_uri()."""

    def __init__(self, merge_slashes: bool) -> None:
        self._merge_slashes = merge_slashes
        self._out: list[str] = []
        self._state = "usual"
        self._dot: int | None = None
        self.is_quoted = False
        self.has_plus = False

    @property
    def uri(self) -> str:
        return "".join(self._out)

    @property
    def extension(self) -> str:
        return "" if self._dot is None else self.uri[self._dot :]

    def feed(self, text: str) -> str | None:
        """Return what follows the question mark, or ``None``."""
        position = 0
        while position < len(text):
            character = text[position]
            position += 1
            literal = False
            if character == "%":
                self.is_quoted = True
                code = text[position : position + 2]
                if len(code) < 2 or any(digit not in _HEX for digit in code):
                    raise BadRequest(f"%{code} is no escaped byte")
                position += 2
                character = chr(int(code, 16))
                if character == "\0":
                    raise BadRequest("the target of the request contains %00")
                # These end nothing once they are escaped.
                literal = character in "%#?"
            if literal:
                self._state = "usual"
                self._out.append(character)
            elif character in "?#":
                self._end()
                return text[position:] if character == "?" else None
            else:
                self._take(character)
        self._end()
        return None

    def _take(self, character: str) -> None:
        if character == "+":
            self.has_plus = True
        if character == "/":
            self._slash()
        elif character == "." and self._state in ("slash", "dot"):
            self._state = "dot" if self._state == "slash" else "dot dot"
            self._out.append(character)
        else:
            if character == "." and self._state == "usual":
                self._dot = len(self._out) + 1
            self._state = "usual"
            self._out.append(character)

    def _slash(self) -> None:
        if self._state == "usual":
            self._dot = None
            self._out.append("/")
        elif self._state == "slash":
            if not self._merge_slashes:
                self._out.append("/")
        elif self._state == "dot":
            self._out.pop()
        else:
            self._up()
        self._state = "slash"

    def _up(self) -> None:
        del self._out[-2:]
        # The slash before the dots, and all behind the one before
        if self._out:
            self._out.pop()
        while self._out and self._out[-1] != "/":
            self._out.pop()
        if not self._out:
            raise BadRequest("the target of the request leads above the root")

    def _end(self) -> None:
        if self._state == "dot":
            self._out.pop()
        elif self._state == "dot dot":
            self._up()


def extension_of(uri: str) -> str:
    """As ngx_http_set_exten(), for a URI that was set later on."""
    for position in range(len(uri) - 1, 1, -1):
        if uri[position] == "." and uri[position - 1] != "/":
            return uri[position + 1 :]
        if uri[position] == "/":
            break
    return ""


def escape_uri(text: str) -> str:
    return _escaped(text, _NOT_IN_URI)


def escape_args(text: str) -> str:
    return _escaped(text, _NOT_IN_ARGS)


def _escaped(text: str, characters: t.AbstractSet[str]) -> str:
    return "".join(f"%{ord(one):02X}" if one in characters else one for one in text)


def unescape_redirect(text: str) -> str:
    """As ngx_unescape_uri() with NGX_UNESCAPE_REDIRECT: what may stand in a URI, up to a ``?``."""
    out: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character == "?":
            return "".join(out) + text[position - 1 :]
        if character != "%":
            out.append(character)
            continue
        code = text[position : position + 2]
        if not code or code[0] not in _HEX:
            # The percent sign is dropped, what follows is taken as it is.
            out.append(code[:1])
            position += 1
        elif len(code) < 2 or code[1] not in _HEX:
            position += 2
        else:
            position += 2
            character = chr(int(code, 16))
            if character == "?" and code[1] in "fF":
                return "".join(out) + "?" + text[position:]
            out.append(character if "%" < character < "\x7f" else f"%{code}")
    return "".join(out)
