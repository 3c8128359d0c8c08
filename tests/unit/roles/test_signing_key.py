"""Where the key of signed links is written: the app's env file and Nginx's file of it."""

from __future__ import annotations

import typing as t

import jinja2
import pytest
from ansible.plugins.filter import core
from ansible_collections.flaskworks.static_media.plugins.filter.env_quote import env_quote
from ansible_collections.flaskworks.static_media.plugins.module_utils import _quote

from tests.unit.roles.specs import CHECKOUT, options_of

OWN, OTHER = "own" * 12, "other" * 8


def rendered(role: str, template: str, *, is_signed: bool = True, **variables: t.Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(CHECKOUT / "roles" / role / "templates"),
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    # Ansible's own `default` knows only Ansible's own undefined.
    own = core.FilterModule().filters()
    environment.filters.update({name: own[name] for name in ("combine", "comment")})
    environment.filters["flaskworks.static_media.env_quote"] = env_quote
    app = {"env": {"FLASK_MEDIA_URL": "/media/"}}
    media = {
        "signing_key_variable": "FLASK_MEDIA_SIGNING_KEY",
        "signing_key_file": "/etc/nginx/flask_keys/app/signing_key.conf" if is_signed else None,
    }
    return environment.get_template(template).render(
        __flask_app={"settings": {"app": app, "media": media}},
        ansible_managed="Ansible managed",
        flask_app_env={},
        **variables,
    )


# Each row: the variables, and the key that they give; of several apps an own one wins.
KEYS: list[tuple[dict[str, t.Any], str]] = [
    ({"flask_media_signing_key": OWN}, OWN),
    ({"flask_media_signing_key": OWN, "flask_description": {}}, OWN),
    (
        {
            "flask_media_signing_key": OTHER,
            "flask_description": {"flask_media_signing_key": OWN},
        },
        OWN,
    ),
    ({"flask_description": {"flask_media_signing_key": OWN}}, OWN),
]


@pytest.mark.parametrize(("variables", "key"), KEYS)
def test_both_have_the_same_key(variables: dict[str, t.Any], key: str) -> None:
    env = _quote.parse_env_file(rendered("flask_app", "app.env.j2", **variables))
    assert env == {"FLASK_MEDIA_URL": "/media/", "FLASK_MEDIA_SIGNING_KEY": key}
    nginx = rendered("flask_site", "signing_key.conf.j2", **variables)
    assert f'\nsecure_link_md5 "$secure_link_expires$uri {key}";\n' in nginx + "\n"


def test_where_nothing_is_signed_the_app_gets_no_key() -> None:
    text = rendered("flask_app", "app.env.j2", is_signed=False, flask_media_signing_key=OWN)
    assert OWN not in text


def test_the_key_is_kept_out_of_what_ansible_shows() -> None:
    assert options_of("flask_media")["flask_media_signing_key"]["no_log"] is True
