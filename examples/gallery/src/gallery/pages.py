"""The gallery page and the upload page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import (
    Blueprint,
    abort,
    current_app,
    flash,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_wtf import FlaskForm
from flask_wtf.file import FileRequired, MultipleFileField
from wtforms import SubmitField

from . import storage
from .errors import wants_json

blueprint = Blueprint("pages", __name__)


class UploadForm(FlaskForm):  # type: ignore[misc]
    pictures = MultipleFileField(
        "Pictures",
        validators=[FileRequired("Choose at least one picture.")],
        render_kw={"accept": "image/png,image/jpeg,image/webp,image/gif"},
    )
    submit = SubmitField("Upload")


@blueprint.get("/")
def index() -> str:
    folder = _upload_folder()
    names = storage.names(folder)
    per_page = current_app.config["PICTURES_PER_PAGE"]
    page_count = max(1, -(-len(names) // per_page))
    page = request.args.get("page", 1, type=int)
    if not 1 <= page <= page_count:
        abort(404)
    shown = names[(page - 1) * per_page : page * per_page]
    return render_template(
        "index.html",
        pictures=[storage.describe(folder, name) for name in shown],
        picture_count=len(names),
        page=page,
        page_count=page_count,
    )


@blueprint.route("/upload", methods=["GET", "POST"])
def upload() -> Any:
    form = UploadForm()
    if not form.validate_on_submit():
        status = 200 if request.method == "GET" else 400
        if status == 400 and wants_json():
            return jsonify(stored=0, refused=[], error=form.pictures.errors[0]), status
        return render_template("upload.html", form=form, refused=[]), status

    stored = 0
    refused = []
    for file in form.pictures.data:
        try:
            storage.store(_upload_folder(), file.stream, current_app.config["MAX_IMAGE_PIXELS"])
            stored += 1
        except storage.BadPictureError as error:
            refused.append({"name": file.filename, "reason": str(error)})

    status = 400 if refused else 201
    if wants_json():
        return jsonify(stored=stored, refused=refused), status
    if stored:
        flash("1 picture added." if stored == 1 else f"{stored} pictures added.", "success")
    if refused:
        return render_template("upload.html", form=form, refused=refused), status
    return redirect(url_for(".index"), code=303)


def _upload_folder() -> Path:
    return Path(current_app.config["UPLOAD_FOLDER"])
