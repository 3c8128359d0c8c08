# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""The last line of defence for secrets: what looks like one never gets into a report.

Evidence is masked where it is gathered, on the host, by those who know what it is. This knows only
how secrets look, so it errs on the side of hiding; but ETags and digests of files, which a finding
often hangs on, stay.
"""

from __future__ import annotations

import re
import typing as t

MASK = "***"

_WORD = r"(?:secret|token|passw(?:or)?d|passphrase|credential|signature|api[_-]?key|[_-]key|\bkey)"
# A name of its own, not a part of a path or of a file's name: /static/token.js is none.
_NAME = rf"(?<![\w./-])[\w-]*{_WORD}s?(?:[_-]\w+)*"
_HEADER = r"((?:proxy-)?authorization|(?:set-)?cookie|x-(?:api-key|auth-token|csrf-?token))"
# This collection's signed links (md5, expires), and those of object stores.
_SIGNED = (
    r"(?:md5|expires|sig|signature|hmac|hash|auth|session|jwt|code|sso"
    r"|x-(?:amz|goog)-(?:signature|credential|security-token|expires))"
)
# The files of secrets are named in findings.
_PATH = r"/(?:etc|run|var|srv|home|opt|usr|tmp|root|mnt|media|data|proc|dev)/"
_VALUE = rf"(?!\$|{_PATH})[^\s\"',;&]+"

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (
            r"(?s:-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z))",
            MASK,
        ),
        # A header as it is sent, as a pair of a list, and as a directive of Nginx's sets it. A cookie's
        # value may be quoted, so the end of the line is the only end that can be trusted.
        (rf"\b{_HEADER}(['\"]?\s*[:=]\s*|['\"]\s*,\s*)[^\n]+", rf"\1\2{MASK}"),
        (
            r"(_(?:set_header|header|param)\s+['\"]?(?:http_)?(?:authorization|(?:set-)?cookie)['\"]?\s+)[^\n]+",
            rf"\1{MASK}",
        ),
        (r"\b(bearer|basic|digest)\s+(?=\S*[\d=])[\w.~+/=-]{8,}", rf"\1 {MASK}"),
        # https://nginx.org/en/docs/http/ngx_http_secure_link_module.html: the secret is in the expression.
        (r"(secure_link_(?:md5|secret)\s+)[^;\n]+", rf"\1{MASK}"),
        # JSON Web Tokens, RFC 7519
        (r"\beyJ[\w-]{8,}\.[\w-]{6,}\.[\w-]*", MASK),
        # RFC 3986, 3.2.1; what follows a host may be a port.
        (r"(://[^\s/@:'\"]*:)(?!\d{1,5}/)(?:[^\s'\"<>/]+|[^\s@'\"<>]+)@", rf"\1{MASK}@"),
        (r"(://)[^\s/@:'\"]{20,}@", rf"\1{MASK}@"),
        (rf"((?:^|[?&\s]){_SIGNED}=)[^&\s\"'#,;]+", rf"\1{MASK}"),
        (rf"({_NAME}['\"]?\s*(?:=|:\s*['\"])\s*['\"]?){_VALUE}", rf"\1{MASK}"),
        # In prose only what is as long as a secret and no word.
        (
            rf"({_NAME}['\"]?\s*:?\s+['\"]?)(?!{_PATH})(?=\S*\d)[A-Za-z0-9+/=_-]{{16,}}",
            rf"\1{MASK}",
        ),
    )
)


def masked_text(text: str) -> str:
    """Return a text without what looks like a secret."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def masked(value: t.Any) -> t.Any:
    """Return a report, or a part of one, in which each text is masked."""
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, t.Mapping):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(item) for item in value]
    return value
