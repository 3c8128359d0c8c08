# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""From evidence to a report: which checks pass, and what is wrong where one fails.

Everything here is a pure function of evidence that modules and ``ansible.builtin.uri`` gathered.
A *check* says whether something holds; a *finding* names the one component at fault, so a fault
that fails five checks is still one finding.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import posixpath
import re
import shlex
import typing as t
import urllib.parse

from ansible_collections.flaskworks.static_media.plugins.module_utils import _docker
from ansible_collections.flaskworks.static_media.plugins.module_utils._rules import (
    contains,
    overlap,
    public,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _verify_confinement,
    _verify_limits,
    _verify_permissions,
    _verify_private,
    _verify_storage,
    _verify_tls,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import Finding

Evidence = t.Mapping[str, t.Any]

# Nginx's ETag is the hexadecimal mtime and size, Werkzeug's is "float-size-adler32":
# src/http/ngx_http_core_module.c, ngx_http_set_etag; werkzeug.utils.send_file.
NGINX_ETAG = re.compile(r'(?:W/)?"[0-9a-f]{6,16}-([0-9a-f]+)"\Z')
WERKZEUG_ETAG = re.compile(r'"\d+\.\d+-\d+-\d+"\Z')

# How much of what an app's own pages have in common must be in that through Nginx: pages change as
# they are asked for, and another app's has hardly more in common with them than HTML.
SAME_WORDS_SHARE = 0.8

TITLES = {
    "url-prefixes-differ": "Static and media have different URL prefixes",
    "directories-differ": "Static and media have different directories",
    "upload-folder": "UPLOAD_FOLDER is the media directory",
    "static-published": "The app's static files are published",
    "served-by-nginx": "Nginx serves both, with the right alias",
    "app-writes-media": "The app's process can write media",
    "nginx-reads-both": "Nginx can read both",
    "only-app-writes-media": "Only the app can write media, and nothing there can be run",
    "nobody-writes-static": "Neither the app nor Nginx can write static files",
    "nginx-confined": "Nginx's service can write neither, as root neither",
    "uploads-survive-redeploy": "Uploads are out of reach of a redeploy",
    "direct-requests": "Direct requests for static and media files give 200",
    "missing-is-404": "A missing file is a 404 of Nginx's, not of the app's",
    "no-listing": "Directories are not listed",
    "private-media-closed": "Private media is closed to visitors whom nobody knows",
    "app-answers": "The app answers behind Nginx",
    "prefix-heeded": "The app's links carry its URL prefix",
    **_verify_storage.TITLES,
    "certificate": _verify_tls.CERTIFICATE_TITLE,
    "media-domain": _verify_tls.MEDIA_DOMAIN_TITLE,
    "body-limits": _verify_limits.TITLE,
}

ACCESS_FAULTS = {
    "not-traversable": "{user} can't pass through it",
    "not-readable": "{user} can't read it",
    "not-writable": "{user} can't write there",
    "read-only-filesystem": "{user} can't write there: the file system is read-only",
    "acl-mask": "its ACL would let {user} in, but the ACL's mask takes that away",
    "missing": "it isn't there",
    "not-a-directory": "it is no directory",
    "symlink-blocked": "it is a link that {user} can't follow",
    "selinux-label": "its SELinux label keeps {user} out",
    "disk-full": "there is no room left",
}


@dataclasses.dataclass
class Check:
    """A thing verified; ``status`` is ``pass``, ``fail`` or ``skip``."""

    id: str
    status: str
    evidence: str

    @property
    def title(self) -> str:
        """What the check claims, in words."""
        return TITLES[self.id]


def requests(
    settings: Evidence,
    static: Evidence,
    canary: Evidence,
    private_canaries: t.Sequence[Evidence] = (),
) -> list[dict[str, t.Any]]:
    """Return the requests that the proof needs, each as ``ansible.builtin.uri`` wants it.

    :param static: what ``static_release`` says of the published tree.
    :param canary: what ``media_canary`` wrote into the main area.
    :param private_canaries: what it wrote into those that are not public.
    """
    site, media = settings["site"], settings["media"]
    host = (site["domains"] or ["localhost"])[0].replace("*.", "www.")
    base = f"{site.get('scheme', 'http')}://{settings['verify']['address']}:{site['port']}"
    absent = (
        "flask-verify-absent-" + hashlib.sha256(str(canary.get("name")).encode()).hexdigest()[:12]
    )

    prefix = site["url_prefix"]
    moved = tuple(area["location"] for area in media["areas"] if area["is_on_media_domain"])
    wanted: list[tuple[str, str, dict[str, t.Any]]] = []
    for mount in static.get("mounts") or []:
        sample = mount.get("sample")
        if sample:
            path = public(prefix, mount["url"]) + sample["path"]
            wanted.append(
                ("static", path, {key: sample[key] for key in ("size", "sha256", "etag")})
            )
    main_is_public = any(area["is_main"] and area["access"] == "public" for area in media["areas"])
    if canary.get("written") and main_is_public:
        wanted.append(("media", media["location"] + canary["name"], {"size": canary["size"]}))
    # All mounts are of one template: one of them speaks for the others.
    locations = [public(prefix, mount["url"]) for mount in (static.get("mounts") or [])[:1]]
    if main_is_public:
        locations.append(media["location"])
    wanted += [("absent", location + absent, {}) for location in locations]
    wanted += [("directory", location, {}) for location in locations]
    wanted += _verify_private.requests(settings, private_canaries)
    asked = [
        {
            "kind": kind,
            "path": path,
            "url": base + urllib.parse.quote(path),
            "headers": {
                "Host": media["domain"] if path.startswith(moved) else host,
                "Accept-Encoding": "identity",
            },
            **extra,
        }
        for kind, path, extra in wanted
    ]
    if media.get("domain"):
        asked += _requests_of_media_domain(settings, base, host, absent)
    return [*asked, *_requests_of_app(settings, base, host)] if site["proxy"] else asked


def _requests_of_media_domain(
    settings: Evidence, base: str, host: str, absent: str
) -> list[dict[str, t.Any]]:
    """Ask the site for an upload, and the uploads' own domain for the app."""
    media = settings["media"]
    path = public(settings["site"]["url_prefix"], settings["app"]["health_url"]).partition("?")[0]
    return [
        {"kind": kind, "path": path, "url": base + path, "headers": {"Host": name}}
        for kind, path, name in (
            *(
                ("moved", area["location"] + absent, host)
                for area in media["areas"]
                if area["is_on_media_domain"]
            ),
            ("foreign", path, media["domain"]),
        )
    ]


def uri_requests(
    settings: Evidence,
    static: Evidence,
    canary: Evidence,
    private_canaries: t.Sequence[Evidence] = (),
) -> list[dict[str, t.Any]]:
    """Return those requests that ``ansible.builtin.uri`` makes: a static file, and an upload.

    It names no host to TLS, and each of its requests is a run of a module: see :func:`site_question`.
    """
    asked = requests(settings, static, canary, private_canaries)
    kinds: dict[str, dict[str, t.Any]] = {}
    for request in asked:
        if not request["url"].startswith("https:") and request["kind"] in ("static", "media"):
            kinds.setdefault(request["kind"], request)
    return list(kinds.values())


def site_question(
    settings: Evidence,
    static: Evidence,
    canary: Evidence,
    private_canaries: t.Sequence[Evidence] = (),
) -> dict[str, t.Any]:
    """Return the arguments of ``flask_site_info``: all else that the proof needs."""
    facts = (settings, static, canary, private_canaries)
    by_uri = uri_requests(*facts)
    return {
        **_verify_tls.question(settings, _verify_limits.bodies(settings)),
        "requests": [request for request in requests(*facts) if request not in by_uri],
    }


def _requests_of_app(settings: Evidence, base: str, host: str) -> list[dict[str, t.Any]]:
    """Ask the app itself before and after, so that what changes by itself counts for nothing."""
    site, bind = settings["site"], settings["app"]["bind"]
    # In the form of a request line, as the user wrote it.
    url = settings["app"]["health_url"]
    path = public(site["url_prefix"], url)
    public_host = host if site["port"] in (80, 443) else f"{host}:{site['port']}"
    # What Nginx would send on (roles/flask_site/templates/locations.conf.j2).
    forwarded = {
        "Host": public_host,
        "X-Forwarded-For": settings["verify"]["address"],
        "X-Forwarded-Proto": site.get("scheme", "http"),
        "X-Forwarded-Host": public_host,
        "X-Forwarded-Port": str(site["port"]),
        "X-Forwarded-Prefix": site["url_prefix"].rstrip("/"),
        "Accept-Encoding": "identity",
    }
    direct = {"kind": "direct", "path": url, "headers": forwarded}
    if bind.startswith("unix:"):
        direct.update(url=f"http://localhost{url}", unix_socket=bind[len("unix:") :])
    else:
        direct.update(url=f"http://{bind}{url}")
    asked = {"Host": host, "Accept-Encoding": "identity"}
    return [direct, {"kind": "app", "path": path, "url": base + path, "headers": asked}, direct]


class Proof:
    """Judges one app on one host.

    :ivar settings: the answer of ``flask_settings``.
    :ivar access: the answers of ``path_access_info``, by user.
    :ivar static_access: that of the static root for the app's user, outside of its service.
    :ivar canary: the answer of ``media_canary``.
    :ivar private_access: what ``path_access_info`` says of the canaries of areas that are not public, for
        Nginx's user; each with its canary as ``item``.
    :ivar static: the answer of ``static_release`` in check mode.
    :ivar site: the answer of ``flask_site_info``.
    :ivar storage: the answer of ``media_storage_info``.
    :ivar responses: the results of ``ansible.builtin.uri``, each with its request as ``item``.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.settings = evidence["settings"]
        self.canary = evidence["canary"]
        self.static = evidence["static"]
        self.storage = evidence["storage"]
        self.responses = evidence["responses"]
        self.site = evidence["site"]
        self.access = {
            self.settings["app"]["user"]: evidence["app_access"],
            self.settings["site"]["nginx_user"]: evidence["nginx_access"],
        }
        self.static_access = evidence.get("static_access") or []
        self.private_access = evidence.get("private_access") or []
        self.findings: list[Finding] = []
        self.checks: list[Check] = []

    def judge(self) -> None:
        """Fill ``checks`` and ``findings``."""
        # First, since it explains much of what follows.
        self._judge_storage()
        self._judge_prefixes()
        self._judge_directories()
        self._judge_upload_folder()
        self._judge_access()
        self._judge_confinement()
        self._judge_published()
        self._judge_survival()
        self._judge_responses()
        self._judge_url_prefix()
        self._judge_site()
        order = list(TITLES)
        self.checks.sort(key=lambda check: order.index(check.id))

    def report(self, host: str, now: datetime.datetime) -> dict[str, t.Any]:
        """Return the report, in the format of schema 1."""
        return {
            "schema": 1,
            "host": host,
            "app": self.settings["app"]["name"],
            "url": self.settings["site"]["url"],
            "ok": all(check.status != "fail" for check in self.checks),
            "generated": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "checks": [
                {**dataclasses.asdict(check), "title": check.title} for check in self.checks
            ],
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
        }

    def _check(self, check_id: str, problems: t.Sequence[str], evidence: str) -> None:
        self.checks.append(
            Check(check_id, "fail" if problems else "pass", "; ".join(problems) or evidence)
        )

    def _skip(self, check_id: str, reason: str) -> None:
        self.checks.append(Check(check_id, "skip", reason))

    def _find(
        self,
        finding_id: str,
        component: str,
        message: str,
        evidence: str,
        fix: str,
        severity: str = "error",
    ) -> None:
        is_known = any(
            (found.id, found.component) == (finding_id, component) for found in self.findings
        )
        if not is_known and not self._is_hidden(component):
            self.findings.append(Finding(finding_id, severity, component, message, evidence, fix))

    def _is_hidden(self, component: str) -> bool:
        """Whether a component is where a mount is gone, which is told of by itself."""
        missing = (found.component for found in self.findings if found.id == "mount-missing")
        return any(contains(path, component) for path in missing)

    @property
    def _is_explained(self) -> bool:
        """Whether a fault has been found already, by which others fail too."""
        return any(found.severity == "error" for found in self.findings)

    def _judge_storage(self) -> None:
        for judgement in _verify_storage.judge(self.settings, self.storage):
            self.checks.append(Check(judgement.check_id, judgement.status, judgement.evidence))
            for found in judgement.findings:
                keys = ("id", "component", "message", "evidence", "fix", "severity")
                self._find(*(found[key] for key in keys))

    @property
    def _mounts(self) -> list[dict[str, t.Any]]:
        return list(self.settings["static"]["mounts"] or [])

    def _judge_prefixes(self) -> None:
        urls = [area["url"] for area in self.settings["media"]["areas"]]
        problems = []
        for mount in self._mounts:
            for media_url in (url for url in urls if overlap(mount["url"], url)):
                problems.append(mount["url"])
                self._find(
                    "static-url-mismatch",
                    mount["url"],
                    f"the static prefix {mount['url']} and the media prefix {media_url} are the same or nested",
                    f"app: {mount['url']}, flask_media_areas: {media_url}",
                    "Give the uploads a prefix of their own, by flask_media_url.",
                )
        shown = ", ".join(mount["url"] for mount in self._mounts) or "no static mount"
        self._check("url-prefixes-differ", problems, f"{shown} and {', '.join(urls)}")

    def _judge_directories(self) -> None:
        directories = self.settings["host"]["directories"]
        static = directories[self.settings["static"]["root"]]["resolved"]
        roots = [directories[root]["resolved"] for root in self.settings["media"]["roots"]]
        problems = []
        for media in (root for root in roots if overlap(static, root)):
            problems.append(f"{static} and {media} are the same or nested")
            self._find(
                "shared-directory",
                media,
                "static and media share a directory",
                problems[-1],
                "Set flask_static_root and flask_media_root to two directories side by side.",
            )
        self._check("directories-differ", problems, f"{static} and {', '.join(roots)}")

    def _judge_upload_folder(self) -> None:
        root = self.settings["media"]["root"]
        answer = self.settings["answer"]
        if not answer.get("asked"):
            reason = (
                answer.get("error")
                or "the app is described by flask_static_mounts and was not asked"
            )
            if answer.get("error"):
                self._check("upload-folder", [f"the app can't be imported: {reason}"], "")
                return
            self._skip("upload-folder", reason)
            return
        folder = answer["config"].get("UPLOAD_FOLDER") or answer["config"].get("MEDIA_ROOT")
        problems = []
        if folder is None:
            problems = ["the app has neither UPLOAD_FOLDER nor MEDIA_ROOT in its config"]
        elif not str(folder).startswith("/"):
            problems = [f"the app's UPLOAD_FOLDER is {folder}, a relative path"]
        elif posixpath.normpath(folder) != posixpath.normpath(root):
            problems = [f"the app writes to {folder}, Nginx serves {root}"]
        if problems:
            relative = folder is not None and not str(folder).startswith("/")
            self._find(
                "upload-folder-relative" if relative else "upload-folder-mismatch",
                f"UPLOAD_FOLDER of {self.settings['app']['callable']}",
                problems[0],
                f"UPLOAD_FOLDER={folder}, flask_media_root={root}",
                "Call app.config.from_prefixed_env() in the app, after its own defaults, and save to "
                'current_app.config["UPLOAD_FOLDER"].',
            )
        self._check("upload-folder", problems, f"the app answers {folder}")

    def _judge_access(self) -> None:
        app_user = self.settings["app"]["user"]
        nginx_user = self.settings["site"]["nginx_user"]
        app_problems = self._access_problems(app_user)
        if not app_problems and not self.canary.get("written"):
            error = self.canary.get("error") or {}
            app_problems = [f"writing failed: {error.get('strerror', 'unknown error')}"]
            reason = str(error.get("reason"))
            is_told = reason == "disk-full" and any(
                (found.id, found.severity) == (reason, "error") for found in self.findings
            )
            if not is_told:
                self._find(
                    reason if reason in ACCESS_FAULTS else "not-writable",
                    self.settings["media"]["root"],
                    f"{app_user} may write there by its modes, and yet can't",
                    app_problems[0],
                    "Look for a read-only mount or a full disk; the app's service must list the media root "
                    "in ReadWritePaths=.",
                )
        self._check(
            "app-writes-media",
            app_problems,
            f"{app_user} wrote {self.canary.get('name')}, {self.canary.get('mode')}",
        )
        nginx_problems = self._access_problems(nginx_user)
        judged = _verify_permissions.Judgement(
            self.settings,
            self.canary,
            self.access[nginx_user],
            self.static_access,
            lambda reason, stop: self._access_fix(reason, stop, nginx_user),
        )
        problems: dict[str, list[str]] = {}
        for fault in judged.faults():
            self._find(*fault[1:])
            problems.setdefault(fault.check, []).append(_verify_permissions.problem(fault))
        nginx_problems += problems.get(_verify_permissions.READS, [])
        paths = self.access[nginx_user]
        samples = [path["samples"] for path in paths if path.get("samples")]
        checked = sum(sample["checked"] for sample in samples)
        partial = [sample["scanned"] for sample in samples if not sample.get("complete", True)]
        of = f" (of {sum(partial)} looked at in time, not of all)"
        self._check(
            "nginx-reads-both",
            nginx_problems,
            f"{nginx_user} reads {', '.join(path['path'] for path in paths)} and {checked} files in them"
            + (of if partial else ""),
        )
        self._check(
            _verify_permissions.MEDIA,
            problems.get(_verify_permissions.MEDIA, []),
            f"nobody but {app_user} can write what was looked at, and none of it can be run",
        )
        self._check(
            _verify_permissions.STATIC,
            problems.get(_verify_permissions.STATIC, []),
            f"neither {app_user} nor {nginx_user} can write {self.settings['static']['root']}",
        )

    def _judge_confinement(self) -> None:
        verdict = _verify_confinement.judge(self.settings)
        self.checks.append(Check("nginx-confined", verdict.status, verdict.evidence))
        if verdict.finding:
            severity = "error" if verdict.status == "fail" else "warning"
            self.findings.append(
                Finding(
                    verdict.finding,
                    severity,
                    verdict.component,
                    verdict.message,
                    verdict.evidence,
                    verdict.fix,
                )
            )

    def _access_problems(self, user: str) -> list[str]:
        problems = []
        for answer in self.access[user]:
            if not answer["allowed"]:
                # What stops a user here stops them at every file below, too.
                problems.append(self._blocked(user, answer))
        return problems

    def _blocked(self, user: str, answer: Evidence) -> str:
        stop = answer["blocked_by"] or {"component": answer["path"], "reason": "not-readable"}
        component, reason = stop["component"], stop["reason"]
        media_roots = self.settings["media"]["roots"]
        shown = " ".join(
            str(part)
            for part in (stop.get("mode"), f"{stop.get('owner')}:{stop.get('group')}")
            if part and part != "None:None"
        )
        finding = reason
        message = ACCESS_FAULTS.get(reason, reason).format(user=user)
        if reason == "missing":
            of_media = any(contains(component, root) for root in media_roots)
            finding = "media-missing" if of_media else "static-missing"
        elif component in media_roots and stop.get("owner") != self.settings["app"]["user"]:
            # Whoever is stopped here, this is why.
            finding = "owner-id-mismatch"
            message = (
                f"it is {stop.get('owner')}'s, and the app runs as {self.settings['app']['user']}"
            )
        self._find(
            finding,
            component,
            message,
            f"{component} {shown}".strip(),
            self._access_fix(reason, stop, user),
        )
        return f"{component} ({shown or reason}): {message}"

    def _access_fix(self, reason: str, stop: Evidence, user: str) -> str:
        component = stop["component"]
        owned = (
            self.settings["static"]["root"],
            *self.settings["media"]["roots"],
            *self.settings["parents"],
        )
        if component in owned:
            return "Run the site playbook again: it sets owner, group and mode of that directory."
        if reason in ("not-traversable", "not-readable"):
            return f"Let {user} in, and nobody else: {self._grant(reason, stop, user)}"
        fixes = {
            "missing": "Run the site playbook again: it makes what is missing.",
            "not-a-directory": "Move it away, and run the site playbook again.",
            "disk-full": "Make room, and keep uploads on a volume of their own.",
            "read-only-filesystem": "Mount it writable, if it is meant to hold uploads.",
            "selinux-label": f"Set the label that the policy has for it: restorecon -v {shlex.quote(component)}",
            "symlink-blocked": "Replace the link by the directory, or make the link its owner's.",
            "acl-mask": f"Look at getfacl {shlex.quote(component)}: take from the other entries what only the mask "
            f"holds back, then raise the mask as far as the entry of {user}.",
        }
        return fixes.get(
            reason, f"See to it that {user} gets there by its group; never by mode 777."
        )

    def _grant(self, reason: str, stop: Evidence, user: str) -> str:
        """Return the command that lets one user in. A mode would let in a group, or everybody."""
        permission = "x" if reason == "not-traversable" else "r"
        # By itself setfacl widens the mask for all other entries too, where there are some.
        option = "--no-mask " if stop.get("acl") else ""
        return f"setfacl {option}-m u:{user}:{permission} {shlex.quote(stop['component'])}"

    def _judge_published(self) -> None:
        """Compare what is published with what the app has, as check mode found it."""
        static, root = self.static, self.settings["static"]["root"]
        if self.settings["answer"].get("error"):
            self._skip("static-published", "the app can't be imported, so its files are not known")
            return
        problems = self._unpublished()
        if problems:
            self._find(
                "static-missing",
                root,
                "what is published is not what the app has",
                "; ".join(problems),
                "Run the site playbook again: it publishes what the app in use has.",
            )
        for path in static.get("paths", {}).get("removed", []):
            is_sibling = path.endswith((".gz", ".br"))
            problem = f"{path} would be removed"
            problems.append(problem)
            self._find(
                "precompressed-stale" if is_sibling else "alias-wrong-path",
                posixpath.join(root, path),
                "Nginx sends it in the place of the file that it was once made of"
                if is_sibling
                else "Nginx finds it first, and the app has another file of that URL",
                problem,
                "Run the site playbook again: it removes it.",
            )
        mended = static.get("mended")
        self._check(
            "static-published",
            problems,
            f"all {static.get('unchanged')} as the app has them, by size and time"
            + (f"; of {mended} owner, mode or time differ" if mended else ""),
        )

    def _unpublished(self) -> list[str]:
        static = self.static
        if "added" not in static:
            return [f"they can't be compared: {static.get('msg', 'unknown error')}"]
        problems = []
        if static["unknown"]:
            problems.append(f"the folders of {', '.join(static['unknown'])} are not known")
        for kind, what in (("added", "not published"), ("replaced", "other than the app's")):
            if static[kind]:
                shown = ", ".join(static["paths"][kind][:3])
                more = ", …" if static[kind] > 3 else ""
                problems.append(f"{static[kind]} {what}: {shown}{more}")
        return problems

    def _judge_survival(self) -> None:
        directories = self.settings["host"]["directories"]
        container = self.settings["host"].get("container")
        problems: list[str] = []
        for media in self.settings["media"]["roots"]:
            problems += self._replaced(media, directories[media])
            resolved = directories[media]["resolved"]
            if container and not _docker.keeps(container["mounts"], {media, resolved}):
                problems.append(self._ephemeral(media, container))
        self._check(
            "uploads-survive-redeploy",
            problems,
            f"{', '.join(directories[media]['resolved'] for media in self.settings['media']['roots'])}: outside "
            f"{self.settings['app']['root']}, every virtualenv and checkout"
            + (f", and mounted into {container['name']}" if container else ""),
        )

    def _replaced(self, media: str, facts: Evidence) -> list[str]:
        problems = [
            f"{media} lies in {path}"
            for path in (self.settings["app"]["root"], facts["virtualenv"], facts["checkout"])
            if path and contains(path, facts["resolved"])
        ]
        for problem in problems:
            self._find(
                "media-in-release",
                media,
                "a deploy replaces what the uploads lie in",
                problem,
                "Set flask_media_root to a directory of its own, and move the uploads there.",
            )
        return problems

    def _ephemeral(self, media: str, container: Evidence) -> str:
        name = container["name"]
        problem = f"the container {name} has not mounted {media}"
        self._find(
            "media-ephemeral",
            name,
            "uploads are in the container's own layer: they vanish with it, and Nginx does not see them",
            f"{problem}; mounted are {', '.join(mount['target'] for mount in container['mounts']) or 'none'}",
            f"Copy them out (docker cp --archive {name}:{media}/. {media}), then run the app with that "
            "directory mounted; the site playbook does so with flask_app_runtime=compose.",
        )
        return problem

    def _judge_responses(self) -> None:
        answers: dict[str, list[_Answer]] = {}
        for result in self.responses:
            answers.setdefault(result["item"]["kind"], []).append(_Answer(result))
        files = answers.get("static", []) + answers.get("media", [])
        if not files:
            for check_id in ("served-by-nginx", "direct-requests"):
                self._check(check_id, ["there is no known file to ask for"], "")
        else:
            self._judge_files(files)
        self._judge_each(
            "missing-is-404",
            answers.get("absent", []),
            lambda answer: answer.status == 404 and not answer.by_app,
            "served-by-app",
            "a request for a file that isn't there reaches the app",
            "Give the location try_files $uri =404, as the site playbook does.",
        )
        self._judge_each(
            "no-listing",
            answers.get("directory", []),
            lambda answer: answer.status in (403, 404),
            "directory-listing",
            "the directory answers by itself",
            "Take autoindex and index out of the location, as the site playbook does.",
        )
        if self.settings["media"].get("domain"):
            self._check(
                "media-domain", *_verify_tls.judge_media_domain(self.settings, answers, self._find)
            )
        self._judge_private([*answers.get("private", []), *answers.get("internal", [])])
        if self.settings["site"]["proxy"]:
            self._judge_app(answers.get("app", []), answers.get("direct", []))

    def _judge_private(self, answers: list[_Answer]) -> None:
        if not _verify_private.areas(self.settings):
            return
        problems, faults, unproven, shown = _verify_private.judge(
            self.settings, self.private_access, answers
        )
        for fault in faults:
            self._find(*fault)
        for answer in answers:
            if answer.status < 0:
                self._find_misrouted(answer)
        if unproven and not problems:
            self._skip("private-media-closed", "; ".join(unproven))
        else:
            self._check("private-media-closed", problems, shown)

    def _judge_app(self, through_nginx: list[_Answer], direct: list[_Answer]) -> None:
        """Judge that the answer through Nginx is the one that the app itself gives."""
        name, bind = self.settings["app"]["name"], self.settings["app"]["bind"]
        explained = self._is_explained
        problems = []
        if not through_nginx or not direct:
            problems.append("the app was not asked")
        for answer in through_nginx:
            if answer.status < 0:
                problems.append(str(answer))
                self._find_misrouted(answer)
                continue
            broken = [one for one in (answer, *direct) if not 200 <= one.status < 500]
            if broken:
                problems.append(", ".join(map(str, broken)))
                if not explained:
                    own = broken[-1].kind == "direct"
                    self._find(
                        "app-not-answering",
                        bind if own else answer.path,
                        "the app fails" if own else "the app behind Nginx fails",
                        str(broken[-1]),
                        f"Read the log of the service {name}.",
                    )
                continue
            difference = _difference(answer, direct) if direct else None
            if difference:
                problems.append(f"{answer}, but not of the app: {difference}")
                if not explained:
                    self._find(
                        "location-shadowed",
                        answer.path,
                        f"somebody else than {name} answers behind Nginx",
                        difference,
                        "Look for another server block or location of that name, and for what else "
                        f"listens at {bind}.",
                    )
        shown = ", ".join(map(str, through_nginx))
        self._check("app-answers", problems, f"{shown}, as the app itself at {bind} answers")

    def _judge_site(self) -> None:
        """Judge names, certificate and body limits, unless it isn't the site that answers."""
        not_the_site = ("nginx-not-serving", "location-missing", "location-shadowed")
        is_there = not any(found.id in not_the_site for found in self.findings)
        find = self._find if is_there else _ignore
        if self.settings["site"].get("tls"):
            self._check(
                "certificate",
                *_verify_tls.judge_handshakes(self.settings, self.site["handshakes"], find),
            )
        problems, evidence = _verify_limits.judge(self.settings, self.site["bodies"], find)
        if problems or evidence:
            self._check("body-limits", problems, evidence or "")
        elif self.settings["site"]["body_probes"]:
            self._skip("body-limits", "it answers without asking for a body")

    def _judge_url_prefix(self) -> None:
        prefix = self.settings["site"]["url_prefix"]
        heeds = self.settings["answer"].get("heeds_forwarded_prefix")
        if prefix == "/":
            return
        if heeds is None:
            self._skip("prefix-heeded", "the app was not asked")
            return
        problems = [] if heeds else ["the app does not heed X-Forwarded-Prefix"]
        for problem in problems:
            self._find(
                "proxy-prefix-lost",
                self.settings["app"]["callable"],
                f"{problem}, so its links lead out of {prefix}",
                "told X-Forwarded-Prefix, url_for() makes links without it",
                "Wrap the app: app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1).",
            )
        self._check("prefix-heeded", problems, f"told {prefix}, the app puts it before its links")

    def _judge_files(self, files: list[_Answer]) -> None:
        self._check(
            "direct-requests",
            [str(answer) for answer in files if answer.status != 200],
            f"{len(files)} of {len(files)}: " + ", ".join(answer.path for answer in files),
        )
        wrong = [answer for answer in files if not self._is_right(answer)]
        self._check(
            "served-by-nginx",
            [f"{answer} {answer.served_by}" for answer in wrong],
            f"{files[-1]}, ETag {files[-1].etag}; {len(files)} of {len(files)} with the bytes of the file",
        )
        explained = self._is_explained
        for answer in wrong:
            if not explained or answer.by_app:
                self._find_misrouted(answer)

    def _is_right(self, answer: _Answer) -> bool:
        if not answer.by_nginx or answer.size != answer.expected_size:
            return False
        if answer.kind == "media":
            return bool(answer.content == self.canary.get("content"))
        if answer.sha256 is not None:
            return answer.sha256 == str(answer.expected["sha256"])
        # Of a published file, the time follows from the content.
        return answer.etag.removeprefix("W/") == str(answer.expected["etag"])

    def _find_misrouted(self, answer: _Answer) -> None:
        site = self.settings["site"]
        if answer.status < 0:
            self._find(
                "nginx-not-serving",
                f"port {site['port']}",
                "Nginx doesn't answer",
                answer.message,
                "Start Nginx, and read its error log if it won't start.",
            )
        elif answer.by_app:
            self._find(
                "served-by-app",
                answer.path,
                "the app serves this file, not Nginx",
                f"ETag {answer.etag}",
                f"Run the site playbook, or include {site['include_file']} in your server block.",
            )
        elif answer.status == 200:
            self._find(
                "alias-wrong-path",
                answer.path,
                "Nginx serves another file than the app's",
                f"{answer.size} bytes, {answer.expected_size} expected"
                if answer.size != answer.expected_size
                else f"{answer.size} bytes as expected, but others",
                "Run the site playbook, and look for another server block or location of that name.",
            )
        else:
            self._find(
                "location-missing",
                answer.path,
                f"Nginx answers {answer.status} for a file that is there",
                str(answer),
                "Run the site playbook; with flask_site_mode=include, see to it that your server block "
                f"includes {site['include_file']}.",
            )

    def _judge_each(
        self,
        check_id: str,
        answers: list[_Answer],
        holds: t.Callable[[_Answer], bool],
        finding_id: str,
        message: str,
        fix: str,
    ) -> None:
        wrong = [answer for answer in answers if not holds(answer)]
        # An app whose media is out of reach fails for that reason.
        is_explained = self._is_explained and finding_id == "app-not-answering"
        for answer in wrong:
            if answer.status < 0:
                self._find_misrouted(answer)
            elif not is_explained:
                self._find(finding_id, answer.path, message, str(answer), fix)
        if answers:
            self._check(check_id, [str(a) for a in wrong], ", ".join(map(str, answers)))
        else:
            self._skip(check_id, "nothing to ask for")


def _ignore(*_unused: str) -> None:
    """Find nothing: what is wrong has been found already."""


class _Answer:
    """One response, and what can be told from it."""

    def __init__(self, result: Evidence) -> None:
        self.kind: str = result["item"]["kind"]
        self.path: str = result["item"]["path"]
        self.expected: Evidence = result["item"]
        self.expected_size: int | None = result["item"].get("size")
        self.status: int = int(result.get("status", -1))
        self.message: str = str(result.get("msg", ""))
        self.etag: str = str(result.get("etag", ""))
        self.content: str | None = result.get("content")
        length = result.get("content_length")
        self.size: int | None = int(length) if length is not None else None
        self.location: str = str(result.get("location", ""))
        self.content_type, _unused, parameters = str(result.get("content_type", "")).partition(";")
        charset = re.search(r"charset=\"?([\w-]+)", parameters, re.IGNORECASE)
        self._charset = charset[1] if charset else "utf-8"
        self._disposition = str(result.get("content_disposition", ""))

    @property
    def sha256(self) -> str | None:
        """Of the bytes sent; ``None`` for what is no text, which ``uri`` returns with losses."""
        if self.content is None or "\ufffd" in self.content:
            return None
        try:
            return hashlib.sha256(self.content.encode(self._charset)).hexdigest()
        except (UnicodeEncodeError, LookupError):
            return None

    @property
    def words(self) -> set[str]:
        """The words of the page, tags and their attributes included."""
        return set(re.findall(r"\w+", self.content or ""))

    @property
    def by_nginx(self) -> bool:
        """Whether Nginx itself sent this file."""
        return self.status == 200 and bool(NGINX_ETAG.match(self.etag))

    @property
    def by_app(self) -> bool:
        """Whether Flask sent it: its ETag, or its own 404 page, which carries a doctype."""
        if WERKZEUG_ETAG.match(self.etag) or self._disposition.startswith("inline; filename"):
            return True
        body = (self.content or "").lstrip().lower()
        return self.status == 404 and "nginx" not in body and body.startswith("<!doctype")

    @property
    def served_by(self) -> str:
        """Who answered, in words."""
        return "by the app" if self.by_app else "by Nginx" if self.by_nginx else "by nobody known"

    def __str__(self) -> str:
        of = " of the app itself" if self.kind == "direct" else ""
        return f"GET {self.path}{of} {self.status if self.status > 0 else 'no answer'}"


def _difference(answer: _Answer, direct: t.Sequence[_Answer]) -> str | None:
    """Return by what an answer is none of the app's, whose own answers are ``direct``.

    Only what all of those have in common counts.
    """
    for what in ("status", "content_type", "location"):
        own = [getattr(one, what) for one in direct]
        if getattr(answer, what) not in own:
            return f"{what} {getattr(answer, what) or None!r}, of the app itself {own[0]!r}"
    stable = set.intersection(*(one.words for one in direct))
    same = stable & answer.words
    if len(same) < SAME_WORDS_SHARE * len(stable):
        return f"the page has {len(same)} of the {len(stable)} words of the app's own"
    return None
