"""The app's settings: its defaults, and a check that refuses what would fail later."""

from __future__ import annotations

import os.path
import re
from collections.abc import Mapping
from typing import Any, ClassVar


class Defaults:
    MEDIA_URL = "/media/"
    MEDIA_ORIGIN = ""
    MAX_CONTENT_LENGTH = 16 * 1024 * 1024
    MAX_IMAGE_PIXELS = 50_000_000
    PICTURES_PER_PAGE = 48
    LINK_SECONDS = 24 * 60 * 60
    BOOTSTRAP_SERVE_LOCAL = True
    SESSION_COOKIE_SAMESITE = "Lax"
    # By URL, where each lies and who may read it; None: only UPLOAD_FOLDER, which is public.
    MEDIA_AREAS: ClassVar[dict[str, Any] | None] = None
    USERS: ClassVar[dict[str, str]] = {}


class ConfigError(ValueError):
    """A setting that the app can't run with."""


def check(config: Mapping[str, Any]) -> None:
    _check_upload_folder(config.get("UPLOAD_FOLDER"))
    _check_media_url(config["MEDIA_URL"])
    _check_media_origin(config["MEDIA_ORIGIN"])
    for name in ("MAX_CONTENT_LENGTH", "MAX_IMAGE_PIXELS", "PICTURES_PER_PAGE", "LINK_SECONDS"):
        _check_count(name, config[name])
    _check_users(config["USERS"])
    _check_secret_key(config.get("SECRET_KEY"))


def _check_upload_folder(value: object) -> None:
    advice = (
        "Set FLASK_UPLOAD_FOLDER to the absolute path of the directory for uploads,"
        " such as /var/www/gallery/media."
    )
    if not value:
        raise ConfigError(f"UPLOAD_FOLDER is not set. {advice}")
    if not isinstance(value, str) or not os.path.isabs(value):
        raise ConfigError(f"UPLOAD_FOLDER is {value!r}, which is no absolute path. {advice}")


def _check_media_url(value: object) -> None:
    # "<" would begin a variable part of the URL rule.
    if (
        isinstance(value, str)
        and len(value) > 2
        and value.startswith("/")
        and value.endswith("/")
        and not set(value) & set("<>?#")
    ):
        return
    raise ConfigError(
        f"MEDIA_URL is {value!r}. Set FLASK_MEDIA_URL to a path that begins and ends"
        " with a slash, such as /media/."
    )


def _check_media_origin(value: object) -> None:
    # It becomes part of a Content-Security-Policy.
    if isinstance(value, str) and re.fullmatch(r"(?:https?://[A-Za-z0-9.:-]+)?", value):
        return
    raise ConfigError(
        f"MEDIA_ORIGIN is {value!r}. Set FLASK_MEDIA_ORIGIN to where uploads have a domain of their"
        " own, such as https://gallery-media.example.net, or leave it unset."
    )


def _check_count(name: str, value: object) -> None:
    # from_prefixed_env() reads values as JSON: "16M" stays a string, and comparing it
    # with a request's length would fail at every upload.
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return
    raise ConfigError(
        f"{name} is {value!r}. Set FLASK_{name} to a whole number above zero,"
        f" such as {getattr(Defaults, name)}."
    )


def _check_users(value: object) -> None:
    # A name is that of a directory too.
    if isinstance(value, dict) and all(
        re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", name) and isinstance(password, str)
        for name, password in value.items()
    ):
        return
    # The hashes are not shown.
    raise ConfigError(
        "USERS is no dict of names and password hashes. Set FLASK_USERS to JSON such as"
        ' {"ann": "scrypt:…"}, with names in lower case and what'
        " werkzeug.security.generate_password_hash() returns."
    )


def _check_secret_key(value: object) -> None:
    if isinstance(value, str) and value:
        return
    problem = "is not set" if not value else "is not text (it reads as JSON)"
    raise ConfigError(
        f"SECRET_KEY {problem}. Set FLASK_SECRET_KEY to a long random text, the same for"
        " every worker process: it signs the sessions that protect the upload form."
    )
