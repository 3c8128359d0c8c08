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


def run(ask: Ask, hints: Answer | None = None) -> list[dict[str, t.Any]]:
    """Return a report for each site found: its findings, the ways of its requests, what is unseen.

    :param hints: what the user knows and the host does not tell: ``callable``, ``virtualenv``,
        ``directory``, ``user``, ``domains``.
    """
    nginx = succeeded(ask("nginx_config_info", {}))["nginx"]
    config = _diagnosis_sites.config(nginx)
    processes = succeeded(
        ask("flask_process_info", {"addresses": _diagnosis_sites.upstreams(config)})
    )
    reports = []
    for site in _diagnosis_sites.sites(config, processes["processes"], hints or {}):
        case = _diagnosis_case.Case(nginx, processes, site)
        ask_app(ask, case)
        looked = list(_diagnosis_case.looks(case))
        for judge in JUDGES:
            # Some want to know what there is before they ask for it.
            looked += judge.looks(case) if hasattr(judge, "looks") else ()
        case.looks = answers(ask, case, looked)
        asked = list(_diagnosis_case.questions(case))
        for judge in JUDGES:
            asked += judge.questions(case)
        case.answers = answers(ask, case, asked)
        if case.silence:
            case.unseen.append(f"Nginx did not answer: {case.silence}")
        findings = Findings()
        for judge in JUDGES:
            judge.judge(case, findings)
        reports.append(_diagnosis_report.report(case, findings))
    return reports


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
