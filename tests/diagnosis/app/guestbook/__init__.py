"""A small app as many are: pages, a blueprint with static files of its own, uploads, downloads.

Everything that a host may want otherwise is config: FLASK_* in the environment.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from flask import (
    Flask,
    Response,
    abort,
    current_app,
    render_template,
    request,
    send_file,
    send_from_directory,
    url_for,
)
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.utils import secure_filename

from . import admin


def create_app() -> Flask:
    app = Flask(__name__, static_url_path=os.environ.get("STATIC_URL_PATH"))
    app.config.update(
        UPLOAD_FOLDER="/srv/guestbook/media",
        MEDIA_URL="/media/",
        MAX_CONTENT_LENGTH=16 * 1024 * 1024,
    )
    app.config.from_prefixed_env()
    app.register_blueprint(admin.blueprint)
    app.add_url_rule("/", view_func=index)
    app.add_url_rule("/upload", view_func=upload, methods=["POST"])
    media_rule = f"{app.config['MEDIA_URL']}<path:filename>"
    if app.config.get("SERVE_MEDIA"):
        # For development; in production Nginx answers first.
        app.add_url_rule(media_rule, "media", media)
    else:
        app.add_url_rule(media_rule, "media", build_only=True)
    if app.config.get("UPLOAD_RULE"):
        app.add_url_rule(app.config["UPLOAD_RULE"], "upload_there", upload, methods=["POST"])
    if app.config.get("DOWNLOAD_FOLDER"):
        app.add_url_rule("/download/<path:filename>", view_func=download)
    if app.config.get("PROXIES", 1):
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1
        )
    return app


def index() -> str:
    return render_template("index.html")


def upload() -> tuple[str, int]:
    file = request.files["file"]
    name = f"{secrets.token_hex(8)}-{secure_filename(file.filename or 'file')}"
    file.save(os.path.join(current_app.config["UPLOAD_FOLDER"], name))
    return url_for("media", filename=name) + "\n", 201


def media(filename: str) -> Response:
    return send_from_directory(current_app.config["UPLOAD_FOLDER"], filename)


def download(filename: str) -> Response:
    """A file that only the app gives away; behind Nginx it is Nginx that sends it."""
    folder = Path(current_app.config["DOWNLOAD_FOLDER"])
    if ".." in Path(filename).parts or not (folder / filename).is_file():
        abort(404)
    accel = current_app.config.get("ACCEL_URL")
    if not accel:
        return send_file(folder / filename, as_attachment=True)
    response = Response(headers={"X-Accel-Redirect": accel + filename})
    if current_app.config.get("ACCEL_TYPE", True):
        response.content_type = "application/octet-stream"
        response.headers["Content-Disposition"] = "attachment"
    response.headers["Cache-Control"] = "private, no-store"
    return response
