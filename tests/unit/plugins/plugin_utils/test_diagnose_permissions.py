from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _diagnose_permissions,
    _diagnose_storage,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import Finding

from tests.unit import diagnosis

MEDIA = "/var/www/gallery/media"
STATIC = "/var/www/gallery/static"
Answers = dict[str, t.Any]


def access(path: str, stop: Answers | None = None, **changes: t.Any) -> Answers:
    return {
        "path": path,
        "allowed": stop is None,
        "blocked_by": stop,
        "granted": [],
        "mode": "2750",
        "uid": 999,
        "gid": 33,
        "owner": "gallery",
        "group": "www-data",
        "components": [],
        **changes,
    }


def stop(
    component: str, reason: str, mode: str = "0700", uid: int = 0, gid: int = 0, **changes: t.Any
) -> Answers:
    return {
        "component": component,
        "reason": reason,
        "mode": mode,
        "uid": uid,
        "gid": gid,
        "owner": {0: "root", 999: "gallery", 33: "www-data"}.get(uid, str(uid)),
        "group": {0: "root", 999: "gallery", 33: "www-data"}.get(gid, str(gid)),
        "is_directory": True,
        "acl": [],
        "acl_mask": None,
        **changes,
    }


def samples(*unreadable: Answers, checked: int = 10, granted: t.Sequence[Answers] = ()) -> Answers:
    return {
        "checked": checked,
        "unreadable": [{"path": each["component"], **each} for each in unreadable],
        "unreadable_count": len(unreadable),
        "granted": [{"path": each["component"], **each} for each in granted],
        "granted_count": len(granted),
        "looks": [],
    }


def file(
    name: str, mode: str = "0600", uid: int = 999, gid: int = 33, reason: str = "not-readable"
) -> Answers:
    return stop(f"{MEDIA}/{name}", reason, mode, uid, gid, is_directory=False)


def healthy(**more: t.Any) -> Answers:
    name = diagnosis.CANARY
    return {
        "core.app": diagnosis.response("/", 200),
        "core.upload.0.directory": {
            "path": MEDIA,
            "exists": True,
            "realpath": MEDIA,
            "mode": "2750",
        },
        "core.upload.path": access(MEDIA),
        "core.canary": {"written": True, "name": name, "umask": "0027", "error": None},
        "core.media": diagnosis.response(f"/media/{name}", 200, ("ETag", '"6b0bee9d-1e"')),
        "core.media.path": access(MEDIA, samples=samples()),
        "core.media.tree": {
            "path": MEDIA,
            "files": 2,
            "entries": [],
            "executable": [],
            "world_writable": [],
            "counts": {"executable": 0, "world_writable": 0},
        },
        "permissions.location.0": access(STATIC, mode="0755", samples=samples()),
        "permissions.location.0.app": access(STATIC, mode="0755", samples=samples()),
        "permissions.canary": access(f"{MEDIA}/{name}"),
        **more,
    }


def findings(answers: Answers, **changes: t.Any) -> list[Finding]:
    return diagnosis.found(diagnosis.case(answers=answers, **changes), _diagnose_permissions)


def found(answers: Answers, **changes: t.Any) -> list[tuple[str, str]]:
    return [(one.id, one.component) for one in findings(answers, **changes)]


def unwritten(facts: Answers, errno: str = "EACCES") -> Answers:
    """What is answered where the app can't write."""
    error = {
        "errno": errno,
        "strerror": "Permission denied",
        "reason": facts["reason"],
        "component": facts["component"],
    }
    return {
        "core.upload.path": access(MEDIA, facts),
        "core.canary": {"written": False, "error": error},
        "core.media": diagnosis.response("/media/x", 404),
        "permissions.canary": {"unseen": "no canary"},
    }


def test_healthy_host_has_no_finding() -> None:
    assert findings(healthy()) == []


def test_without_a_worker_nothing_is_asked() -> None:
    made = diagnosis.case(nginx={"worker_uid": None})
    assert list(_diagnose_permissions.questions(made)) == []


# On the way


def test_parent_that_stops_both_is_one_fault() -> None:
    closed = stop("/var/www", "not-traversable")
    one = findings(
        healthy(
            **unwritten(closed),
            **{
                "core.media.path": access(MEDIA, closed),
                "permissions.location.0": access(STATIC, closed),
            },
        )
    )
    assert [(each.id, each.component) for each in one] == [("not-traversable", "/var/www")]
    assert "gallery and www-data" in one[0].message
    assert "setfacl -m u:www-data:x /var/www" in one[0].fix and "chmod" not in one[0].fix


def test_group_that_nginx_is_not_in_is_one_fault() -> None:
    media = stop(MEDIA, "not-traversable", "2750", 999, 997)
    socket = stop("/run/gallery", "not-traversable", "0750", 999, 997)
    answers = healthy(
        **{
            "core.media.path": access(MEDIA, media),
            "core.socket": access("/run/gallery/gallery.sock", socket),
        }
    )
    one = findings(answers)
    assert [(each.id, each.component) for each in one] == [("not-traversable", MEDIA)]
    assert "/run/gallery" in one[0].evidence


def test_nginx_older_than_its_group() -> None:
    media = stop(MEDIA, "not-traversable", "2750", 999, 997)
    answers = healthy(
        **{"core.media.path": access(MEDIA, media), "permissions.media.by-name": access(MEDIA)}
    )
    assert "systemctl reload nginx" in findings(answers)[0].fix


def test_what_is_missing_is_told_elsewhere() -> None:
    gone = stop(MEDIA, "missing", "")
    assert findings(healthy(**unwritten(gone), **{"core.media.path": access(MEDIA, gone)})) == []


@pytest.mark.parametrize("reason", ["acl-mask", "selinux-label"])
def test_reasons_of_the_kernel(reason: str) -> None:
    media = stop(MEDIA, reason, acl=["user::rwx", "user:www-data:r-x", "mask::---"], acl_mask="---")
    one = findings(healthy(**{"core.media.path": access(MEDIA, media)}))
    assert [(each.id, each.component) for each in one] == [(reason, MEDIA)]
    assert ("restorecon" if reason == "selinux-label" else "getfacl") in one[0].fix


def test_label_is_shown() -> None:
    media = stop(MEDIA, "selinux-label", "0755")
    components = [{"path": MEDIA, "label": "unconfined_u:object_r:tmp_t:s0"}]
    answers = healthy(**{"core.media.path": access(MEDIA, media, components=components)})
    one = findings(answers, nginx={"selinux": "enforcing"})[0]
    assert "tmp_t" in one.evidence and "enforcing" in one.evidence
    assert "setenforce" not in one.fix


# Writing


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (stop(MEDIA, "not-writable", "2550", 999, 33), "not-writable"),
        (stop(MEDIA, "not-writable", "2750", 0, 0), "owner-id-mismatch"),
        (stop(MEDIA, "not-writable", "2750", 1234, 33), "owner-id-mismatch"),
        # The group is the app's own, and has no w.
        (stop(MEDIA, "not-writable", "2570", 1234, 33), "not-writable"),
        (stop("/var/www", "not-traversable", "0700", 1234, 33), "not-traversable"),
    ],
)
def test_app_that_cannot_write(facts: Answers, expected: str) -> None:
    assert found(healthy(**unwritten(facts))) == [(expected, facts["component"])]


def test_written_canary_wins_over_modes() -> None:
    facts = stop(MEDIA, "not-writable", "2550", 0, 0)
    assert found(healthy(**{"core.upload.path": access(MEDIA, facts)})) == []


def test_container_is_told_of_by_the_hosts_paths_and_ids() -> None:
    mounts = [
        {"type": "bind", "source": MEDIA, "target": "/app/media", "name": None, "read_write": True}
    ]
    process = {
        "container": {"name": "app", "mounts": mounts, "ports": []},
        "uid": 1001,
        "gid": 1001,
        "groups": [1001],
    }
    facts = stop("/app/media", "not-writable", "2750", 1000, 33)
    one = findings(
        healthy(**unwritten(facts)),
        process=process,
        app=diagnosis.config(UPLOAD_FOLDER="/app/media"),
    )
    assert [(each.id, each.component) for each in one] == [("owner-id-mismatch", MEDIA)]
    assert 'user: "1000:33"' in one[0].fix and "--from=1000 1001" in one[0].fix


READ_ONLY = stop(MEDIA, "read-only-filesystem", "2750", 999, 33)


@pytest.mark.parametrize(
    ("host", "process", "component"),
    [
        ({"read_only": False}, {"unit_properties": {"ProtectSystem": "strict"}}, "gallery.service"),
        ({"read_only": True, "mount_point": MEDIA}, {}, MEDIA),
        ({"read_only": True, "mount_point": MEDIA}, {"unit": None}, MEDIA),
    ],
)
def test_read_only(host: Answers, process: Answers, component: str) -> None:
    answers = healthy(**unwritten(READ_ONLY, "EROFS"), **{"storage.upload.0": host})
    assert found(answers, process=process) == [("read-only-filesystem", component)]


# New files


def closed_canary(mode: str, uid: int = 999, gid: int = 33) -> Answers:
    path = f"{MEDIA}/{diagnosis.CANARY}"
    return {
        "permissions.canary": access(
            path, stop(path, "not-readable", mode, uid, gid, is_directory=False)
        ),
        "core.media": diagnosis.response(f"/media/{diagnosis.CANARY}", 403),
    }


def canary(umask: str) -> Answers:
    return {
        "core.canary": {"written": True, "name": diagnosis.CANARY, "umask": umask, "error": None}
    }


@pytest.mark.parametrize(
    ("process", "component"),
    [
        ({}, "gallery.service"),
        ({"unit": None}, "process 20"),
    ],
)
def test_umask(process: Answers, component: str) -> None:
    old = samples(file("a.png"), file("b.png"))
    answers = healthy(
        **closed_canary("0600"), **canary("0077"), **{"core.media.path": access(MEDIA, samples=old)}
    )
    one = findings(answers, process=process)
    assert [(each.id, each.component) for each in one] == [("umask-too-tight", component)]
    assert "UMask=0027" in one[0].fix


def test_umask_where_all_may_read() -> None:
    media = access(MEDIA, mode="0755", gid=999, samples=samples())
    answers = healthy(
        **closed_canary("0640", gid=999), **canary("0027"), **{"core.media.path": media}
    )
    one = findings(answers)
    assert [(each.id, each.component) for each in one] == [("umask-too-tight", "gallery.service")]
    assert "UMask=0022" in one[0].fix


def test_new_files_of_another_group() -> None:
    answers = healthy(**closed_canary("0640", gid=999), **canary("0027"))
    assert found(answers) == [("not-readable", MEDIA)]


def test_canary_that_nginx_has_sent_is_proof() -> None:
    sent = diagnosis.response("/media/x", 200, ("ETag", '"6b0bee9d-1e"'))
    assert found(healthy(**{**closed_canary("0600"), "core.media": sent}, **canary("0077"))) == []


# Files that are there


@pytest.mark.parametrize(
    ("unreadable", "expected"),
    [
        ([file("a.png")], [("not-readable", f"{MEDIA}/a.png")]),
        ([file("a.png"), file("b.png")], [("not-readable", f"{MEDIA}/a.png")]),
        ([file("a.png", "0640", 0, 0)], [("not-readable", f"{MEDIA}/a.png")]),
        ([file("a.png", "0600", 1234)], [("owner-id-mismatch", f"{MEDIA}/a.png")]),
        ([file("a.png", reason="acl-mask")], [("acl-mask", f"{MEDIA}/a.png")]),
        ([file("gone.png", reason="missing")], []),
        (
            [stop(f"{MEDIA}/2026", "not-traversable", "2700", 999, 33), file("a.png")],
            [("not-traversable", f"{MEDIA}/2026"), ("not-readable", f"{MEDIA}/a.png")],
        ),
    ],
)
def test_unreadable_uploads(unreadable: list[Answers], expected: list[tuple[str, str]]) -> None:
    assert (
        found(healthy(**{"core.media.path": access(MEDIA, samples=samples(*unreadable))}))
        == expected
    )


def test_all_unreadable_is_told_of_their_directory() -> None:
    files = [
        stop(f"{STATIC}/{n}.css", "not-readable", "0600", is_directory=False) for n in range(3)
    ]
    answers = healthy(
        **{"permissions.location.0": access(STATIC, samples=samples(*files, checked=3))}
    )
    assert found(answers) == [("not-readable", STATIC)]


def test_suspects_are_asked_for_and_their_answer_wins() -> None:
    entries = [
        {"path": f"{MEDIA}/a.png", "type": "file", "mode": "0600", "uid": 999, "gid": 33},
        {"path": f"{MEDIA}/b.png", "type": "file", "mode": "0640", "uid": 999, "gid": 33},
        {"path": f"{MEDIA}/.c.png", "type": "file", "mode": "0600", "uid": 999, "gid": 33},
    ]
    answers = healthy(**{"core.media.path": access(MEDIA, samples=samples(file("a.png")))})
    answers["core.media.tree"]["entries"] = entries
    made = diagnosis.case(answers=answers)
    asked = [q["target"] for q in _diagnose_permissions.questions(made) if q["kind"] == "requests"]
    assert asked == ["/media/a.png"]
    sent = diagnosis.response("/media/a.png", 200, ("ETag", '"6b0bee9d-1e"'))
    assert found({**answers, "permissions.suspect.0": sent}) == []
    # Of another file it says nothing.
    answers["core.media.path"] = access(MEDIA, samples=samples(file("d.png")))
    assert found({**answers, "permissions.suspect.0": sent}) == [("not-readable", f"{MEDIA}/d.png")]


# Too much


def media_tree(**changes: t.Any) -> Answers:
    tree = {**healthy()["core.media.tree"], **changes}
    counts = {kind: len(tree[kind]) for kind in ("executable", "world_writable")}
    return {"core.media.tree": {**tree, "counts": counts}}


@pytest.mark.parametrize("kind", ["executable", "world_writable"])
@pytest.mark.parametrize(
    ("paths", "component"),
    [
        ([f"{MEDIA}/a.sh"], f"{MEDIA}/a.sh"),
        ([f"{MEDIA}/a.sh", f"{MEDIA}/2026/b.sh"], MEDIA),
        ([f"{MEDIA}/2026/a.sh", f"{MEDIA}/2026/b.sh"], f"{MEDIA}/2026"),
    ],
)
def test_modes_of_uploads(kind: str, paths: list[str], component: str) -> None:
    finding = "media-executable" if kind == "executable" else "media-world-writable"
    assert found(healthy(**media_tree(**{kind: paths}))) == [(finding, component)]


def test_directory_that_everybody_may_write_is_not_nginxs_too() -> None:
    directory = {"path": MEDIA, "exists": True, "realpath": MEDIA, "mode": "2777"}
    answers = healthy(
        **{
            "core.upload.0.directory": directory,
            "core.media.path": access(MEDIA, granted=["write"]),
        }
    )
    assert found(answers) == [("media-world-writable", MEDIA)]


def test_nginx_may_write_uploads() -> None:
    one = findings(
        healthy(**{"core.media.path": access(MEDIA, granted=["write"], samples=samples())})
    )
    assert [(each.id, each.severity) for each in one] == [("media-writable-by-nginx", "warning")]


def test_app_and_nginx_are_one_user() -> None:
    answers = healthy(**{"core.media.path": access(MEDIA, granted=["write"], samples=samples())})
    one = found(answers, process={"user": "www-data", "uid": 33})
    assert one == [("media-writable-by-nginx", "gallery.service")]


@pytest.mark.parametrize(
    ("key", "id"),
    [
        ("permissions.location.0.app", "static-writable-by-app"),
        ("permissions.location.0", "static-writable-by-nginx"),
    ],
)
def test_static_files_that_those_can_write_who_only_read_them(key: str, id: str) -> None:
    assert found(healthy(**{key: access(STATIC, granted=["write"])})) == [(id, STATIC)]
    one = stop(f"{STATIC}/site.css", "", "0664", is_directory=False)
    assert found(healthy(**{key: access(STATIC, samples=samples(granted=[one]))})) == [
        (id, f"{STATIC}/site.css")
    ]


def test_what_nobody_is_served_is_not_told_of_as_writable() -> None:
    closed = stop("/opt/releases/1", "not-traversable", "0700", 999, 0)
    linked = {"path": STATIC, "exists": True, "realpath": "/opt/releases/1/static"}
    answers = healthy(
        **{
            "core.location.0.directory": linked,
            "permissions.location.0": access(STATIC, closed),
            "permissions.location.0.app": access(STATIC, granted=["write"]),
        }
    )
    assert found(answers) == [("not-traversable", "/opt/releases/1")]


def test_root_can_write_everything() -> None:
    answers = healthy(**{"permissions.location.0.app": access(STATIC, granted=["write"])})
    assert found(answers, process={"uid": 0, "user": "root"}) == []


# With what others found


def test_cause_that_storage_told_of_is_not_told_again() -> None:
    entry = {"mount_point": MEDIA, "source": "LABEL=media", "fstype": "ext4", "options": []}
    facts = stop(MEDIA, "not-writable", "0755", 0, 0)
    answers = healthy(
        **unwritten(facts),
        **{"storage.upload.0": {"fstab": entry, "mount_point": "/", "source": "x"}},
    )
    made = diagnosis.case(answers=answers)
    assert [one.id for one in diagnosis.found(made, _diagnose_storage, _diagnose_permissions)] == [
        "mount-missing"
    ]


def test_uploads_in_a_release_can_be_closed_too() -> None:
    inside = "/opt/gallery/src/gallery/uploads"
    facts = stop(inside, "not-writable", "2550", 999, 33)
    there = {"path": inside, "exists": True, "realpath": inside, "mode": "2550"}
    answers = {**healthy(**unwritten(facts)), "core.upload.0.directory": there}
    made = diagnosis.case(answers=answers, app=diagnosis.config(UPLOAD_FOLDER=inside))
    told = diagnosis.found(made, _diagnose_storage, _diagnose_permissions)
    assert [one.id for one in told] == ["media-in-release", "not-writable"]


@pytest.mark.parametrize("word", ["777", "chown -R www-data", "setenforce", "down -v"])
def test_no_mend_widens_access(word: str) -> None:
    broken = [
        healthy(**unwritten(stop(MEDIA, reason)))
        for reason in (
            "not-traversable",
            "not-writable",
            "read-only-filesystem",
            "acl-mask",
            "selinux-label",
        )
    ]
    broken += [
        healthy(**{"core.media.path": access(MEDIA, samples=samples(file("a.png", uid=uid)))})
        for uid in (0, 999, 1234)
    ]
    broken += [
        healthy(**closed_canary("0600"), **canary("0077")),
        healthy(**media_tree(world_writable=[f"{MEDIA}/a"])),
    ]
    for answers in broken:
        for one in findings(answers):
            assert word not in one.fix.replace("never by mode 777", "").replace("0o777", "")
