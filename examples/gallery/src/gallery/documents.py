"""Private documents: each is its owner's, and may be shared by a link or put among the members'."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    send_file,
    url_for,
)
from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from wtforms import BooleanField, SubmitField

from . import accounts, vault
from .signed_links import signed_path

blueprint = Blueprint("documents", __name__)


class DocumentForm(FlaskForm):  # type: ignore[misc]
    document = FileField("Document", validators=[FileRequired("Choose a document.")])
    for_members = BooleanField("For all members")
    submit = SubmitField("Keep it")


@blueprint.after_request
def _keep_out_of_caches(response: Response) -> Response:
    response.headers.setdefault("Cache-Control", "no-store")
    return response


@blueprint.route("/", methods=["GET", "POST"])
@accounts.login_required
def index() -> Any:
    form = DocumentForm()
    members = vault.area_of(current_app.config, "auth_request")
    if members is None:
        del form.for_members
    if not form.validate_on_submit():
        return _page(form), 400 if form.is_submitted() else 200
    file = form.document.data
    if members and form.for_members.data:
        vault.publish(members[1], secrets.token_hex(16), file.stream, file.filename)
    else:
        vault.keep(_root(), _owner(), file.stream, file.filename)
    flash("The document is kept.", "success")
    return redirect(url_for(".index"), code=303)


@blueprint.get("/<document_id>")
@accounts.login_required
def show(document_id: str) -> Response:
    """Send a document to its owner: Nginx does, by X-Accel-Redirect."""
    path, document = _find(document_id)
    return send_file(path, download_name=document.name)


@blueprint.post("/<document_id>/link")
@accounts.login_required
def link(document_id: str) -> Any:
    """Make a link that lets everybody read who has it, for a while."""
    path, document = _find(document_id)
    area, key = _signed_area()
    if area is None or not key:
        abort(404)
    url, root = area
    expires_at = int(time.time()) + current_app.config["LINK_SECONDS"]
    public = request.script_root + url + vault.share(root, path, document.name, expires_at)
    shared = request.host_url.rstrip("/") + signed_path(public, key, expires_at)
    return _page(DocumentForm(formdata=None), shared=shared, shared_name=document.name), 201


def _page(form: DocumentForm, **shown: Any) -> str:
    members = vault.area_of(current_app.config, "auth_request")
    area, key = _signed_area()
    files = vault.published(members[1]) if members else []
    return render_template(
        "documents.html",
        form=form,
        user=accounts.user(),
        documents=vault.documents(_root(), _owner()),
        can_share=bool(area and key),
        members_files=[
            {
                "name": path.partition("/")[2],
                "url": quote(request.script_root + (members[0] if members else "") + path),
            }
            for path in files
        ],
        **shown,
    )


def _signed_area() -> tuple[tuple[str, Path] | None, str | None]:
    config = current_app.config
    return vault.area_of(config, "signed"), config.get("MEDIA_SIGNING_KEY")


def _root() -> Path:
    area = vault.area_of(current_app.config, "accel")
    assert area is not None, "the blueprint is registered where there is one"
    return area[1]


def _owner() -> str:
    return accounts.user() or abort(401)


def _find(document_id: str) -> tuple[Path, vault.Document]:
    return vault.find(_root(), _owner(), document_id) or abort(404)
