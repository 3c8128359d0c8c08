# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""What a diagnosis has looked at: a check fails by its findings, and passes only where it could be asked."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _diagnosis_case
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._diagnosis_case import Case
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import Findings

NO_APP = "the app could not be asked"
NO_SERVER = "no server block leads to the app"
NO_CONFIG = "Nginx's configuration could not be read"
NO_CANARY = "nothing could be placed among the uploads"
NO_UPLOADS = "neither the app nor Nginx tells where uploads are"


@dataclasses.dataclass(frozen=True)
class Check:
    """A theme, and the findings that fail it.

    :ivar unseen: returns why it could not be looked at, or ``None``.
    :ivar evidence: returns what was seen where all is well.
    """

    id: str
    title: str
    findings: tuple[str, ...]
    unseen: t.Callable[[Case], str | None]
    evidence: t.Callable[[Case], str]


def checks(case: Case, findings: Findings) -> list[dict[str, t.Any]]:
    """Return the checks of a report.

    One that fails names its findings, by their places in the report: a warning fails it too, but no play.
    """
    order = findings.sorted()
    told: list[dict[str, t.Any]] = []
    for check in CHECKS:
        found = [n for n, finding in enumerate(order) if finding.id in check.findings]
        # Which checks a judge that failed had a say in isn't known: none passes.
        reason = check.unseen(case) or (case.failed[0] if case.failed else None)
        if found:
            status = "fail"
            evidence = "; ".join(f"{order[n].id}: {order[n].component}" for n in found)
        elif reason is not None:
            status, evidence = "skip", reason
        else:
            status, evidence = "pass", check.evidence(case)
        shown = {"id": check.id, "title": check.title, "status": status, "evidence": evidence}
        told.append({**shown, "findings": found} if found else shown)
    return told


def _config(case: Case) -> str | None:
    if not case.nginx.get("running"):
        return "Nginx does not run"
    if case.silence:
        return f"Nginx did not answer: {case.silence}"
    return NO_CONFIG if case.config is None else NO_SERVER if case.server is None else None


def _tested(case: Case) -> str | None:
    if not case.nginx.get("running"):
        return "Nginx does not run"
    return (
        None
        if case.nginx.get("test")
        else "Nginx could not be asked for a test of its configuration"
    )


def _app(case: Case) -> str | None:
    return _config(case) or (None if case.app is not None else NO_APP)


def _asked(case: Case) -> str | None:
    return _config(case) or (None if case.response("core.app") else "Nginx was not asked")


def _static(case: Case) -> str | None:
    reason = _app(case)
    if reason is None and not any(case.response(mount.key) for mount in case.static):
        return "the app has no static file to ask for"
    return reason


def _uploads(case: Case) -> str | None:
    return NO_UPLOADS if case.media_root is None and not case.uploads else None


def _canary(case: Case) -> str | None:
    if reason := _uploads(case):
        return reason
    return None if case.answer(_diagnosis_case.CANARY) else NO_CANARY


def _uploads_served(case: Case) -> str | None:
    if reason := _config(case) or _canary(case):
        return reason
    if case.response("core.media"):
        return None
    return NO_CANARY if case.media_url else "no URL of uploads is known"


def _worker(case: Case) -> str | None:
    if reason := _config(case):
        return reason
    return (
        None
        if case.nginx.get("worker_uid") is not None
        else "whom Nginx's workers run as is not known"
    )


def _reads(case: Case) -> str | None:
    if reason := _worker(case):
        return reason
    is_known = case.media_directory or _static_shown(case)
    return None if is_known else "neither static files nor uploads are known"


def _storage(case: Case) -> str | None:
    return _uploads(case)


def _shown(case: Case, *keys: str) -> str:
    return ", ".join(str(each) for each in map(case.response, keys) if each)


def _static_shown(case: Case) -> str:
    return _shown(case, *(mount.key for mount in case.static))


def _canary_shown(case: Case) -> str:
    canary = case.answer(_diagnosis_case.CANARY) or {}
    return f"wrote {canary.get('path')}, {canary.get('owner')} {canary.get('mode')}"


def _users(case: Case) -> str:
    return (
        f"asked as {case.nginx.get('worker_user')}: {case.media_directory or _static_shown(case)}"
    )


def _location(case: Case) -> str:
    listed = ", ".join(f"{each.url} from {each.directory}" for each in case.files_locations)
    return listed or "no prefix location serves files of its own"


CHECKS: t.Sequence[Check] = (
    Check(
        "nginx-loaded",
        "Nginx runs with the configuration that is on disk",
        ("nginx-not-serving", "nginx-config-invalid", "nginx-reload-pending"),
        _tested,
        lambda case: f"{case.nginx.get('conf_file')}, loaded {case.nginx.get('loaded')}",
    ),
    Check(
        "app-answers",
        "The app answers behind Nginx, by its name",
        ("server-name-mismatch", "app-not-answering"),
        _asked,
        lambda case: _shown(case, "core.app"),
    ),
    Check(
        "static-by-nginx",
        "Nginx serves the app's static files, under the app's own URLs",
        (
            "alias-wrong-path",
            "blueprint-static-unreachable",
            "location-missing",
            "location-shadowed",
            "regex-alias",
            "relative-path",
            "root-doubled",
            "served-by-app",
            "static-missing",
            "static-url-mismatch",
            "volume-hides-static",
        ),
        _static,
        _static_shown,
    ),
    Check(
        "uploads-served",
        "What the app saves is what Nginx serves",
        (
            "location-swallows-endpoint",
            "media-missing",
            "upload-folder-mismatch",
            "upload-folder-relative",
        ),
        _uploads_served,
        lambda case: _shown(case, "core.media"),
    ),
    Check(
        "uploads-survive-redeploy",
        "Uploads are out of reach of a redeploy",
        ("media-ephemeral", "media-in-release", "mount-missing", "shared-directory"),
        _uploads,
        lambda case: str(case.media_root),
    ),
    Check(
        "room",
        "There is room for uploads",
        ("disk-full",),
        _storage,
        lambda case: str(case.media_root),
    ),
    Check(
        "nginx-reads-both",
        "Nginx can read both",
        (
            "acl-mask",
            "not-readable",
            "not-traversable",
            "selinux-label",
            "symlink-blocked",
            "umask-too-tight",
        ),
        _reads,
        _users,
    ),
    Check(
        "app-writes-media",
        "The app's process can write media",
        ("not-writable", "owner-id-mismatch", "read-only-filesystem"),
        _canary,
        _canary_shown,
    ),
    Check(
        "least-privilege",
        "Nobody can write or run what is not theirs to",
        (
            "media-executable",
            "media-world-writable",
            "media-writable-by-nginx",
            "static-writable-by-app",
            "static-writable-by-nginx",
        ),
        lambda case: _worker(case) or _uploads(case),
        lambda case: str(case.media_root),
    ),
    Check(
        "nothing-exposed",
        "Nothing else is served: no directory, no dotfile, no code, nothing private",
        (
            "accel-not-internal",
            "alias-sibling-leak",
            "alias-traversal",
            "auth-bypassed",
            "dav-on-media",
            "directory-listing",
            "dotfile-exposed",
            "project-root-exposed",
        ),
        _asked,
        _location,
    ),
    Check(
        "body-limits",
        "Nginx takes bodies as large as the app takes",
        (
            "body-limit-app",
            "body-limit-nginx",
            "body-limit-unordered",
            "body-temp-unwritable",
            "config-type",
        ),
        _app,
        lambda case: (
            f"MAX_CONTENT_LENGTH {((case.app or {}).get('config') or {}).get('MAX_CONTENT_LENGTH')}"
        ),
    ),
    Check(
        "caching",
        "Browsers keep what they may keep, and nothing else",
        (
            "cache-control-duplicate",
            "error-cacheable",
            "immutable-unversioned",
            "precompressed-stale",
        ),
        _static,
        _static_shown,
    ),
    Check(
        "headers",
        "Types and headers arrive",
        ("headers-dropped", "mime-type-missing", "types-replaced"),
        _static,
        _static_shown,
    ),
    Check(
        "inert-uploads",
        "An upload does nothing in a browser",
        ("active-media", "disposition-on-304", "pdf-sandboxed"),
        _uploads_served,
        lambda case: _shown(case, "core.media"),
    ),
    Check(
        "proxy",
        "The app knows how it is asked, and hands files over safely",
        (
            "accel-content-type",
            "proxy-prefix-doubled",
            "proxy-prefix-lost",
            "scheme-not-forwarded",
            "sendfile-header",
        ),
        _app,
        lambda case: _shown(case, "core.app"),
    ),
)
