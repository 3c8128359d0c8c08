from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.flaskworks.static_media.plugins.filter import env_quote, nginx_quote


def test_the_filters_are_found_by_their_names() -> None:
    assert list(nginx_quote.FilterModule().filters()) == ["nginx_quote"]
    assert list(env_quote.FilterModule().filters()) == ["env_quote"]


def test_nginx_quote_takes_strings_and_whole_numbers() -> None:
    assert nginx_quote.nginx_quote("a b") == '"a b"'
    assert nginx_quote.nginx_quote(80) == "80"
    assert nginx_quote.nginx_quote("x$", regex=True) == '"x$"'


@pytest.mark.parametrize("value", [None, True, ["a"], {"a": 1}, 1.5])
def test_nginx_quote_refuses_what_is_no_word(value: t.Any) -> None:
    with pytest.raises(AnsibleFilterError, match="takes a string or a whole number"):
        nginx_quote.nginx_quote(value)


def test_a_refusal_names_the_character() -> None:
    with pytest.raises(
        AnsibleFilterError, match="nginx_quote: 'a\\\\nb' has a newline at character 2"
    ):
        nginx_quote.nginx_quote("a\nb")
    with pytest.raises(
        AnsibleFilterError, match="env_quote: The value has a newline at character 2"
    ):
        env_quote.env_quote("a\nb")


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("a$b", '"a\\$b"'),
        (True, '"true"'),
        (None, '"null"'),
        (16777216, '"16777216"'),
        (["a", 1], '"[\\"a\\", 1]"'),
    ],
)
def test_env_quote_writes_json_for_what_is_no_string(value: t.Any, quoted: str) -> None:
    assert env_quote.env_quote(value) == quoted


def test_env_quote_refuses_what_json_has_not() -> None:
    with pytest.raises(AnsibleFilterError, match="not a set"):
        env_quote.env_quote({1})
