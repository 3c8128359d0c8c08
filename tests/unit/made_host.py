"""A host made up of a configuration and files, which answers what a diagnosis asks.

Nginx is what ``_nginx_routes`` says of it, which other tests compare with a real one; the app is Flask as
far as files go. So a test says only what is there.
"""

from __future__ import annotations

import hashlib
import posixpath
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _diagnose_alias,
    _diagnose_exposure,
    _diagnose_paths,
    _diagnose_routing,
    _diagnosis,
    _diagnosis_case,
    _nginx_routes,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import (
    Finding,
    Findings,
)

from tests.unit import diagnosis

JUDGES = (_diagnose_alias, _diagnose_paths, _diagnose_routing, _diagnose_exposure)
FLASK_404 = "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n"
Facts = dict[str, t.Any]


class Host:
    """A host with an Nginx, an app and these files.

    :ivar files: text by path. A path below a link is the link's, as in a release's.
    :ivar links: where a path leads.
    :ivar media: the directory that the app writes to; canaries are put there.
    """

    def __init__(
        self,
        conf: str,
        files: t.Mapping[str, str],
        *,
        app: t.Mapping[str, t.Any] | None = None,
        links: t.Mapping[str, str] | None = None,
        serves_media: bool = False,
        unanswered: t.Container[str] = (),
    ) -> None:
        self.files = dict(files)
        self.links = dict(links or {})
        self.serves_media = serves_media
        self.unanswered = unanswered
        self.case = diagnosis.case(conf, app=app)
        self.asked: list[Facts] = []

    def findings(self) -> list[Finding]:
        """Return what the judges of routing find, after both rounds of questions."""
        case = self.case
        looked = [*_diagnosis_case.looks(case)]
        for judge in JUDGES:
            looked += judge.looks(case) if hasattr(judge, "looks") else ()
        case.looks = _diagnosis.answers(self.ask, case, looked)
        asked = [*_diagnosis_case.questions(case)]
        for judge in JUDGES:
            asked += judge.questions(case)
        case.answers = _diagnosis.answers(self.ask, case, asked)
        ids = [question["id"] for question in (*looked, *asked)]
        assert len(ids) == len(set(ids)), "each question has an id of its own"
        self.asked = [*looked, *asked]
        findings = Findings()
        for judge in JUDGES:
            judge.judge(case, findings)
        return findings.sorted()

    def ask(self, module: str, arguments: t.Mapping[str, t.Any]) -> Facts:
        assert module == "flask_evidence_info"
        answers: dict[str, Facts] = {}
        names: dict[str, str] = {}
        questions = arguments["questions"]
        for number, question in enumerate(questions.get("canaries", [])):
            hidden = "." if question.get("hidden") else ""
            name = f"{hidden}flask-verify-{number:032x}{question['suffix']}"
            path = posixpath.join(question["directory"], name)
            self.files[path] = f"canary {number}"
            names[f"{{canary:{question['id']}}}"] = name
            facts = {"written": True, "name": name, "path": path, "error": None}
            answers[question["id"]] = {**facts, "sha256": digest(self.files[path])}
        for kind in ("files", "requests", "paths", "trees"):
            for question in questions.get(kind, []):
                filled = dict(question)
                for key in ("path", "target"):
                    for placeholder, name in names.items():
                        if key in filled:
                            filled[key] = filled[key].replace(placeholder, name)
                answer = getattr(self, f"_{kind}")(filled)
                if "target" in filled and "unseen" not in answer:
                    answer["target"] = filled["target"]
                answers[question["id"]] = answer
        for path in [path for path in self.files if "flask-verify-" in path]:
            del self.files[path]
        return {"answers": answers, "unseen": []}

    def real(self, path: str) -> str:
        path = posixpath.normpath(path)
        for link, target in self.links.items():
            if path == link or path.startswith(link + "/"):
                return target + path[len(link) :]
        return path

    def type(self, path: str) -> str | None:
        path = self.real(path)
        if path in self.files:
            return "file"
        inside = any(name.startswith(path.rstrip("/") + "/") for name in self.files)
        return "directory" if inside else None

    def _files(self, question: Facts) -> Facts:
        kind, path = self.type(question["path"]), self.real(question["path"])
        sha256 = digest(self.files[path]) if kind == "file" and question.get("hash") else None
        facts = {"path": question["path"], "exists": kind is not None, "type": kind}
        return {**facts, "realpath": path if kind else None, "sha256": sha256}

    def _paths(self, question: Facts) -> Facts:
        path = question["path"]
        links = [
            {"path": link, "link": target}
            for link, target in self.links.items()
            if path.startswith(link + "/")
        ]
        return {"path": path, "allowed": self.type(path) is not None, "components": links}

    def _trees(self, question: Facts) -> Facts:
        root = self.real(question["path"])
        found: dict[str, str] = {}
        for path in self.files:
            if not path.startswith(root.rstrip("/") + "/"):
                continue
            parts = posixpath.relpath(path, root).split("/")
            if not question.get("deep", True):
                parts = parts[:1]
            beside = question.get("beside")
            if beside and (not parts[0].startswith(beside) or parts[0] == beside):
                continue
            hidden = next((n for n, part in enumerate(parts) if part.startswith(".")), len(parts))
            for length in range(1, min(hidden + 1, len(parts)) + 1):
                entry = posixpath.join(root, *parts[:length])
                found[entry] = self.type(entry) or "directory"
        for link in self.links:
            if link.startswith(root.rstrip("/") + "/"):
                found[link] = "link"
        return {
            "path": question["path"],
            "exists": self.type(root) is not None,
            "entries": [{"path": path, "type": kind, "uid": 0} for path, kind in found.items()],
            "dotfiles": [path for path in found if posixpath.basename(path).startswith(".")],
        }

    def _requests(self, question: Facts) -> Facts:
        if question["id"] in self.unanswered:
            return {"unseen": "out of time"}
        target, method = question["target"], question["method"]
        if "unix_socket" in question:
            return self._app(target, method)
        config, server = self.case.config, self.case.server
        assert config and server
        route = _nginx_routes.route(config, server, target, method=method, exists=self.type)
        if route.kind == "proxy":
            return self._app(target, method)
        if route.kind == "file":
            text = self.files[self.real(route.path or "")]
            etag = f'"65a0b0c0-{len(text):x}"'
            return reply(200, text, ("ETag", etag), ("Content-Length", str(len(text))))
        if route.kind == "listing":
            return reply(200, f"<html><head><title>Index of {target}</title></head>")
        page = f"<hr><center>nginx</center> {route.status}"
        return reply(route.status or 500, page)

    def _app(self, target: str, method: str) -> Facts:
        case = self.case
        folders = [(mount.url, mount.folder) for mount in case.static]
        if self.serves_media and case.media_url and case.upload:
            folders.append((case.media_url, case.upload.path))
        if method == "OPTIONS":
            return reply(200, "", ("Allow", "OPTIONS, POST"))
        for url, folder in folders:
            path = posixpath.join(folder, target[len(url) :])
            if target.startswith(url) and path in self.files:
                text = self.files[path]
                return reply(200, text, ("ETag", f'"1795943585.0-{len(text)}-3324449417"'))
        return reply(404, FLASK_404)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def reply(status: int, text: str, *headers: tuple[str, str]) -> Facts:
    told = [list(header) for header in headers]
    return {"status": status, "headers": told, "head": text, "sha256": digest(text), "log": []}
