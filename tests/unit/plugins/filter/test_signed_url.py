"""URLs of signed areas; that Nginx takes them is shown by tests/unit/roles/test_media_locations.py."""

from __future__ import annotations

import time
import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.flaskworks.static_media.plugins.filter.signed_url import signed_url

KEY = "k" * 32


def test_a_url_is_encoded_and_signed() -> None:
    expected = "/s/a%20%C3%BC%3F.txt?md5=h6kjQoJj2zho8b2P8nabng&expires=2147483647"
    assert signed_url("/s/a ü?.txt", KEY, expires_at=2147483647) == expected
    origin = "https://gallery.example.com:8443"
    assert signed_url(f"{origin}/s/a ü?.txt", KEY, expires_at="2147483647") == origin + expected


def test_it_is_good_from_now_on() -> None:
    before = int(time.time())
    expires = int(signed_url("/s/a", KEY, expires_seconds=60).rpartition("=")[2])
    assert before + 60 <= expires <= int(time.time()) + 60


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("s/a", KEY, 60), "no path of a site"),
        (("https://gallery.example.com", KEY, 60), "no path of a site"),
        (("/s//a", KEY, 60), "empty part"),
        (("//s/a", KEY, 60), "empty part"),
        (("/s/../a", KEY, 60), "'..'"),
        (("/s/..", KEY, 60), "'..'"),
        (("/s/./a", KEY, 60), "'.'"),
        (("/s/a\nb", KEY, 60), "control character"),
        (("/s/\ud800", KEY, 60), "UTF-8"),
        ((7, KEY, 60), "both strings"),
        (("/s/a", None, 60), "both strings"),
        (("/s/a", "short", 60), "5 characters"),
        (("/s/a", KEY + "$", 60), "character that Nginx"),
        (("/s/a", KEY), "either expires_seconds"),
        (("/s/a", KEY, 60, 60), "either expires_seconds"),
        (("/s/a", KEY, "1h"), "whole number"),
        (("/s/a", KEY, -5), "whole number"),
        (("/s/a", KEY, True), "whole number"),
        (("/s/a", KEY, None, 0), "expire"),
    ],
)
def test_what_nginx_would_never_take_is_refused(arguments: tuple[t.Any, ...], said: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        signed_url(*arguments)
    assert said in str(caught.value)
    assert KEY not in str(caught.value)
