# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""All that a diagnosis wants to know of a host, asked at once; nothing is judged here.

Every question has an answer: what can't be asked is answered by why, and what it takes. Nothing is
changed but for canaries, which are removed whatever happens; those of a killed run by the next.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _bounded,
    _evidence_accounts,
    _evidence_files,
    _evidence_layers,
    _evidence_logs,
    _evidence_masks,
    _evidence_requests,
    _evidence_trees,
    _media_canary,
    _mounts,
    _path_access,
)

KINDS = ("canaries", "files", "requests", "paths", "trees", "storage")
BUDGET_SECONDS = 60.0
# Kept for removing canaries.
REMOVAL_SECONDS = 5.0
# A file system that answers takes less.
LOOK_SECONDS = 10.0
TREE_SECONDS = 10.0
REQUESTS_LIMIT = 400
CANARIES_LIMIT = 50
_PLACEHOLDER = re.compile(r"\{canary:([^{}]*)\}")

Facts = dict[str, t.Any]
Question = t.Mapping[str, t.Any]
# By those whose words are for the user.
_REFUSALS = (
    _as_user.AsUserError,
    _media_canary.CanaryError,
    _path_access.PathAccessError,
    _evidence_requests.RequestError,
    _evidence_layers.LayersError,
)


class Unseen(Exception):
    """Why a question was not asked, and what it takes."""


def answer(
    questions: t.Mapping[str, t.Any],
    *,
    error_logs: t.Sequence[str] = (),
    logs_process_id: int | None = None,
    check_mode: bool = False,
    seconds: float = BUDGET_SECONDS,
) -> Facts:
    """Ask all questions, in the order of :data:`KINDS`.

    :param error_logs: Nginx's, for the lines that requests cause.
    :param logs_process_id: a process of that Nginx, if its paths lead elsewhere than ours.
    :param check_mode: writes no canary, so nothing that needs one is asked.
    :param seconds: for all of it.
    :return: ``answers`` by the questions' ids, and what was ``unseen`` beyond them.
    """
    return _Survey(error_logs, logs_process_id, check_mode, seconds).take(questions)


class _Survey:
    def __init__(
        self,
        error_logs: t.Sequence[str],
        logs_process_id: int | None,
        check_mode: bool,
        seconds: float,
    ) -> None:
        self._deadline = time.monotonic() + seconds - min(REMOVAL_SECONDS, seconds / 2)
        self._check_mode = check_mode
        self._error_logs = error_logs, logs_process_id
        self._answers: Facts = {}
        self._unseen: list[str] = []
        self._held: list[_media_canary.Held] = []
        self._mounts: dict[int | None, list[Facts]] = {}
        self._accounts: dict[int | None, _evidence_accounts.Names] = {
            None: _evidence_accounts.Names()
        }

    def take(self, questions: t.Mapping[str, t.Any]) -> Facts:
        asked = {kind: self._readable(kind, questions.get(kind)) for kind in KINDS}
        self._canaries = {question["id"]: question for question in asked["canaries"]}
        try:
            self._each(asked["canaries"], self._canary, CANARIES_LIMIT)
            self._each(asked["files"], self._file)
            self._requests(asked["requests"])
            self._paths(asked["paths"])
            self._each(asked["trees"], self._tree)
            self._each(asked["storage"], self._storage)
        finally:
            self._remove_canaries()
        unknown = sorted(str(kind) for kind in questions if kind not in KINDS)
        if unknown:
            self._unseen.append(f"Nothing is known of questions named {', '.join(unknown)}.")
        return {"answers": self._answers, "unseen": list(dict.fromkeys(self._unseen))}

    def _readable(self, kind: str, given: t.Any) -> list[Question]:
        if given is None:
            return []
        if not isinstance(given, (list, tuple)):
            self._unseen.append(f"{kind} is no list of questions.")
            return []
        found: list[Question] = []
        for question in given:
            id_ = question.get("id") if isinstance(question, t.Mapping) else None
            if not isinstance(id_, str):
                self._unseen.append(f"A question of {kind} has no id: {str(question)[:100]}")
            elif id_ in self._answers:
                self._unseen.append(f"More than one question has the id {id_}; the first is asked.")
            else:
                self._answers[id_] = {"unseen": "out of time"}
                found.append(question)
        return found

    def _seconds(self, most: float) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Unseen("out of time")
        return min(left, most)

    def _each(
        self,
        questions: t.Sequence[Question],
        ask: t.Callable[[Question], Facts],
        limit: int | None = None,
    ) -> None:
        for number, question in enumerate(questions):
            if limit is not None and number >= limit:
                self._answers[question["id"]] = {"unseen": f"only {limit} are asked at once"}
                continue
            self._answers[question["id"]] = self._attempt(ask, question)

    def _attempt(self, ask: t.Callable[[Question], Facts], question: Question) -> Facts:
        try:
            return ask(question)
        except Unseen as why:
            return {"unseen": str(why)}
        except KeyError as missing:
            return {"unseen": f"the question has no {missing}"}
        except (_bounded.Unanswered, *_REFUSALS) as error:
            return {"unseen": str(error)}
        except Exception as error:  # noqa: BLE001 - an error is an answer, and the rest goes on
            return {"unseen": f"the question can't be asked: {type(error).__name__}: {error}"}

    def _table(self, process_id: int | None) -> list[Facts]:
        if process_id not in self._mounts:
            whose = "self" if process_id is None else str(process_id)
            self._mounts[process_id] = _mounts.mounts(f"/proc/{whose}/mountinfo")
        return self._mounts[process_id]

    def _seen(
        self,
        question: Question,
        look: t.Callable[..., Facts],
        *arguments: t.Any,
        longest: float = LOOK_SECONDS,
    ) -> Facts:
        """Look at a question's path where its process sees it."""
        process_id = _process_id(question)
        path = self._path_of(question)
        facts: Facts = _bounded.call(
            _bounded.in_view, process_id, look, path, *arguments, seconds=self._seconds(longest)
        )
        return self._owned(facts, process_id)

    def _owned(self, facts: Facts, process_id: int | None) -> Facts:
        """Add the names of owners and groups, as they are where the question was asked."""
        if process_id not in self._accounts:
            try:
                self._accounts[process_id] = _evidence_accounts.Names.of(
                    process_id, self._seconds(LOOK_SECONDS)
                )
            except (Unseen, _bounded.Unanswered):
                self._accounts[process_id] = _evidence_accounts.Names()
        self._accounts[process_id].put(facts)
        return facts

    def _filled(self, text: str) -> str:
        """Put the names of canaries into a text.

        :raises Unseen: when there is none.
        """

        def name(match: re.Match[str]) -> str:
            id_ = match[1]
            placed: Facts = self._answers.get(id_, {}) if id_ in self._canaries else {}
            if placed.get("written"):
                return str(placed["name"])
            error = placed.get("error") or {}
            why = placed.get("unseen") or error.get("strerror") or "it was not asked for"
            raise Unseen(f"canary {id_} was not written: {why}")

        return _PLACEHOLDER.sub(name, text)

    def _path_of(self, question: Question) -> str:
        path = self._filled(str(question["path"]))
        if not path.startswith("/") or "\0" in path:
            raise Unseen(f"{path!r} is no path from the root")
        return path

    # Canaries

    def _canary(self, question: Question) -> Facts:
        if self._check_mode:
            raise Unseen("check mode writes no canary; run without --check to have it asked")
        directory = str(question["directory"])
        _media_canary.check(directory, None)
        who = _evidence_accounts.account(question)
        process_id = _process_id(question)
        umask = _as_user.parse_umask(str(question.get("umask") or f"{_as_user.UMASK:04o}"))
        suffix, content = str(question.get("suffix") or ".txt"), str(question.get("content") or "")
        left = _bounded.call(
            _remove_leftovers, who, directory, process_id, seconds=self._seconds(LOOK_SECONDS)
        )
        answer, descriptors = _bounded.call_for_descriptors(
            _place,
            who,
            directory,
            umask,
            process_id,
            suffix,
            content,
            bool(question.get("hidden")),
            seconds=self._seconds(LOOK_SECONDS),
        )
        if descriptors:
            held = _media_canary.Held(who, answer["name"], *descriptors)
            self._held.append(held)
            status = os.fstat(held.file)
            answer.update(uid=status.st_uid, gid=status.st_gid)
        return self._owned({**answer, "leftovers_removed": left}, process_id)

    def _remove_canaries(self) -> None:
        end = max(self._deadline, time.monotonic()) + REMOVAL_SECONDS
        for held in self._held:
            # One after another may be on a file system that no longer answers.
            seconds = max(0.2, end - time.monotonic())
            try:
                fault = _bounded.call(held.apply_removal, seconds=seconds)
            except _bounded.Unanswered as error:
                fault = str(error)
            finally:
                held.close()
            if fault is not None:
                self._unseen.append(
                    f"The canary {held.name} could not be removed ({fault}). The next run tries again."
                )

    # Files

    def _file(self, question: Question) -> Facts:
        return self._seen(question, _evidence_files.file, bool(question.get("hash")))

    # Requests

    def _requests(self, questions: t.Sequence[Question]) -> None:
        wanted = self._error_logs[0] if any(question.get("log") for question in questions) else ()
        logs = _evidence_logs.ErrorLogs(wanted, self._error_logs[1])
        self._unseen += logs.unseen
        try:
            self._each(
                questions, lambda question: self._request(question, logs), limit=REQUESTS_LIMIT
            )
        finally:
            logs.close()

    def _request(self, question: Question, logs: _evidence_logs.ErrorLogs) -> Facts:
        filled = {
            key: self._filled(value) if isinstance(value, str) and key != "id" else value
            for key, value in question.items()
        }
        request = _evidence_requests.Request.of(filled)
        if request.process_id is not None:
            _bounded.call(_evidence_requests.enter, request, seconds=self._seconds(LOOK_SECONDS))
        is_logged = bool(question.get("log"))
        if is_logged:
            logs.mark()
        answer = _evidence_requests.ask(request, self._seconds(_evidence_requests.TIMEOUT_SECONDS))
        gained = logs.gained(request.method, request.target, request.host) if is_logged else []
        return {**answer, "target": request.target, "log": gained}

    # Paths

    def _paths(self, questions: t.Sequence[Question]) -> None:
        """Ask what belongs together at once: a look as a user costs some processes."""
        together: dict[tuple[t.Any, ...], list[tuple[Question, _Look]]] = {}
        for question in questions:
            look = self._attempt_look(question)
            if look is not None:
                key = look.who, look.process_id, look.sample_files
                together.setdefault(key, []).append((question, look))
        for group in together.values():
            looks = [look for _unused, look in group]
            closed = self._closed(looks[0])
            if closed is None:
                answers = self._asked(looks)
            else:
                answers = [{"unseen": closed} for _unused in looks]
            if closed is not None and looks[0].process_id is not None:
                components: list[list[Facts]] = [[] for _unused in looks]
            else:
                components = self._components(looks)
            for (question, _look), answer, passed in zip(group, answers, components):
                facts = {**answer, "components": passed}
                self._answers[question["id"]] = self._owned(facts, looks[0].process_id)

    def _closed(self, look: _Look) -> str | None:
        """Return why nothing can be asked as this user and in this view, or ``None``."""
        try:
            _bounded.call(_enter, look.who, look.process_id, seconds=self._seconds(LOOK_SECONDS))
        except (Unseen, _bounded.Unanswered) as why:
            return str(why)
        return None

    def _attempt_look(self, question: Question) -> _Look | None:
        found: list[_Look] = []

        def read(question: Question) -> Facts:
            found.append(self._look(question))
            return {"unseen": "out of time"}

        self._answers[question["id"]] = self._attempt(read, question)
        return found[0] if found else None

    def _look(self, question: Question) -> _Look:
        path = self._path_of(question)
        want = tuple(str(word) for word in question.get("want") or ())
        unwanted = tuple(str(word) for word in question.get("unwanted") or ())
        return _Look(
            _evidence_accounts.account(question),
            _process_id(question),
            int(question.get("sample_files") or 0),
            _path_access.Question(path, want, unwanted),
        )

    def _asked(self, looks: t.Sequence[_Look]) -> list[Facts]:
        try:
            seconds = self._seconds(LOOK_SECONDS)
        except Unseen as why:
            return [{"unseen": str(why)} for _unused in looks]
        try:
            answers: list[Facts] = _bounded.call(_ask_paths, looks, seconds=seconds)
        except _bounded.Unanswered as error:
            if len(looks) == 1:
                return [{"unseen": str(error)}]
            # One of them may be what spoils the others.
            return [answer for look in looks for answer in self._asked([look])]
        return answers

    def _components(self, looks: t.Sequence[_Look]) -> list[list[Facts]]:
        process_id = looks[0].process_id
        paths = [look.question.path for look in looks]
        try:
            found: list[list[Facts]] = _bounded.call(
                _bounded.in_view,
                process_id,
                _components,
                paths,
                self._table(process_id),
                seconds=self._seconds(LOOK_SECONDS),
            )
        except (Unseen, _bounded.Unanswered):
            if len(looks) == 1:
                return [[]]
            return [passed for look in looks for passed in self._components([look])]
        return found

    # Trees and storage

    def _tree(self, question: Question) -> Facts:
        limit = 2000 if question.get("limit") is None else int(question["limit"])
        seconds = 2.0 if question.get("seconds") is None else float(question["seconds"])
        seconds = max(0.0, self._seconds(min(seconds, TREE_SECONDS)))
        # It looks at the clock itself, between entries.
        longest = seconds + LOOK_SECONDS
        if question.get("beneath_mounts"):
            layers = _evidence_layers.layers(f"/proc/{_process_id(question)}/mountinfo")
            path, look = self._path_of(question), _evidence_layers.tree
            below: Facts = _bounded.call(look, layers, path, limit, seconds, seconds=longest)
            return below
        is_deep, beside = bool(question.get("deep", True)), question.get("beside")
        arguments = limit, seconds, is_deep, beside
        return self._seen(question, _evidence_trees.tree, *arguments, longest=longest)

    def _storage(self, question: Question) -> Facts:
        process_id = _process_id(question)
        # A view's own mounts are no matter of this host's fstab.
        fstab = _evidence_files.read_fstab() if process_id is None else []
        facts = self._seen(question, _evidence_files.storage, self._table(process_id), fstab)
        for mount in (facts, facts["fstab"]):
            if mount and mount["source"] is not None:
                mount["source"] = _evidence_masks.source(mount["source"])
                mount["options"] = [_evidence_masks.mount_option(each) for each in mount["options"]]
        return facts


class _Look(t.NamedTuple):
    who: _as_user.Account
    process_id: int | None
    sample_files: int
    question: _path_access.Question


def _process_id(question: Question) -> int | None:
    given = question.get("process_id")
    return None if given is None else int(given)


def _remove_leftovers(who: _as_user.Account, directory: str, process_id: int | None) -> list[str]:
    """Remove what killed runs left, as the user, or as who we are where that user can't look."""
    removed: list[str] = []
    me = _as_user.Account("root", os.geteuid(), os.getegid(), tuple(os.getgroups()), "/")
    for each in (who, me):
        try:
            found = _media_canary.apply_removal(
                each, directory, _media_canary.LEFTOVERS, process_id=process_id
            )
        except _as_user.AsUserError:
            # Placing tells of it.
            break
        removed += found["names"]
        if found["error"] is None:
            break
    return removed


def _place(
    who: _as_user.Account,
    directory: str,
    umask: int,
    process_id: int | None,
    suffix: str,
    content: str,
    is_hidden: bool,
) -> tuple[Facts, list[int]]:
    facts, held = _media_canary.place_held(
        who,
        directory,
        umask=umask,
        process_id=process_id,
        suffix=suffix,
        content=content,
        is_hidden=is_hidden,
    )
    facts.pop("content", None)
    return facts, [] if held is None else [held.directory, held.file]


def _enter(who: _as_user.Account, process_id: int | None) -> None:
    with contextlib.ExitStack() as stack:
        view = None if process_id is None else stack.enter_context(_as_user.view_of(process_id))
        _as_user.call(who, int, view=view)


def _ask_paths(looks: t.Sequence[_Look]) -> list[Facts]:
    first = looks[0]
    return _path_access.ask(
        first.who,
        [look.question for look in looks],
        sample_files=first.sample_files,
        process_id=first.process_id,
    )


def _components(paths: t.Sequence[str], table: t.Sequence[Facts]) -> list[list[Facts]]:
    return [_evidence_files.components(path, table) for path in paths]
