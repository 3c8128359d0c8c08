"""A description of an app, as the rules see it."""

from __future__ import annotations

import typing as t

from tests.unit.roles.specs import ROLES, defaults_of


def description(**changes: t.Any) -> dict[str, t.Any]:
    """An ordinary description, with its templates resolved by hand."""
    values: dict[str, t.Any] = {}
    for role in ROLES:
        values.update(defaults_of(role))
    values.update(
        flask_app_name="gallery",
        flask_app_source="/home/me/gallery",
        flask_app_callable="gallery:create_app()",
        flask_app_user="gallery",
        flask_app_group="gallery",
        flask_app_root="/opt/gallery",
        flask_app_virtualenv="/opt/gallery/current",
        flask_app_directory="/opt/gallery/current",
        flask_app_env_file="/etc/gallery/gallery.env",
        flask_app_bind="unix:/run/gallery/gallery.sock",
        flask_static_root="/var/www/gallery/static",
        flask_media_root="/var/www/gallery/media",
        flask_site_domains=["gallery.example.com"],
        flask_site_conf_file="/etc/nginx/conf.d/gallery.conf",
        flask_site_mode="server",
        flask_site_port=80,
        flask_site_include_file="/etc/nginx/snippets/gallery.conf",
    )
    values.update(changes)
    if "flask_media_areas" not in changes:
        values["flask_media_areas"] = [media_area(values["flask_media_url"])]
    return values


def media_area(url: str, **changes: t.Any) -> dict[str, t.Any]:
    """An area of ``flask_media_areas``, completed as its spec has it."""
    unset = ("root", "auth_url", "inline_types", "client_max_body_size", "upload_rate")
    area = {"url": url, "access": "public", "cache_seconds": 0, "upload_urls": []}
    return {**dict.fromkeys(unset), **area, **changes}
