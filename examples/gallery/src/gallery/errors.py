"""What a visitor is told when a request can't be answered."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, current_app, jsonify, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, InternalServerError, ServiceUnavailable

from .storage import StorageError

# Code: title, and what to do about it.
MESSAGES = {
    404: ("This wall is empty", "There is nothing at this address."),
    405: ("Not this way", "This page can't be used like that."),
    413: ("Too much for one upload", "Send fewer pictures at once, or smaller ones."),
    500: ("Something broke", "It is not your doing. It has been written to the log."),
    503: ("The store room is locked", "Pictures can't be reached at the moment. Try again soon."),
}


def init_app(app: Flask) -> None:
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(StorageError, _storage_error)
    app.after_request(_add_security_headers)


def wants_json() -> bool:
    """Whether the upload script asks, and not a browser for a page."""
    return request.accept_mimetypes.best == "application/json"


def _http_error(error: HTTPException) -> Any:
    code = error.code or InternalServerError.code
    if error.response is not None or code < 400:  # A redirect, or a ready answer.
        return error
    if isinstance(error, CSRFError):
        title = "This form has expired"
        text = "Go back, reload the page and send it again."
    else:
        title, text = MESSAGES.get(code, (error.name, error.description or ""))
    if wants_json():
        return jsonify(error=f"{title}. {text}"), code
    return render_template("error.html", code=code, title=title, text=text), code


def _storage_error(error: StorageError) -> Any:
    current_app.logger.error("Upload folder: %s", error)
    return _http_error(ServiceUnavailable())


def _add_security_headers(response: Response) -> Response:
    # data: is for the icons inside Bootstrap's style sheet, blob: for previews of chosen files.
    # Uploads may have a domain of their own.
    media_origin = current_app.config["MEDIA_ORIGIN"]
    response.headers.setdefault(
        "Content-Security-Policy",
        f"default-src 'self'; img-src 'self' data: blob: {media_origin}; object-src 'none';"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    )
    # Flask-WTF compares the Referer of a form sent over HTTPS, so it can't be left out.
    response.headers.setdefault("Referrer-Policy", "same-origin")
    return response
