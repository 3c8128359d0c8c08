# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Secrets are hidden on the host that has them: in commands, URLs and configurations of Nginx."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import _nginx_syntax

MASK = "********"
# What a name has in it whose value nobody is to see.
NAMED = re.compile(
    r"auth(?!_basic|_request|ors?\b)|secret|passw|passphrase|token|credential|cookie|session"
    r"|api.?key|access.?key|private.?key|signing.?key|[_-]key\Z|\Akey\Z|\Apw\Z|salt|dsn|database_ur[il]",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"(?<=://)([^/\s:@'\"]*):([^/\s@'\"]+)(?=@)")
_QUERY = re.compile(r"(?<=[?&])([\w.-]+)=([^&\s'\"]+)")
_HEADER = re.compile(r"([\w-]+)(:\s+)(.+)", re.DOTALL)
_KEYWORD = re.compile(r"(\w+)(\s*=\s*)((['\"]).*?\4)")
_PRIVATE_KEY = re.compile(
    r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)(.*?)(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_VARIABLE = re.compile(r"\$\{\w+\}|\$\w+")
_COMMENT = re.compile(r"(?m)(^|[\s;{}])(#[^\n]*)")

# With a header or parameter that has a name, and its value
_NAMED_VALUES = frozenset(
    [
        "add_header",
        "env",
        "fastcgi_param",
        "grpc_set_header",
        "more_set_headers",
        "more_set_input_headers",
        "proxy_set_header",
        "scgi_param",
        "set",
        "uwsgi_param",
    ]
)
# Of these every literal part is one
_WHOLE = frozenset(["secure_link_md5", "secure_link_secret", "secure_link_hmac_secret"])
# What takes a variable's values for the names of entries
_TABLES = frozenset(["map", "geo", "split_clients"])
_NO_ENTRIES = frozenset(["default", "hostnames", "include", "volatile"])


def in_text(text: str) -> str:
    """Return a text without the passwords of its URLs, and without what keywords name a secret."""
    text = _URL_PASSWORD.sub(rf"\1:{MASK}", text)
    text = _QUERY.sub(
        lambda found: (
            f"{found[1]}={MASK}"
            if NAMED.search(found[1]) or found[1].lower().startswith("sig")
            else found[0]
        ),
        text,
    )
    header = _HEADER.fullmatch(text)
    if header and NAMED.search(header[1]):
        return f"{header[1]}{header[2]}{MASK}"
    return _KEYWORD.sub(
        lambda found: (
            f"{found[1]}{found[2]}{found[4]}{MASK}{found[4]}"
            if NAMED.search(found[1])
            else found[0]
        ),
        text,
    )


def in_command(argv: t.Sequence[str]) -> list[str]:
    """Return the arguments of a command without secrets."""
    shown = []
    hides_next = ""
    for word in argv:
        name, separator, value = word.partition("=")
        if hides_next:
            shown.append(_assignment(word) if hides_next == "assignment" else _unless_path(word))
            hides_next = ""
        elif word in ("-e", "--env", "--raw-env", "--set", "--set-placeholder", "--set-ph"):
            shown.append(word)
            hides_next = "assignment"
        elif word == "-c" and shown and re.search(r"python[\d.]*\Z", shown[-1]):
            shown.append(word)
            hides_next = "program"
        elif name in ("--env", "--raw-env", "--set", "--set-placeholder", "--set-ph"):
            shown.append(f"{name}={_assignment(value)}")
        elif NAMED.search(name) and "://" not in name and re.match(r"[\w.-]+\Z", name):
            if separator:
                shown.append(f"{name}={_unless_path(value)}")
            else:
                shown.append(word)
                hides_next = "value" if word.startswith("-") else ""
        else:
            shown.append(in_text(word))
    return shown


def _assignment(text: str) -> str:
    name, separator, _value = text.partition("=")
    return f"{name}={MASK}" if separator else text


def _unless_path(value: str) -> str:
    return value if value.startswith("/") and value.count(" ") == 0 else MASK


class Configuration:
    """A configuration of Nginx without its secrets, line by line as it was.

    :ivar hidden: what was hidden, so that a message can be freed of it too.
    """

    def __init__(self) -> None:
        self.hidden: set[str] = set()

    def masked(self, text: str) -> str:
        """Return the text of a file without its secrets."""
        text = _PRIVATE_KEY.sub(
            lambda found: found[1] + "\n" * found[2].count("\n") + found[3], text
        )
        edits: list[tuple[int, int, str]] = []
        end = 0
        try:
            for item in _nginx_syntax.parse(text):
                if isinstance(item, _nginx_syntax.Directive):
                    edits += self._comments(text, end, item.start)
                    edits += self._of(item, text)
                    end = item.end
                    if _nginx_syntax.is_lua(item):
                        end = _nginx_syntax.end_of_lua(text, item)
                        edits.append((item.end, end - 1, "\n" * text.count("\n", item.end, end)))
                else:
                    edits += self._comments(text, end, item.start)
                    end = item.start
            edits += self._comments(text, end, len(text))
        except _nginx_syntax.NginxSyntaxError:
            edits += self._unparsed(text, end)
        parts, position = [], 0
        for start, stop, new in sorted(edits):
            if start >= position:
                parts += [text[position:start], new]
                position = stop
        parts.append(text[position:])
        return "".join(parts)

    def in_message(self, message: str) -> str:
        """Return what Nginx said without what was hidden before."""
        for secret in sorted(self.hidden, key=len, reverse=True):
            message = message.replace(secret, MASK)
        return in_text(message)

    def _comments(self, text: str, start: int, end: int) -> t.Iterator[tuple[int, int, str]]:
        """Yield what hides the comments that look like a directive with a secret, out of use."""
        for found in _COMMENT.finditer(text, max(start - 1, 0), end):
            if found.start(2) >= start and (
                NAMED.search(found[2]) or re.search(r"secure_link|://[^/\s]*@", found[2])
            ):
                yield found.start(2), found.end(2), f"# {MASK}"

    def _unparsed(self, text: str, start: int) -> t.Iterator[tuple[int, int, str]]:
        for line in re.finditer(r"[^\n]+", text[start:]):
            if NAMED.search(line[0]) or re.search(r"secure_link|://[^/\s]*@", line[0]):
                yield start + line.start(), start + line.end(), f"# {MASK}"

    def _of(
        self, directive: _nginx_syntax.Directive, text: str
    ) -> t.Iterator[tuple[int, int, str]]:
        words = list(directive.words)
        for word in self._secret_words(directive, words):
            new = self._hide(word.value)
            if new != word.value:
                shown = _nginx_syntax.quote(new) + "\n" * text.count("\n", word.start, word.end)
                yield word.start, word.end, shown
        for word in words[1:]:
            if _URL_PASSWORD.search(word.value):
                new = in_text(word.value)
                yield word.start, word.end, _nginx_syntax.quote(new)

    def _secret_words(
        self, directive: _nginx_syntax.Directive, words: list[_nginx_syntax.Word]
    ) -> list[_nginx_syntax.Word]:
        name = directive.name
        parent = directive.parents[-1] if directive.parents else None
        if name in _WHOLE:
            return words[1:]
        if name in _NAMED_VALUES and len(words) > 1 and NAMED.search(words[1].value):
            return (
                words[1:]
                if name in ("env", "more_set_headers", "more_set_input_headers")
                else words[2:]
            )
        if parent and parent.name in _TABLES and parent.arguments:
            # The entries' names are values of the first variable, what they give is the last's.
            asked, given = parent.arguments[0], parent.arguments[-1]
            entry = words[:1] if NAMED.search(asked) and name not in _NO_ENTRIES else []
            return entry + (words[1:] if NAMED.search(given) else [])
        if name == "if" and any(NAMED.search(word.value) for word in words[1:]):
            return [word for word in words[1:] if not word.value.lstrip("(").startswith("$")]
        if name == "ssl_certificate_key" and len(words) > 1 and words[1].value.startswith("data:"):
            return words[1:]
        return []

    def _hide(self, value: str) -> str:
        """Return a word with its variables, and all else of more than punctuation hidden."""
        parts, position = [], 0
        for found in [*_VARIABLE.finditer(value), None]:
            literal = value[position : found.start() if found else len(value)]
            core = literal.strip(" :()=!~*")
            if re.search(r"\w", core):
                # Which of its words is the secret can't be told, in "Basic c2Vj".
                self.hidden.update(part for part in [core, *core.split()] if len(part) > 5)
                literal = literal.replace(core, MASK)
            parts.append(literal)
            if found:
                parts.append(found[0])
                position = found.end()
        return "".join(parts)
