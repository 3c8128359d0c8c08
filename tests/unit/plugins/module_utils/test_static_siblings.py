"""Precompressed siblings and fingerprinted names in the published tree."""

from __future__ import annotations

import gzip
import json
import os
import re
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _precompress,
    _static_release,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._static_tree import (
    PublishError,
)

from tests.unit.published import Site, targets

CSS = "body { color: red }\n" * 100
OTHER_CSS = "body { color: tan }\n" * 100
MD5 = "0123456789abcdef" * 2
HASHED = f"app-{MD5}.js"
MANIFEST = json.dumps({"app.js": HASHED})


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.options = site.options._replace(encodings=("gz",))
    return site


def unpacked(site: Site, path: str) -> str:
    return gzip.decompress((site.root / path).read_bytes()).decode()


def names(site: Site) -> set[str]:
    return {
        str(path.relative_to(site.root))
        for path in site.root.rglob("*")
        if path.is_file() and ".releases" not in path.parts
    }


def own_sibling(site: Site, packed: bytes, text: str = CSS, name: str = "app.css") -> Path:
    folder = site.mount("/static/")
    site.write(folder, {name: text})
    (folder / f"{name}.gz").write_bytes(packed)
    return folder


@pytest.mark.parametrize("packed", [gzip.compress(OTHER_CSS.encode()), b"no gzip", b""])
def test_a_sibling_of_the_app_that_differs_is_refused(site: Site, packed: bytes) -> None:
    folder = own_sibling(site, packed)
    with pytest.raises(PublishError, match=r"app.css.gz is not app.css when it is unpacked"):
        site.publish()
    assert not site.root.exists()
    # Where none is sent, it is a file like others.
    site.options = site.options._replace(encodings=())
    site.publish()
    assert (site.root / "static/app.css.gz").read_bytes() == packed
    assert folder.exists()


def test_a_sibling_of_the_app_that_is_equal_is_published_with_its_files_time(site: Site) -> None:
    packed = gzip.compress(b"small", mtime=5)
    own_sibling(site, packed, "small")
    site.publish()
    assert (site.root / "static/app.css.gz").read_bytes() == packed
    assert site.etag("static/app.css.gz")[0] == site.etag("static/app.css")[0]
    assert not site.plan().changed


def test_a_compressed_file_alone_is_a_file_like_others(site: Site) -> None:
    folder = site.mount("/static/")
    (folder / "data.csv.gz").write_bytes(b"no gzip at all")
    site.publish()
    assert names(site) == {"static/data.csv.gz"}


def test_siblings_are_made_where_they_are_worth_while(site: Site) -> None:
    folder = site.mount("/static/")
    site.write(folder, {"app.css": CSS, "small.css": "a", "logo.png": CSS, "LICENSE": CSS})
    (folder / "noise.js").write_bytes(os.urandom(5000))
    planned = site.plan()
    assert planned.lines() == site.publish().lines()
    made = {name for name in names(site) if name.endswith(".gz")}
    assert made == {"static/app.css.gz", "static/LICENSE.gz"}
    assert unpacked(site, "static/app.css.gz") == CSS
    assert site.etag("static/app.css.gz")[0] == site.etag("static/app.css")[0]
    # Of one content, one is made.
    inodes = {(site.root / path).stat().st_ino for path in made}
    assert len(inodes) == 1
    assert site.plan().lines() == []


def test_the_sibling_follows_its_file(site: Site) -> None:
    site.release("one", {"app.css": CSS})
    site.release("two", {"app.css": OTHER_CSS})
    assert unpacked(site, "static/app.css.gz") == OTHER_CSS
    planned = site.release("three", {"app.css": "small"})
    assert planned.removed == ["static/app.css.gz"]
    assert names(site) == {"static/app.css"}
    site.release("one", {"app.css": CSS})
    assert unpacked(site, "static/app.css.gz") == CSS


@pytest.mark.parametrize("moment", ["rename", "utime"])
def test_no_sibling_is_stale_at_any_moment(
    site: Site, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    site.release("one", {"app.css": CSS})
    real = getattr(os, moment)

    def look(*arguments: object, **options: object) -> None:
        self_consistent()
        real(*arguments, **options)
        self_consistent()

    def self_consistent() -> None:
        if "static/app.css.gz" in names(site):
            assert unpacked(site, "static/app.css.gz") == site_text()

    def site_text() -> str:
        return (site.root / "static/app.css").read_text()

    with monkeypatch.context() as patch:
        patch.setattr(os, moment, look)
        site.release("two", {"app.css": OTHER_CSS})
    assert unpacked(site, "static/app.css.gz") == OTHER_CSS


def test_ids_are_only_needed_where_they_are_changed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main thread reads with another user's rights; what asks for root's has to wait for it."""
    calls = []

    def watched(real: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def call(*arguments: t.Any, **options: t.Any) -> t.Any:
            calls.append(threading.current_thread())
            return real(*arguments, **options)

        return call

    for name in ("open", "fchown", "fchmod", "utime", "rename", "unlink"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    site.release("one", {f"{number}.css": f"{number}{CSS}" for number in range(20)})
    assert set(calls) == {threading.main_thread()}


def test_a_foreign_sibling_is_refused(site: Site) -> None:
    site.release("one", {"app.css": "small"})
    (site.root / "static/app.css.gz").write_bytes(b"theirs")
    with pytest.raises(PublishError, match=r"app.css.gz is none that this collection made"):
        site.publish()
    assert (site.root / "static/app.css.gz").read_bytes() == b"theirs"
    site.options = site.options._replace(encodings=())
    assert not site.plan().removed


def test_a_sibling_that_was_damaged_or_removed_is_made_again(site: Site) -> None:
    site.release("one", {"app.css": CSS})
    (site.root / "static/app.css.gz").write_bytes(b"damaged")
    assert targets(site.publish().replaced) == ["static/app.css.gz"]
    assert unpacked(site, "static/app.css.gz") == CSS
    (site.root / "static/app.css.gz").unlink()
    assert targets(site.publish().added) == ["static/app.css.gz"]
    assert unpacked(site, "static/app.css.gz") == CSS


def test_switched_on_later_they_are_made_and_off_again_they_are_kept_from_nginx(site: Site) -> None:
    site.options = site.options._replace(encodings=())
    site.release("one", {"app.css": CSS})
    assert names(site) == {"static/app.css"}
    site.options = site.options._replace(encodings=("gz",))
    assert targets(site.publish().added) == ["static/app.css.gz"]
    assert not site.plan().changed
    site.options = site.options._replace(encodings=())
    assert site.publish().removed == ["static/app.css.gz"]
    assert not site.plan().changed


def test_an_unchanged_tree_is_not_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = own_sibling(site, gzip.compress(CSS.encode()))
    site.write(folder, {"js/app.js": CSS, "small.css": "a"})
    site.publish()
    opened = []
    real = os.open

    def watch(path: str, flags: int, *rest: int, **options: int) -> int:
        if not flags & os.O_DIRECTORY:
            opened.append(path)
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", watch)
    assert not site.plan().pending
    assert [os.path.splitext(path)[1] for path in opened] == [".json"]


def test_a_touched_file_is_read_once_and_changes_nothing(site: Site) -> None:
    site.mount("/static/", app_css=CSS)
    site.publish()
    os.utime(Path(str(site.mounts[0].folder)) / "app.css", (5, 5))
    planned = site.publish()
    assert (planned.changed, planned.pending) == (False, True)
    assert not site.plan().pending


def test_fingerprinted_files_have_a_tree_of_their_own(site: Site) -> None:
    files = {HASHED: CSS, "cache_manifest.json": MANIFEST, "photo-20240131.js": CSS}
    planned = site.release("one", files)
    assert names(site) == {
        f".immutable/static/{HASHED}",
        f".immutable/static/{HASHED}.gz",
        "static/cache_manifest.json",
        "static/photo-20240131.js",
        "static/photo-20240131.js.gz",
    }
    assert planned.wanted[f"static/{HASHED}"].entry.immutable
    assert not site.plan().changed


def test_a_file_moves_when_it_becomes_fingerprinted_and_back(site: Site) -> None:
    site.release("one", {HASHED: CSS})
    planned = site.release("two", {HASHED: CSS, "cache_manifest.json": MANIFEST})
    assert planned.removed == [f"static/{HASHED}", f"static/{HASHED}.gz"]
    assert names(site) >= {f".immutable/static/{HASHED}", f".immutable/static/{HASHED}.gz"}
    assert not site.plan().changed
    site.release("three", {HASHED: CSS})
    assert names(site) == {
        f"static/{HASHED}",
        f"static/{HASHED}.gz",
        "static/cache_manifest.json",
    }
    assert not site.plan().changed


def test_an_explicit_expression_is_searched_for_in_the_url_path(site: Site) -> None:
    regex = re.compile(r"^/static/dist/")
    site.release("one", {"dist/a.js": "a", "b/dist/b.js": "b"}, fingerprint_regex=regex)
    assert names(site) == {".immutable/static/dist/a.js", "static/b/dist/b.js"}


def test_a_name_that_is_no_fingerprint_after_all_is_revalidated(site: Site) -> None:
    files = {HASHED: CSS, "cache_manifest.json": MANIFEST}
    site.release("one", files)
    planned = site.release("two", {**files, HASHED: OTHER_CSS})
    assert planned.changed_names == [f"static/{HASHED}"]
    assert f"static/{HASHED}" in names(site)
    assert not any(".immutable" in name for name in names(site))
    # And it stays so.
    again = site.plan()
    assert (again.changed, again.changed_names) == (False, planned.changed_names)


def test_second_names_are_links_and_in_the_manifest(site: Site, tmp_path: Path) -> None:
    manifest = tmp_path / "static_manifest.json"
    site.release(
        "one",
        {"css/app.css": CSS, HASHED: "x", "cache_manifest.json": MANIFEST},
        fingerprint=True,
        manifest=str(manifest),
    )
    listed = json.loads(manifest.read_text())
    named = listed["static"]["css/app.css"]
    assert listed["static"].keys() == {"css/app.css", "cache_manifest.json"}
    first, second = site.root / "static/css/app.css", site.root / ".immutable/static" / named
    assert first.stat().st_ino == second.stat().st_ino
    assert unpacked(site, f".immutable/static/{named}.gz") == CSS
    assert not site.plan().changed
    assert manifest.stat().st_mode & 0o777 == 0o644
    # Another content has another name, and the first one stays.
    site.release("two", {"css/app.css": OTHER_CSS})
    assert json.loads(manifest.read_text())["static"]["css/app.css"] != named
    assert second.read_text() == CSS
    assert first.read_text() == OTHER_CSS
    manifest.write_text("damaged")
    assert site.publish().lines() == [f"~ {manifest}"]


def test_the_apps_own_sibling_has_a_second_name_too(site: Site) -> None:
    packed = gzip.compress(b"small", mtime=5)
    own_sibling(site, packed, "small")
    site.options = site.options._replace(fingerprint=True)
    site.publish()
    (second,) = (name for name in names(site) if name.startswith(".imm") and name.endswith("gz"))
    assert (site.root / second).read_bytes() == packed
    assert not site.plan().changed


def test_without_hard_links_files_are_copied(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_arguments: object, **_options: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", none)
    site.release("one", {"a.css": CSS, "b.css": CSS}, fingerprint=True)
    assert {unpacked(site, name) for name in names(site) if name.endswith(".gz")} == {CSS}
    assert len(names(site)) == 8
    assert not site.plan().changed


def test_a_failing_compression_leaves_whole_files_and_no_temporary_ones(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise _precompress.CompressError("brotli failed.")

    with monkeypatch.context() as patch:
        patch.setattr(_precompress, "compress", fail)
        with pytest.raises(PublishError, match="brotli failed"):
            site.release("one", {"app.css": CSS})
    site.publish()
    assert names(site) == {"static/app.css", "static/app.css.gz"}
    assert not [name for name in names(site) if _static_release.TEMPORARY in name]
