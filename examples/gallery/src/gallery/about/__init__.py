"""The about page: a blueprint that brings its own templates and static files."""

from __future__ import annotations

from flask import Blueprint, render_template

blueprint = Blueprint(
    "about",
    __name__,
    url_prefix="/about",
    static_folder="static",
    template_folder="templates",
)


@blueprint.get("")
def index() -> str:
    return render_template("about/index.html")
