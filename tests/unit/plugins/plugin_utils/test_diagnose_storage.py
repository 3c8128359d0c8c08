from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _diagnose_storage
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._diagnosis_case import Case

from tests.unit import diagnosis

MEDIA = "/var/www/gallery/media"
STATIC = "/var/www/gallery/static"
KEY = "UPLOAD_FOLDER of wsgi:app"
FOLDER = "/opt/gallery/src/gallery/static"
Answers = dict[str, t.Any]


def directory(path: str, exists: bool = True, realpath: str | None = None) -> Answers:
    return {"path": path, "exists": exists, "realpath": (realpath or path) if exists else None}


def storage(path: str = MEDIA, **changes: t.Any) -> Answers:
    return {
        "path": path,
        "exists": True,
        "mount_point": "/",
        "fstype": "ext4",
        "source": "/dev/sda1",
        "options": ["rw"],
        "read_only": False,
        "fstab": None,
        "free_bytes": 10**9,
        "size_bytes": 10**10,
        "free_inodes": 1000,
        "inodes": 10000,
        **changes,
    }


def tree(root: str, *names: str, **changes: t.Any) -> Answers:
    directories = {
        name[: n + 1] for name in names for n, c in enumerate(name) if name[n + 1 : n + 2] == "/"
    }
    entries = [
        {"path": f"{root}/{name}", "type": "file", "size": 10, "mtime": 100.0} for name in names
    ]
    entries += [{"path": f"{root}/{name}", "type": "directory"} for name in sorted(directories)]
    return {
        "path": root,
        "is_all": True,
        "files": len(names),
        "entries": entries,
        "links": [],
        **changes,
    }


def healthy(media: str = MEDIA, /, **more: t.Any) -> Answers:
    """What a host answers of which nothing is to be told."""
    name = diagnosis.CANARY
    return {
        "core.static.0.tree": tree(FOLDER, "css/site.css", "logo.svg"),
        "core.location.0.directory": directory(STATIC),
        "core.location.0.tree": tree(STATIC, "css/site.css", "logo.svg", "css/site.css.gz"),
        "core.location.1.directory": directory(MEDIA),
        "core.upload.0.directory": directory(media),
        "core.upload.path": {"allowed": True, "blocked_by": None, "components": []},
        "core.canary": {"written": True, "name": name, "path": f"{media}/{name}", "error": None},
        "core.media": diagnosis.response(f"/media/{name}", 200),
        "storage.served-canary": {"path": f"{MEDIA}/{name}", "exists": True},
        "storage.upload.0": storage(media),
        "storage.upload.0.view": storage(media),
        "storage.upload.parent": {"allowed": False},
        "storage.code.0": directory("/opt/gallery/src/gallery"),
        "storage.code.1": directory("/opt/gallery/venv"),
        **more,
    }


def found(answers: Answers, **changes: t.Any) -> list[tuple[str, str]]:
    made = diagnosis.case(answers=answers, **changes)
    return [(one.id, one.component) for one in diagnosis.found(made, _diagnose_storage)]


def uploads(path: str) -> dict[str, t.Any]:
    return {"app": diagnosis.config(UPLOAD_FOLDER=path)}


def test_healthy_host_has_no_finding() -> None:
    assert found(healthy()) == []


def test_questions_have_ids_of_their_own_and_are_bounded() -> None:
    made = diagnosis.case(answers=healthy())
    asked = [question["id"] for question in _diagnose_storage.questions(made)]
    assert len(asked) == len(set(asked)) < 30


# Where uploads end


@pytest.mark.parametrize(
    ("path", "id"),
    [
        (FOLDER + "/uploads", "shared-directory"),
        (FOLDER, "shared-directory"),
        ("/opt/gallery/src/gallery", "shared-directory"),
        (STATIC + "/uploads", "shared-directory"),
        ("/opt/gallery/src/gallery/uploads", "media-in-release"),
        ("/opt/gallery/src/uploads", "media-in-release"),
        ("/opt/gallery/venv/var/gallery-instance", "media-in-release"),
        ("/usr/lib/python3/dist-packages/gallery/uploads", "media-in-release"),
        ("/opt/other/releases/42/uploads", "media-in-release"),
        ("/tmp/uploads", "media-ephemeral"),
        ("/run/gallery/uploads", "media-ephemeral"),
    ],
)
def test_directory_of_uploads_that_loses_them(path: str, id: str) -> None:
    assert found(healthy(path), **uploads(path)) == [(id, path)]


@pytest.mark.parametrize(
    "path", ["/opt/gallery/media", "/opt/gallery/srcs", "/tmpfs/uploads", "/srv/current/uploads"]
)
def test_directory_of_uploads_beside_the_code(path: str) -> None:
    assert found(healthy(path), **uploads(path)) == []


def test_links_count_not_names() -> None:
    """As Capistrano has it: the release's directory is a link to what all releases share."""
    written, shared = "/opt/gallery/src/gallery/uploads", "/opt/gallery/shared/uploads"
    linked = directory(written, realpath=shared)
    assert found(healthy(written, **{"core.upload.0.directory": linked}), **uploads(written)) == []
    inside = directory("/srv/uploads", realpath=written)
    answers = healthy("/srv/uploads", **{"core.upload.0.directory": inside})
    assert found(answers, **uploads("/srv/uploads")) == [("media-in-release", "/srv/uploads")]


def test_link_named_current() -> None:
    path = "/srv/gallery/current/uploads"
    real = directory(path, realpath="/srv/gallery/20261129/uploads")
    components = [{"path": "/srv/gallery/current", "link": "20261129"}]
    access = {"allowed": True, "blocked_by": None, "components": components}
    answers = healthy(path, **{"core.upload.0.directory": real, "core.upload.path": access})
    assert found(answers, **uploads(path)) == [("media-in-release", path)]


def test_mount_amid_the_code_stays() -> None:
    path = "/opt/gallery/src/gallery/uploads"
    mounted = {"storage.upload.0.view": storage(path, mount_point=path)}
    assert found(healthy(path, **mounted), **uploads(path)) == []


def test_git_checkout() -> None:
    path = "/opt/gallery/uploads"
    git = {"storage.upload.0.git.0": {"exists": True}}
    assert found(healthy(path, **git), **uploads(path)) == [("media-in-release", path)]


def test_private_tmp_is_named() -> None:
    made = diagnosis.case(
        answers=healthy("/tmp/uploads"),
        process={"unit_properties": {"PrivateTmp": "yes"}},
        **uploads("/tmp/uploads"),
    )
    assert "gallery.service" in diagnosis.found(made, _diagnose_storage)[0].message


def test_uploads_in_memory() -> None:
    view = {"storage.upload.0.view": storage(mount_point=MEDIA, fstype="tmpfs")}
    assert found(healthy(**view)) == [("media-ephemeral", MEDIA)]


def container(*mounts: Answers) -> Answers:
    return {"process": {"container": {"name": "app", "mounts": list(mounts), "ports": []}}}


def mount(target: str, **changes: t.Any) -> Answers:
    return {
        "type": "bind",
        "source": MEDIA,
        "target": target,
        "name": None,
        "read_write": True,
        **changes,
    }


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        ([], [("media-ephemeral", "app")]),
        ([mount("/app/other")], [("media-ephemeral", "app")]),
        ([mount("/app/media", type="tmpfs", source="")], [("media-ephemeral", "app")]),
        ([mount("/app/media", type="volume", name="0f" * 32)], [("media-ephemeral", "app")]),
        ([mount("/app/media", type="volume", name="media")], []),
        ([mount("/app/media")], []),
    ],
)
def test_uploads_in_a_container(mounts: list[Answers], expected: list[tuple[str, str]]) -> None:
    inside = {
        "storage.upload.0.view": storage("/app/media", mount_point="/app/media"),
        "storage.code.0": directory("/app/gallery"),
    }
    assert (
        found(healthy("/app/media", **inside), **container(*mounts), **uploads("/app/media"))
        == expected
    )


def test_a_container_gets_the_directory_that_nginx_serves() -> None:
    made = diagnosis.case(answers=healthy("/app/media"), **container(), **uploads("/app/media"))
    (one,) = diagnosis.found(made, _diagnose_storage)
    assert f"-v {MEDIA}:/app/media" in one.fix, "another volume would be seen by the app alone"


# Relative


def test_relative_directory_is_the_only_cause() -> None:
    path = "/opt/gallery/src/uploads"
    lost = {
        "core.media": diagnosis.response("/media/x", 404),
        "storage.served-canary": {"exists": False},
    }
    made = diagnosis.case(answers=healthy(path, **lost), **uploads("uploads"))
    one = diagnosis.found(made, _diagnose_storage)
    assert [(each.id, each.component, each.severity) for each in one] == [
        ("upload-folder-relative", KEY, "error")
    ]
    assert path in one[0].message and "/opt/gallery/src/gallery/uploads" in one[0].message


def test_relative_directory_that_is_the_same_by_chance() -> None:
    made = diagnosis.case(
        answers=healthy("/opt/gallery/src/gallery/uploads"),
        process={"cwd": "/opt/gallery/src/gallery"},
        **uploads("uploads"),
    )
    assert [each.severity for each in diagnosis.found(made, _diagnose_storage)] == ["warning"]


def test_relative_directory_that_lies_in_the_static_folder() -> None:
    path = "/opt/gallery/src/gallery/static/uploads"
    made = diagnosis.case(
        answers=healthy(path),
        process={"cwd": "/opt/gallery/src/gallery"},
        app=diagnosis.config(UPLOAD_FOLDER="static/uploads", MEDIA_URL="/static/uploads/"),
    )
    (one,) = diagnosis.found(made, _diagnose_storage)
    assert (one.id, one.component, one.severity) == ("shared-directory", path, "error")
    assert "location ^~ /media/" in one.fix, "they were reached below /static/"


# Two directories


APART = {
    "core.media": diagnosis.response("/media/x", 404),
    "storage.served-canary": {"exists": False},
}


def test_two_directories() -> None:
    other = "/var/www/gallery/uploads"
    assert found(healthy(other, **APART), **uploads(other)) == [("upload-folder-mismatch", KEY)]


def test_behaviour_wins_over_names() -> None:
    other = "/var/www/gallery/uploads"
    assert found(healthy(other), **uploads(other)) == []
    sent = {**APART, "core.media": diagnosis.response("/media/x", 200)}
    assert found(healthy(other, **sent), **uploads(other)) == []


@pytest.mark.parametrize("path", [MEDIA + "/pictures", "/var/www/gallery/media"])
def test_directory_within_the_served_one(path: str) -> None:
    assert found(healthy(path, **APART), **uploads(path)) == []


def test_links_lead_to_one_directory() -> None:
    linked = {"core.upload.0.directory": directory("/data/media", realpath=MEDIA)}
    assert found(healthy("/data/media", **APART, **linked), **uploads("/data/media")) == []


def test_container_writes_to_another_directory() -> None:
    inside = {"storage.upload.0.view": storage("/app/media", mount_point="/app/media")}
    mounts = container(mount("/app/media", source="/srv/media"))
    answers = healthy("/app/media", **APART, **inside)
    assert found(answers, **mounts, **uploads("/app/media")) == [
        ("upload-folder-mismatch", "/srv/media")
    ]


def test_missing_directory_while_nginx_serves_another() -> None:
    gone = {"core.upload.0.directory": directory("/srv/typo", exists=False)}
    assert found(healthy("/srv/typo", **gone), **uploads("/srv/typo")) == [
        ("upload-folder-mismatch", KEY)
    ]


# What isn't there


GONE: Answers = {
    "core.upload.0.directory": directory(MEDIA, exists=False),
    "core.location.1.directory": directory(MEDIA, exists=False),
    "core.upload.path": {"allowed": False, "blocked_by": {"component": MEDIA, "reason": "missing"}},
    "core.canary": {"written": False, "error": {"reason": "missing", "errno": "ENOENT"}},
    "core.media": diagnosis.response("/media/x", 404),
}


def test_media_is_missing() -> None:
    made = diagnosis.case(answers=healthy(**GONE))
    one = diagnosis.found(made, _diagnose_storage)
    assert [(each.id, each.component, each.severity) for each in one] == [
        ("media-missing", MEDIA, "error")
    ]
    assert "chmod 777" not in one[0].fix


def test_media_that_the_app_can_make() -> None:
    made = diagnosis.case(answers=healthy(**GONE, **{"storage.upload.parent": {"allowed": True}}))
    assert [each.severity for each in diagnosis.found(made, _diagnose_storage)] == ["warning"]


def test_media_that_cannot_be_looked_for() -> None:
    closed = {"component": "/var/www", "reason": "not-traversable"}
    answers = healthy(**{**GONE, "core.upload.path": {"allowed": False, "blocked_by": closed}})
    assert found(answers) == []


def test_mount_is_missing_and_media_with_it() -> None:
    entry = {
        "mount_point": "/var/www/gallery",
        "source": "LABEL=gallery",
        "fstype": "ext4",
        "options": [],
    }
    answers = healthy(
        **GONE,
        **{"storage.upload.0": storage(fstab=entry), "storage.location.0": storage(fstab=entry)},
    )
    assert found(answers) == [("mount-missing", "/var/www/gallery")]


@pytest.mark.parametrize(
    ("point", "expected"),
    [("/", [("mount-missing", MEDIA)]), (MEDIA, []), (f"{MEDIA}/more", [])],
)
def test_unit_of_a_mount(point: str, expected: list[tuple[str, str]]) -> None:
    unit = {"path": "/etc/systemd/system/var-www-gallery-media.mount", "exists": True}
    made = {"storage.unit.0": unit, "storage.upload.0": storage(mount_point=point)}
    assert found(healthy(**made)) == expected


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/srv/media", "srv-media.mount"),
        ("/srv/my-media/.x", "srv-my\\x2dmedia-.x.mount"),
        ("/.x", "\\x2ex.mount"),
        ("/srv/à b", "srv-\\xc3\\xa0\\x20b.mount"),
    ],
)
def test_name_of_a_mount_unit(path: str, unit: str) -> None:
    """As ``systemd-escape --path --suffix=mount`` prints it."""
    assert _diagnose_storage._mount_unit(path) == unit


# Room


@pytest.mark.parametrize(
    ("room", "error"),
    [
        ({"free_bytes": 0}, None),
        ({"free_bytes": 50_000}, None),
        ({"free_inodes": 0}, None),
        ({}, {"reason": "disk-full", "errno": "ENOSPC", "strerror": "No space left on device"}),
        ({}, {"reason": "disk-full", "errno": "EDQUOT", "strerror": "Disk quota exceeded"}),
    ],
)
def test_no_room(room: Answers, error: Answers | None) -> None:
    view = storage(mount_point="/var/www", **room)
    answers = healthy(**{"storage.upload.0.view": view})
    if error:
        answers["core.canary"] = {"written": False, "error": error}
    assert found(answers) == [("disk-full", "/var/www")]


def test_largest_upload_does_not_fit() -> None:
    made = diagnosis.case(
        answers=healthy(**{"storage.upload.0.view": storage(free_bytes=10_000_000)}),
        app=diagnosis.config(MAX_CONTENT_LENGTH=16 << 20),
    )
    one = diagnosis.found(made, _diagnose_storage)
    assert [(each.id, each.severity) for each in one] == [("disk-full", "warning")]


def test_file_systems_without_a_count_of_inodes() -> None:
    assert found(healthy(**{"storage.upload.0.view": storage(free_inodes=0, inodes=0)})) == []


# Static files


def static(status: int = 404, /, **more: t.Any) -> Answers:
    return healthy(
        **{"storage.core.static.0.missing": diagnosis.response("/static/css/site.css", status)},
        **more,
    )


@pytest.mark.parametrize(
    ("served", "component"),
    [
        (["css/site.css"], f"{STATIC}/logo.svg"),
        (["logo.svg"], f"{STATIC}/css"),
        (["logo.svg", "css/other.css"], f"{STATIC}/css/site.css"),
        ([], STATIC),
    ],
)
def test_published_files_are_missing(served: list[str], component: str) -> None:
    answers = static(**{"core.location.0.tree": tree(STATIC, *served)})
    assert found(answers) == [("static-missing", component)]


def test_directory_of_other_things_is_no_matter_of_missing_files() -> None:
    assert found(static(**{"core.location.0.tree": tree(STATIC, "index.html")})) == []


def test_file_that_is_not_published_and_yet_served() -> None:
    assert found(static(200, **{"core.location.0.tree": tree(STATIC, "logo.svg")})) == []


@pytest.mark.parametrize(
    "name", ["css/site.scss", "src/app.js", ".DS_Store", "app.js.map", "fonts/.keep/x"]
)
def test_what_need_not_be_published(name: str) -> None:
    answers = static(**{"core.static.0.tree": tree(FOLDER, "css/site.css", "logo.svg", name)})
    assert found(answers) == []


def test_trees_of_which_not_all_is_known() -> None:
    assert found(static(**{"core.location.0.tree": tree(STATIC, "logo.svg", is_all=False)})) == []


def test_what_lies_behind_a_link_counts_as_there() -> None:
    links = [{"path": f"{STATIC}/css", "target": "../shared/css"}]
    assert found(static(**{"core.location.0.tree": tree(STATIC, "logo.svg", links=links)})) == []


GONE_STATIC = {"core.location.0.directory": directory(STATIC, exists=False)}


def test_published_directory_is_missing() -> None:
    assert found(static(**GONE_STATIC)) == [("static-missing", STATIC)]


def test_directory_beside_the_published_one_is_a_matter_of_the_alias() -> None:
    beside = {"storage.core.static.0.parent": tree("/var/www/gallery", "statics/css/site.css")}
    assert found(static(**GONE_STATIC, **beside)) == []


def test_directory_amid_the_code_that_never_was_is_a_matter_of_the_alias() -> None:
    conf = diagnosis.SITE.replace(STATIC, "/opt/gallery/src/static")
    gone = {"core.location.0.directory": directory("/opt/gallery/src/static", exists=False)}
    assert found(static(**gone), conf=conf) == []


def test_missing_file_is_asked_for() -> None:
    made: Case = diagnosis.case(
        answers=healthy(**{"core.location.0.tree": tree(STATIC, "logo.svg")})
    )
    asked = {question["id"]: question for question in _diagnose_storage.questions(made)}
    assert asked["storage.core.static.0.missing"]["target"] == "/static/css/site.css"


@pytest.mark.parametrize(
    ("size", "mtime", "sha256", "expected"),
    [
        (9, 99.0, "old", [("static-missing", f"{STATIC}/css/site.css")]),
        (9, 101.0, "minified", []),
        (9, 99.0, "new", []),
        (10, 99.0, "old", []),
    ],
)
def test_files_of_an_earlier_release(size: int, mtime: float, sha256: str, expected: t.Any) -> None:
    served = tree(STATIC, "css/site.css", "logo.svg")
    served["entries"][0].update(size=size, mtime=mtime)
    answers = healthy(
        **{
            "core.location.0.tree": served,
            "storage.core.static.0.outdated": diagnosis.response(
                "/static/css/site.css", 200, sha256=sha256
            ),
            "storage.core.static.0.source": {"path": f"{FOLDER}/css/site.css", "sha256": "new"},
        }
    )
    assert found(answers) == expected


def test_file_of_an_earlier_release_is_asked_for() -> None:
    served = tree(STATIC, "css/site.css", "logo.svg")
    served["entries"][1].update(size=9, mtime=99.0)
    made = diagnosis.case(answers=healthy(**{"core.location.0.tree": served}))
    asked = {question["id"]: question for question in _diagnose_storage.questions(made)}
    assert asked["storage.core.static.0.outdated"]["target"] == "/static/logo.svg"
    assert asked["storage.core.static.0.source"]["path"] == f"{FOLDER}/logo.svg"


@pytest.mark.parametrize(
    ("kind", "names", "expected"),
    [
        ("volume", ["css/site.css", "logo.svg", "new.css"], [("volume-hides-static", FOLDER)]),
        ("volume", ["css/site.css", "logo.svg"], []),
        ("bind", ["css/site.css", "logo.svg", "new.css"], []),
    ],
)
def test_volume_over_static_files_of_the_image(
    kind: str, names: list[str], expected: t.Any
) -> None:
    mounts = [mount(MEDIA), mount(FOLDER, type=kind, name="static", source="/volumes/static")]
    answers = healthy(**{"storage.core.static.0.image": tree(FOLDER, *names)})
    assert found(answers, **container(*mounts)) == expected
    asked = list(_diagnose_storage.questions(diagnosis.case(answers=answers, **container(*mounts))))
    beneath = [question for question in asked if question.get("beneath_mounts")]
    assert bool(beneath) == (kind == "volume")
