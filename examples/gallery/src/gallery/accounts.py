"""Logging in. Users are the deployment's: USERS has a password hash of Werkzeug's for each name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from flask import Blueprint, Response, current_app, redirect, render_template, session, url_for
from flask_wtf import FlaskForm
from werkzeug.security import check_password_hash, generate_password_hash
from wtforms import PasswordField, StringField, SubmitField
from wtforms.validators import DataRequired

blueprint = Blueprint("accounts", __name__)


@cache
def nobody() -> str:
    """A hash that takes as long to compare as a known user's, so that the time tells no names."""
    return generate_password_hash("")


class LoginForm(FlaskForm):  # type: ignore[misc]
    name = StringField("Name", validators=[DataRequired()], render_kw={"autocomplete": "username"})
    password = PasswordField(
        "Password", validators=[DataRequired()], render_kw={"autocomplete": "current-password"}
    )
    submit = SubmitField("Log in")


def user() -> str | None:
    """Who is logged in. One who was taken from USERS is not any more."""
    name = session.get("user")
    return name if name in current_app.config["USERS"] else None


def login_required(view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    def asked(*args: Any, **kwargs: Any) -> Any:
        if user() is None:
            return redirect(url_for("accounts.login"))
        return view(*args, **kwargs)

    return asked


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> Any:
    form = LoginForm()
    if not form.validate_on_submit():
        return render_template("login.html", form=form), 400 if form.is_submitted() else 200
    expected = current_app.config["USERS"].get(form.name.data)
    is_right = check_password_hash(expected or nobody(), form.password.data)
    if not expected or not is_right:
        form.password.errors = ["That name and password don't go together."]
        return render_template("login.html", form=form), 403
    session.clear()
    session["user"] = form.name.data
    return redirect(url_for("documents.index"), code=303)


@blueprint.post("/logout")
def logout() -> Any:
    session.clear()
    return redirect(url_for("pages.index"), code=303)


@blueprint.get("/may-read")
def may_read() -> Response:
    """Nginx's question before it sends a file of the members' (auth_request)."""
    return Response(status=204 if user() else 401)
