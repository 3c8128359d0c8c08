"""A small photo gallery whose static files and uploads are served by Nginx."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, current_app, send_from_directory, url_for
from flask_bootstrap import Bootstrap5
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from . import about, accounts, config, documents, errors, fingerprint, pages, vault, x_accel


def create_app(overrides: Mapping[str, Any] | None = None) -> Flask:
    """Build the app from the ``FLASK_…`` environment; ``overrides`` win over it."""
    app = Flask(__name__)
    app.config.from_object(config.Defaults)
    app.config.from_prefixed_env()
    app.config.update(overrides or {})
    config.check(app.config)

    # Nginx is the one proxy in front, and sets all four headers itself.
    app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
        app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1
    )

    Bootstrap5(app)
    CSRFProtect(app)
    errors.init_app(app)
    fingerprint.init_app(app)
    app.register_blueprint(pages.blueprint)
    app.register_blueprint(about.blueprint)
    _add_media_rule(app)
    _add_documents(app)
    app.add_template_global(_media_link, "media_link")
    return app


def _media_link(filename: str) -> str:
    """Where visitors find an upload: at this site, or in an origin apart from it."""
    return str(current_app.config["MEDIA_ORIGIN"]) + url_for("media", filename=filename)


def _add_media_rule(app: Flask) -> None:
    """Let ``url_for('media', …)`` build the URLs that Nginx answers.

    Only the development server, which has no Nginx in front, answers them itself.
    """
    rule = app.config["MEDIA_URL"] + "<path:filename>"
    if not app.debug:
        app.add_url_rule(rule, endpoint="media", build_only=True)
        return

    def media(filename: str) -> Any:
        return send_from_directory(app.config["UPLOAD_FOLDER"], filename)

    app.add_url_rule(rule, view_func=media)


def _add_documents(app: Flask) -> None:
    """Private documents, where the deployment has an area for them."""
    area = vault.area_of(app.config, "accel")
    if area is None:
        return
    app.register_blueprint(accounts.blueprint)
    app.register_blueprint(documents.blueprint, url_prefix=area[0].rstrip("/"))
    app.jinja_env.globals["has_documents"] = True
    x_accel.init_app(app)
