from flask import Blueprint, render_template

blueprint = Blueprint("admin", __name__, url_prefix="/admin", static_folder="static")


@blueprint.get("/")
def index() -> str:
    return render_template("admin.html")
