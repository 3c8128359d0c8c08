"""Publishing: what is planned, what is applied, and what is never followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _static_release
from ansible_collections.flaskworks.static_media.plugins.module_utils._static_release import (
    Look,
    Mount,
    Plan,
    PublishError,
)

LOOK = Look(uid=os.getuid(), gid=os.getgid(), directory_mode=0o750, file_mode=0o640)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    directory = tmp_path / "app" / "static"
    (directory / "css").mkdir(parents=True)
    (directory / "css" / "app.css").write_text("a{}")
    (directory / "logo.svg").write_text("<svg/>")
    return directory


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "www" / "static"


def publish(root: Path, *mounts: Mount) -> Plan:
    """Plan, apply, and see that nothing is left to do."""
    planned = _static_release.plan(str(root), mounts, LOOK)
    _static_release.apply(str(root), planned, LOOK)
    assert not _static_release.plan(str(root), mounts, LOOK).changed
    return planned


def etag(path: Path) -> tuple[int, int]:
    """What Nginx's ETag is made of."""
    return int(path.stat().st_mtime), path.stat().st_size


def published(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_the_tree_mirrors_the_urls(root: Path, folder: Path, tmp_path: Path) -> None:
    admin = tmp_path / "admin"
    admin.mkdir()
    (admin / "admin.js").write_text("1")
    planned = publish(root, Mount("/static/", str(folder)), Mount("/admin/static/", str(admin)))
    assert published(root) == {
        "static/css/app.css",
        "static/logo.svg",
        "admin/static/admin.js",
    }
    assert sorted(copy.target for copy in planned.added) == sorted(published(root))
    assert (root / "static/css").stat().st_mode & 0o7777 == 0o750
    assert (root / "static/css/app.css").stat().st_mode & 0o7777 == 0o640


def test_planning_changes_nothing(root: Path, folder: Path) -> None:
    planned = _static_release.plan(str(root), [Mount("/static/", str(folder))], LOOK)
    assert planned.changed
    assert not root.exists()


def test_a_changed_file_is_replaced_and_an_old_one_stays(root: Path, folder: Path) -> None:
    mount = Mount("/static/", str(folder))
    publish(root, mount)
    (folder / "css" / "app.css").write_text("b{}")
    (folder / "logo.svg").unlink()
    planned = publish(root, mount)
    assert [copy.target for copy in planned.replaced] == ["static/css/app.css"]
    assert (root / "static/css/app.css").read_text() == "b{}"
    assert (root / "static/logo.svg").exists(), "a page loaded before still refers to it"


def test_a_replaced_file_has_another_etag_even_if_its_time_and_size_are_the_same(
    root: Path, folder: Path
) -> None:
    css = folder / "css" / "app.css"
    os.utime(css, (1580601600, 1580601600))
    publish(root, Mount("/static/", str(folder)))
    before = etag(root / "static/css/app.css")
    css.write_text("c{}")
    os.utime(css, (1580601600, 1580601600))
    publish(root, Mount("/static/", str(folder)))
    assert (root / "static/css/app.css").read_text() == "c{}"
    assert etag(root / "static/css/app.css") != before


def test_the_same_content_keeps_its_etag(root: Path, folder: Path) -> None:
    publish(root, Mount("/static/", str(folder)))
    before = etag(root / "static/css/app.css")
    os.utime(folder / "css" / "app.css", (1, 1))
    assert not _static_release.plan(str(root), [Mount("/static/", str(folder))], LOOK).changed
    assert etag(root / "static/css/app.css") == before


def test_modes_are_mended(root: Path, folder: Path) -> None:
    publish(root, Mount("/static/", str(folder)))
    (root / "static/logo.svg").chmod(0o666)
    (root / "static/css").chmod(0o777)
    planned = publish(root, Mount("/static/", str(folder)))
    assert sorted(planned.mended) == ["static/css", "static/logo.svg"]


def test_dotfiles_and_special_files_are_not_published(root: Path, folder: Path) -> None:
    (folder / ".env").write_text("SECRET")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("x")
    os.mkfifo(folder / "pipe")
    publish(root, Mount("/static/", str(folder)))
    assert published(root) == {"static/css/app.css", "static/logo.svg"}


@pytest.mark.parametrize("name", ["shadow.css", "css/shadow.css", "everything"])
def test_a_link_is_refused_and_named(root: Path, folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("SECRET")
    (folder / name).symlink_to(tmp_path / "secret" / ("" if name == "everything" else "key"))
    with pytest.raises(PublishError, match="is a link"):
        _static_release.plan(str(root), [Mount("/static/", str(folder))], LOOK)
    assert not root.exists()


def test_a_file_that_becomes_a_link_after_planning_is_not_followed(
    root: Path, folder: Path, tmp_path: Path
) -> None:
    planned = _static_release.plan(str(root), [Mount("/static/", str(folder))], LOOK)
    (tmp_path / "secret").write_text("SECRET")
    (folder / "logo.svg").unlink()
    (folder / "logo.svg").symlink_to(tmp_path / "secret")
    with pytest.raises(PublishError, match="is a link"):
        _static_release.apply(str(root), planned, LOOK)
    assert not any("SECRET" in path.read_text() for path in root.rglob("*") if path.is_file())


def test_a_published_link_is_replaced_and_not_written_through(
    root: Path, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").write_text("untouched")
    publish(root, Mount("/static/", str(folder)))
    (root / "static/logo.svg").unlink()
    (root / "static/logo.svg").symlink_to(tmp_path / "elsewhere")
    publish(root, Mount("/static/", str(folder)))
    assert not (root / "static/logo.svg").is_symlink()
    assert (tmp_path / "elsewhere").read_text() == "untouched"


def test_a_mount_within_another_answers_for_its_own_urls(
    root: Path, folder: Path, tmp_path: Path
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "new.css").write_text("inner")
    (folder / "css" / "new.css").write_text("outer")
    publish(root, Mount("/static/css/", str(inner)), Mount("/static/", str(folder)))
    assert (root / "static/css/new.css").read_text() == "inner"
    assert not (root / "static/css/app.css").exists()


def test_a_folder_that_is_not_there_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="which isn't there"):
        _static_release.plan(str(root), [Mount("/static/", str(tmp_path / "none"))], LOOK)


def test_a_folder_that_is_not_known_yet_is_a_change(root: Path) -> None:
    planned = _static_release.plan(str(root), [Mount("/static/", None)], LOOK)
    assert planned.changed
    assert planned.unknown == ["/static/"]


def test_a_directory_in_a_files_place_is_refused_before_the_first_change(
    root: Path, folder: Path
) -> None:
    (root / "static/logo.svg").mkdir(parents=True)
    with pytest.raises(PublishError, match="is a directory"):
        _static_release.plan(str(root), [Mount("/static/", str(folder))], LOOK)


def test_a_file_in_a_directorys_place_is_refused(root: Path, folder: Path) -> None:
    root.mkdir(parents=True)
    (root / "static").write_text("")
    with pytest.raises(PublishError, match="no directory"):
        _static_release.plan(str(root), [Mount("/static/", str(folder))], LOOK)


def test_what_a_killed_run_left_is_removed(root: Path, folder: Path) -> None:
    publish(root, Mount("/static/", str(folder)))
    leftover = root / "static" / f"{_static_release.TEMPORARY}0"
    leftover.write_text("half")
    assert publish(root, Mount("/static/", str(folder))).leftovers
    assert not leftover.exists()


def test_odd_names_are_published(root: Path, folder: Path) -> None:
    for name in ("a b.css", "ä.css", "new\nline.css", "100%.css"):
        (folder / name).write_text(name)
    (Path(os.fsdecode(bytes(folder) + b"/\xff.css"))).write_text("latin")
    publish(root, Mount("/static/", str(folder)))
    assert (root / "static" / "new\nline.css").read_text() == "new\nline.css"
    assert (root / "static" / os.fsdecode(b"\xff.css")).read_text() == "latin"


def test_a_lack_of_space_is_told_before_the_first_change(
    root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = _static_release.plan(str(root), [Mount("/static/", str(folder))], LOOK)
    for path in planned.files:
        planned.files[path] = 1 << 60
    with pytest.raises(PublishError, match="bytes free"):
        _static_release.apply(str(root), planned, LOOK)
    assert not root.exists()


def test_a_known_file_is_a_style_sheet_where_there_is_one() -> None:
    files = {"static/z.css": 3, "static/a.js": 3, "static/b.css": 0, "other/a.css": 3}
    assert _static_release.known_file("/static/", files) == {"path": "z.css", "size": 3}
    assert _static_release.known_file("/none/", files) is None
