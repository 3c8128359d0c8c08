# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""Find out what a host serves, ask it, and name what is wrong. Nothing need be known beforehand.

:func:`run` is the whole of it. It asks the host by modules, through a function that it is handed; all
between two questions is pure. So the role and the tests' corpus of broken hosts run the same.

Each ``_diagnose_*`` file judges one kind of fault: its ``questions()`` says what has to be asked for
that, its ``judge()`` adds what it finds. They go from causes to symptoms, in the order of `JUDGES`.
"""

from __future__ import annotations

import dataclasses
import os.path
import traceback
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _app_question,
    _diagnose_alias,
    _diagnose_exposure,
    _diagnose_headers,
    _diagnose_limits,
    _diagnose_paths,
    _diagnose_permissions,
    _diagnose_proxy,
    _diagnose_routing,
    _diagnose_serving,
    _diagnose_storage,
    _diagnosis_case,
    _diagnosis_report,
    _diagnosis_sites,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import Findings

Answer = t.Mapping[str, t.Any]
Question = t.Mapping[str, t.Any]
# Runs a module on the host and returns what it says; ``failed`` and ``msg`` where it can't.
Ask = t.Callable[[str, t.Mapping[str, t.Any]], Answer]

# Causes before symptoms: what one has explained, the next ones do not tell of.
JUDGES: t.Sequence[t.Any] = (
    _diagnose_serving,
    _diagnose_alias,
    _diagnose_paths,
    _diagnose_storage,
    _diagnose_permissions,
    _diagnose_routing,
    _diagnose_exposure,
    _diagnose_limits,
    _diagnose_headers,
    _diagnose_proxy,
)


class AskError(Exception):
    """The host could not be asked at all."""


# What a user may know of an app that its process does not tell.
APP_HINTS = ("callable", "virtualenv", "user", "directory")


def run(
    ask: Ask, hints: Answer | None = None, *, is_strict: bool = False
) -> list[dict[str, t.Any]]:
    """Return a report for each site found: its findings, the ways of its requests, what is unseen.

    :param hints: what the user knows and the host does not tell: ``callable``, ``virtualenv``,
        ``directory``, ``user``, ``domains``.
    :param is_strict: raise where a judge fails, as tests want it. A user loses no report by one.
    """
    nginx = succeeded(ask("nginx_config_info", {}))["nginx"]
    config = _diagnosis_sites.config(nginx)
    processes = succeeded(
        ask("flask_process_info", {"addresses": _diagnosis_sites.upstreams(config)})
    )
    reports = []
    for site in _diagnosis_sites.sites(config, processes["processes"], hints or {}):
        case = _diagnosis_case.Case(nginx, processes, site)
        guard = Guard(case, is_strict)
        guard.app(ask)
        looked = guard.questions(_diagnosis_case, "looks")
        for judge in JUDGES:
            # Some want to know what there is before they ask for it.
            looked += guard.questions(judge, "looks") if hasattr(judge, "looks") else ()
        case.looks = answers(ask, case, looked)
        asked = guard.questions(_diagnosis_case, "questions")
        for judge in JUDGES:
            asked += guard.questions(judge, "questions")
        case.answers = answers(ask, case, asked)
        if case.silence:
            case.unseen.append(f"Nginx did not answer: {case.silence}")
        findings = Findings()
        for judge in JUDGES:
            guard.judge(judge, findings)
        reports.append(guard.report(findings))
    return reports


@dataclasses.dataclass
class Guard:
    """Makes of a judge that fails something unseen: what the others have found is told all the same.

    Hosts and apps are of other people's making, and answer what nobody has thought of.
    """

    case: _diagnosis_case.Case
    is_strict: bool

    def app(self, ask: Ask) -> None:
        try:
            ask_app(ask, self.case)
        except Exception as error:  # noqa: BLE001 - whatever it is, the rest goes on
            self._failed(_app_question, error)

    def questions(self, judge: t.Any, name: str) -> list[Question]:
        """Return what a judge wants to know; nothing where it fails."""
        try:
            return list(getattr(judge, name)(self.case))
        except Exception as error:  # noqa: BLE001 - whatever it is, the rest goes on
            self._failed(judge, error)
            return []

    def judge(self, judge: t.Any, findings: Findings) -> None:
        try:
            judge.judge(self.case, findings)
        except Exception as error:  # noqa: BLE001 - whatever it is, the rest goes on
            self._failed(judge, error)

    def report(self, findings: Findings) -> dict[str, t.Any]:
        try:
            return _diagnosis_report.report(self.case, findings)
        except Exception as error:  # noqa: BLE001 - what is found is told all the same
            self._failed(_diagnosis_report, error)
            return _diagnosis_report.bare(self.case, findings)

    def _failed(self, judge: t.Any, error: Exception) -> None:
        if self.is_strict:
            raise error
        name = judge.__name__.rpartition("_")[2]
        where = traceback.extract_tb(error.__traceback__)[-1]
        # Not the error's own words: they may have what was read in them.
        self.case.failed.append(
            f"What concerns {name} was not judged to its end, by a fault of this collection's: "
            f"{type(error).__name__} at {os.path.basename(where.filename)}:{where.lineno}. Please report it."
        )


def succeeded(answer: Answer) -> Answer:
    """Return an answer without which nothing can be found out.

    :raises AskError: when there is none.
    """
    if answer.get("failed"):
        raise AskError(str(answer.get("msg") or answer))
    return answer


def ask_app(ask: Ask, case: _diagnosis_case.Case) -> None:
    """Ask the app behind a site, if it was found and can be asked."""
    question, reason = app_question(case)
    if question is None:
        case.unseen.append(str(reason))
        return
    answer = ask("flask_app_info", question)
    if answer.get("failed") or not answer.get("asked"):
        case.app_error = str(answer.get("msg") or answer.get("reason"))
        case.unseen.append(f"the app could not be asked: {case.app_error}")
    else:
        case.app = answer["app"]


def app_question(case: _diagnosis_case.Case) -> tuple[Question | None, str | None]:
    """Return how to ask the app, by what its process tells and the user adds; or why it can't be."""
    told = {key: case.site.hints[key] for key in APP_HINTS if case.site.hints.get(key)}
    process, user = case.process, told.get("user")
    if process is not None and user not in (None, process.get("user")) and case.container is None:
        # Whoever has taken the app's address would have code of theirs run as the app's user.
        if {"callable", "virtualenv"} <= told.keys():
            return told, None
        return None, (
            f"Process {process.get('pid')} at the app's address runs as {process.get('user')}, not as {user}, so "
            f"what it names is not run as {user}. Set flask_app_callable and flask_app_virtualenv too, or leave "
            "out flask_app_user."
        )
    if case.process is not None:
        # What a user writes is as Gunicorn takes it, however the app was started.
        loader = {"loader": "gunicorn"} if "callable" in told else {}
        return _app_question.question({**case.process, **told, **loader})
    if {"callable", "virtualenv", "user"} <= told.keys():
        return told, None
    return None, (
        "No app server was found behind Nginx, so no app was asked. To have it asked all the same, set "
        "flask_app_callable, flask_app_virtualenv and flask_app_user."
    )


def answers(ask: Ask, case: _diagnosis_case.Case, asked: t.Sequence[Question]) -> Answer:
    """Ask the host all of these at once; a question names its kind in ``kind``."""
    questions: dict[str, list[Question]] = {}
    for question in asked:
        plain = {key: value for key, value in question.items() if key != "kind"}
        questions.setdefault(question["kind"], []).append(plain)
    if not questions:
        return {}
    answer = ask(
        "flask_evidence_info",
        {
            "questions": questions,
            "error_logs": case.nginx.get("error_logs") or [],
            "logs_process_id": case.nginx_view.get("process_id"),
        },
    )
    if answer.get("failed"):
        case.unseen.append(f"the host could not be asked: {answer.get('msg')}")
        return {}
    case.unseen += answer.get("unseen") or []
    found: dict[str, Answer] = answer["answers"]
    for request in questions.get("requests", []):
        told = found.get(request["id"])
        if told is not None and "unseen" not in told:
            # As it was sent, the names of canaries filled in.
            asked_for = {**request, "target": told.get("target", request["target"])}
            found[request["id"]] = {**told, "request": asked_for}
    return found
