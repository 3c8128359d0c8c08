"""What an app made wrongly, and who can write what they should only read: one fault, one finding."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._verify_permissions import (
    MEDIA,
    READS,
    STATIC,
    Fault,
    Judgement,
    problem,
)

ROOT, PUBLISHED = "/var/www/gallery/media", "/var/www/gallery/static"
AREA = "/var/www/gallery/documents"
WAYS = {
    "group": {"mode": "2750", "file_mode": "0640", "umask": "0027"},
    "acl": {"mode": "0750", "file_mode": "0640", "umask": "0027"},
    "world": {"mode": "0755", "file_mode": "0644", "umask": "0022"},
}
Sample = dict[str, t.Any]


def answer(
    path: str = ROOT, mode: str = "2750", root_granted: t.Sequence[str] = (), **samples: t.Any
) -> dict[str, t.Any]:
    """Of ``path_access_info``, for a root that the app owns."""
    found = {"unreadable": [], "granted": [], "looks": [], **samples}
    found.setdefault("unreadable_count", len(found["unreadable"]))
    facts = {"mode": mode, "owner": "gallery", "group": "www-data", "granted": [*root_granted]}
    return {"path": path, "allowed": True, "samples": found, **facts}


def sample(name: str, mode: str, **changes: t.Any) -> Sample:
    path = f"{ROOT}/{name}"
    facts = {"owner": "gallery", "group": "www-data", "is_directory": False, "count": 1}
    reason = {"reason": "not-readable", "component": path, "path": path}
    return {**facts, **reason, "mode": mode, **changes}


def directory(name: str, mode: str, **changes: t.Any) -> Sample:
    return sample(name, mode, **{"is_directory": True, "reason": "not-traversable", **changes})


def faults(
    *answers: dict[str, t.Any],
    way: str = "group",
    umask: str | None = "0000",
    canary_mode: str = "0640",
    is_written: bool = True,
    static: t.Any = (),
) -> list[Fault]:
    settings = {
        "app": {"user": "gallery"},
        "site": {"nginx_user": "www-data"},
        "static": {"root": PUBLISHED},
        "media": {"permissions": way, "root": ROOT, "roots": [ROOT, AREA], **WAYS[way]},
        "host": {"app_process_id": 42},
    }
    canary = {"written": is_written, "umask": umask, "mode": canary_mode}
    return Judgement(settings, canary, answers, static, lambda *_: "the other mend").faults()


def named(found: t.Iterable[Fault]) -> list[tuple[str, str, str]]:
    return [(fault.check, fault.id, fault.component.removeprefix(ROOT)) for fault in found]


def test_nothing_is_wrong_with_what_is_as_it_should_be() -> None:
    for way, look in WAYS.items():
        good = sample("a", look["file_mode"])
        below = directory("sub", look["mode"])
        assert faults(answer(mode=look["mode"], looks=[good, below]), way=way) == []


@pytest.mark.parametrize(
    ("way", "wrong", "finding", "words"),
    [
        ("group", sample("a", "0600"), "not-readable", "os.fchmod(file.fileno(), 0o640)"),
        ("world", sample("a", "0640"), "not-readable", "os.fchmod(file.fileno(), 0o644)"),
        ("acl", sample("a", "0600", reason="acl-mask"), "acl-mask", "0o640"),
        ("group", sample("a", "0640", group="gallery"), "not-readable", "shutil.copyfile"),
        ("acl", sample("a", "0640", group="gallery"), "not-readable", "shutil.copyfile"),
        ("group", directory("sub", "2700"), "not-traversable", "os.makedirs(path)"),
        ("acl", directory("sub", "0700", reason="acl-mask"), "acl-mask", "os.makedirs(path)"),
        ("group", sample("a", "0600", owner="root"), "owner-id-mismatch", "runuser -u gallery"),
        ("group", sample("a", "0640", owner="1000"), "owner-id-mismatch", "run the app by the id"),
    ],
)
def test_what_nginx_cannot_read_names_its_cause(
    way: str, wrong: Sample, finding: str, words: str
) -> None:
    found = faults(answer(unreadable=[wrong], looks=[wrong]), way=way)
    assert named(found) == [(READS, finding, wrong["component"].removeprefix(ROOT))]
    assert words in found[0].fix
    assert "flask_media_repair: true" in found[0].fix


def test_what_is_no_fault_of_the_apps_has_a_mend_of_its_own() -> None:
    (found,) = faults(answer(unreadable=[sample("a", "0640", reason="selinux-label")]))
    assert (found.id, found.fix) == ("selinux-label", "the other mend")


def test_what_has_one_cause_is_one_fault_named_by_the_newest() -> None:
    made = [sample(f"{number}", "0600") for number in range(9)]
    moved = sample("moved", "0640", group="gallery")
    found = faults(answer(unreadable=[*made, moved], unreadable_count=30))
    assert named(found) == [(READS, "not-readable", "/0"), (READS, "not-readable", "/moved")]
    assert "and 28 more" in found[0].evidence


def test_each_area_has_faults_of_its_own() -> None:
    other = sample("b", "0600", component=f"{AREA}/b")
    found = faults(answer(unreadable=[sample("a", "0600")]), answer(AREA, unreadable=[other]))
    assert named(found) == [(READS, "not-readable", "/a"), (READS, "not-readable", f"{AREA}/b")]


def test_files_and_directories_for_the_app_alone_are_a_umask() -> None:
    wrong = directory("late", "2700")
    looks = [wrong, sample("late/a", "0600"), sample("b", "0640")]
    (found,) = faults(answer(unreadable=[wrong, sample("c", "0600")], looks=looks))
    assert (found.id, found.component) == ("umask-too-tight", f"{ROOT}/late")
    assert "UMask=0027" in found.fix
    (found,) = faults(answer(unreadable=[wrong], looks=[wrong, sample("root", "0600", owner="x")]))
    assert found.id == "not-traversable"


def test_under_a_default_acl_it_is_no_umask() -> None:
    wrong = directory("late", "0700", reason="acl-mask")
    looks = [wrong, sample("a", "0600")]
    (found,) = faults(answer(unreadable=[wrong], looks=looks), way="acl")
    assert found.id == "acl-mask"


@pytest.mark.parametrize(
    ("way", "umask", "is_fault"),
    [
        ("group", "0077", True),
        ("group", "0066", True),
        ("group", "0027", False),
        ("group", "0007", False),
        ("world", "0027", True),
        ("world", "0022", False),
        # A default ACL survives it.
        ("acl", "0077", False),
    ],
)
def test_a_umask_of_the_process_is_the_one_fault(way: str, umask: str, is_fault: bool) -> None:
    private = sample("a", "0600")
    moved = sample("moved", "0644", owner="root")
    unreadable = [private, moved] if is_fault else []
    found = faults(answer(unreadable=unreadable), way=way, umask=umask, canary_mode="0600")
    expected = [(READS, "umask-too-tight", "process 42"), (READS, "owner-id-mismatch", "/moved")]
    assert named(found) == (expected if is_fault else [])
    if is_fault:
        assert f"umask {umask}, and a file that it makes has 0600" in found[0].evidence


def test_a_umask_that_is_not_known_is_no_fault() -> None:
    assert faults(answer(), umask=None) == []
    # What keeps the app from writing is told elsewhere.
    assert faults(answer(), umask="0077", is_written=False) == []


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"looks": [sample("a", "0750")]}, [("media-executable", "/a")]),
        # Nginx is no member of that group.
        ({"looks": [sample("a", "0660", group="gallery")]}, []),
        ({"looks": [sample("a", "0666")]}, [("media-world-writable", "/a")]),
        # The worst of one file only
        ({"looks": [sample("a", "0777")]}, [("media-world-writable", "/a")]),
        ({"looks": [directory("sub", "2777")]}, [("media-world-writable", "/sub")]),
        ({"mode": "2777", "root_granted": ["write"]}, [("media-world-writable", "")]),
        ({"mode": "2770", "root_granted": ["write"]}, [("media-writable-by-nginx", "")]),
        ({"granted": [sample("a", "0660")]}, [("media-writable-by-nginx", "/a")]),
        (
            {"granted": [sample("a", "0666")], "looks": [sample("a", "0666")]},
            [("media-world-writable", "/a")],
        ),
        (
            {"looks": [sample("a", "0666"), sample("b", "0755")]},
            [("media-world-writable", "/a"), ("media-executable", "/b")],
        ),
    ],
)
def test_what_others_can_write_and_what_can_be_run(
    wrong: dict[str, t.Any], expected: list[tuple[str, str]]
) -> None:
    found = faults(answer(**wrong))
    assert named(found) == [(MEDIA, *one) for one in expected]
    for fault in found:
        is_root = fault.component == ROOT
        assert ("Run the site playbook again" in fault.fix) is is_root
        assert ("flask_media_repair: true" in fault.fix) is not is_root


def test_a_root_that_nginx_does_not_get_to_is_not_sampled() -> None:
    closed = {**answer(unreadable=[sample("a", "0600")]), "allowed": False}
    assert faults(closed) == []


def test_static_files_are_nobodys_to_write() -> None:
    root = answer(PUBLISHED, root_granted=["write"])
    file = answer(PUBLISHED, granted=[sample("x", "0664")])
    assert named(faults(static=[root])) == [(STATIC, "static-writable-by-app", PUBLISHED)]
    assert named(faults(file)) == [(STATIC, "static-writable-by-nginx", "/x")]
    # Both can, and it is one fault.
    assert named(faults(root, static=[root])) == [(STATIC, "static-writable-by-app", PUBLISHED)]


def test_a_static_file_that_nginx_cannot_read_is_no_upload() -> None:
    (found,) = faults(answer(PUBLISHED, unreadable=[sample("x", "0600")]))
    assert (found.check, found.id) == (READS, "not-readable")
    assert "flask_media_repair" not in found.fix


def test_a_check_tells_of_what_it_failed() -> None:
    (found,) = faults(answer(unreadable=[sample("a", "0600")]))
    assert problem(found).startswith(f"www-data can't read {ROOT}/a: it was made for its owner")
