"""Histories of releases: published, pruned, killed in between."""

from __future__ import annotations

import contextlib
import gzip
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _static_prune,
    _static_records,
    _static_release,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._static_tree import (
    PublishError,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.published import Site

LARGE = "large " * 300


class KilledError(BaseException):
    """Nothing of ours catches it."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize(
    ("keep", "keep_releases", "words"),
    [
        (None, None, "Say which releases stay"),
        (None, -1, "Write 0 or more"),
        (["../x"], None, "is no id of a release"),
    ],
)
def test_pruning_without_saying_what_stays_is_refused(
    site: Site, keep: list[str] | None, keep_releases: int | None, words: str
) -> None:
    site.release("one", {"a": "1"})
    with pytest.raises(PublishError, match=words):
        site.prune(keep, keep_releases)
    assert site.published() == {"static/a": "1"}


@pytest.mark.parametrize("release", ["", ".", "../x", "a/b", "-x", "a\n", "a" * 65, "ü"])
def test_what_is_no_release_id_is_refused(site: Site, release: str) -> None:
    with pytest.raises(PublishError, match="is no id of a release"):
        site.release(release, {"a": "1"})
    assert not site.root.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"schema": 2}',
        b'{"schema": 1, "release": "x", "files": {"a": 5}}',
        b"\xff",
    ],
)
def test_a_record_that_is_none_is_refused_by_name(site: Site, content: bytes) -> None:
    site.release("one", {"a": "1"})
    (site.root / ".releases/one.json").write_bytes(content)
    for act in (site.plan, lambda: site.prune(keep_releases=0)):
        with pytest.raises(PublishError, match=r"one.json can't be read as the record"):
            act()
    assert site.published() == {"static/a": "1"}


def test_a_record_that_is_a_link_is_not_followed(site: Site) -> None:
    site.release("one", {"a": "1"})
    record = site.root / ".releases/one.json"
    record.rename(site.directory / "moved")
    record.symlink_to(site.directory / "moved")
    with pytest.raises(PublishError, match=r"one.json can't be read"):
        site.plan()


def test_two_runs_do_not_publish_side_by_side(site: Site) -> None:
    site.release("one", {"a": "1"})
    with contextlib.closing(_static_records.Records(str(site.root))):
        with pytest.raises(PublishError, match="Another run publishes"):
            site.release("two", {"a": "2"})
        with pytest.raises(PublishError, match="Another run publishes"):
            _static_prune.apply(str(site.root), _static_prune.Prune(releases=["one"]))
    assert site.published() == {"static/a": "1"}


def test_pruning_goes_by_release(site: Site) -> None:
    for number in "12345":
        site.release(number, {f"only-{number}": number, "all": number, "css/x": "same"})
    site.release("6", {"only-6": "6"})
    planned = _static_prune.plan(str(site.root), None, 3)
    assert planned.lines() == [
        "- static/only-1",
        "- static/only-2",
        "- .releases/1.json",
        "- .releases/2.json",
    ]
    assert site.prune(keep_releases=3).lines() == planned.lines()
    assert site.published().keys() == {
        *(f"static/only-{number}" for number in "3456"),
        "static/all",
        "static/css/x",
    }
    assert not site.prune(keep_releases=3).changed
    assert [record.release for record in site.records()] == ["6", "5", "4", "3"]
    last = site.prune(keep=["4"])
    assert (last.kept, last.releases) == (["6", "4"], ["3", "5"])
    assert site.prune(keep=[]).directories == ["static/css"]
    assert site.published() == {"static/only-6": "6"}
    assert not site.plan().changed


def test_what_others_put_there_is_never_pruned(site: Site) -> None:
    site.release("one", {"css/a": "1", "css/b": "2", "c": "3"})
    site.write(site.root / "static", {"css/theirs": "x", "theirs": "x", "c": "theirs now"})
    (site.root / "static/css/b").unlink()
    (site.root / "static/css/b").symlink_to("/etc/hostname")
    site.release("two", {"z": "2"})
    planned = site.prune(keep_releases=0)
    assert planned.files == ["static/css/a"]
    assert planned.foreign == ["static/c", "static/css/b"]
    assert site.published().keys() >= {"static/css/theirs", "static/theirs", "static/c"}
    assert (site.root / "static/css/b").is_symlink()
    assert not site.prune(keep_releases=0).changed


def test_a_file_of_a_release_between_is_known_by_its_time(site: Site) -> None:
    site.options = site.options._replace(encodings=("gz",))
    site.release("one", {"a.css": LARGE})
    site.release("two", {"a.css": LARGE.upper()})
    site.release("three", {"b.css": "3"})
    site.prune(keep=["one"])
    assert (site.root / "static/a.css").read_text() == LARGE.upper()
    site.prune(keep=[])
    assert site.published() == {"static/b.css": "3"}


def test_a_rollback_brings_the_files_back_and_is_the_newest(site: Site) -> None:
    site.release("one", {"a": "1"})
    site.release("two", {"a": "2"})
    planned = site.release("one", {"a": "1"})
    assert "~ .releases/one.json" in planned.lines()
    assert [record.release for record in site.records()] == ["one", "two"]
    assert site.published() == {"static/a": "1"}
    assert not site.plan().changed


def test_files_that_the_same_release_had_before_can_be_pruned(site: Site) -> None:
    site.release("one", {"a": "1", "b": "1"})
    site.release("one", {"b": "1"})
    assert site.published() == {"static/a": "1", "static/b": "1"}
    site.release("two", {"c": "2"})
    site.prune(keep_releases=0)
    assert site.published() == {"static/c": "2"}


def test_the_record_is_there_before_the_first_file(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_arguments: t.Any, **_options: t.Any) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(_static_release._Publisher, "_copy", die)
        with pytest.raises(KilledError):
            site.release("one", {"a": "1"})
    (record,) = site.records()
    assert (record.complete, list(record.files)) == (False, ["static/a"])


def test_an_id_is_derived_from_the_content(site: Site) -> None:
    folder = site.mount("/static/", a_css="1")
    first = site.publish().record.release
    site.write(folder, {"a.css": "1"}, mtime=5)
    assert site.publish().record.release == first
    site.write(folder, {"a.css": "2"})
    assert site.publish().record.release != first


CALLS = ("rename", "unlink", "link", "mkdir", "rmdir", "utime", "fchmod")


@contextlib.contextmanager
def killed_at(moment: int | None) -> t.Iterator[None]:
    """Within it, the system call of that number, and all after it, do not happen."""
    if moment is None:
        yield
        return
    left = moment
    with pytest.MonkeyPatch.context() as patch:

        def counted(real: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
            def call(*arguments: t.Any, **options: t.Any) -> t.Any:
                nonlocal left
                left -= 1
                if left < 0:
                    raise KilledError
                return real(*arguments, **options)

            return call

        for name in CALLS:
            patch.setattr(os, name, counted(getattr(os, name)))
        with contextlib.suppress(KilledError):
            yield


NAMES = ("a.css", "b/c.js", f"h-{'0123456789abcdef' * 2}.js")
CONTENTS = ("small", LARGE, LARGE + "!", LARGE.upper())
FILES = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(CONTENTS))
MOMENT = st.none() | st.integers(0, 60)
STEP = st.one_of(
    st.tuples(st.just("publish"), st.sampled_from("1234"), FILES, st.booleans(), MOMENT),
    st.tuples(st.just("prune"), st.sets(st.sampled_from("1234")), st.integers(0, 2), MOMENT),
)


class History:
    """A site, and what must be true of it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        site.options = site.options._replace(encodings=("gz",), fingerprint=True)
        site.root.mkdir()
        (site.root / "theirs").mkdir()
        site.write(site.root, {"theirs/x.css": "theirs", "theirs/x.css.gz": "theirs"})
        self.folders: dict[str, dict[str, str]] = {}
        # What is served at each URL path: that of the newest publication that has it.
        self.served: dict[str, set[str]] = {}

    def publish(
        self, release: str, files: dict[str, str], hashed: bool, moment: int | None
    ) -> None:
        # The content of a release never changes.
        files = self.folders.setdefault(
            release, {**files, "cache_manifest.json": f'{{"x": "{NAMES[2]}"}}'} if hashed else files
        )
        self.site.build(release, files)
        with killed_at(moment):
            self.site.publish()
        self.look(files)
        self.site.publish()
        assert not self.site.plan().pending
        for name, text in files.items():
            self.served[f"static/{name}"] = {text}
        self.look({})

    def prune(self, keep: set[str], keep_releases: int, moment: int | None) -> None:
        before = {record.release: record for record in self.site.records()}
        with killed_at(moment):
            self.site.prune(keep, keep_releases)
        done = self.site.prune(keep, keep_releases)
        assert not self.site.prune(keep, keep_releases).changed
        kept = {path for release in done.kept for path in before[release].files}
        self.served = {path: text for path, text in self.served.items() if path in kept}
        self.look({})
        published = {path.removeprefix(".immutable/") for path in self.urls()}
        assert published <= kept

    def urls(self) -> set[str]:
        root = self.site.root
        return {
            str(path.relative_to(root))
            for path in root.rglob("*")
            if path.is_file() and not {"theirs", ".releases"} & set(path.parts)
        }

    def look(self, coming: dict[str, str]) -> None:
        """Ask for every file as Nginx would; one in the course of a publish is old or new."""
        for path, texts in self.served.items():
            allowed = texts | {text for name, text in coming.items() if f"static/{name}" == path}
            places = [self.site.root / path, self.site.root / ".immutable" / path]
            found = next(place for place in places if place.is_file())
            assert found.read_text() in allowed
        for path in self.urls():
            base = self.site.root / path.removesuffix(".gz")
            if path.endswith(".gz") and "static_release" not in path and base.is_file():
                packed = (self.site.root / path).read_bytes()
                assert gzip.decompress(packed) == base.read_bytes()
                assert self.site.etag(path)[0] == int(base.stat().st_mtime)
        assert (self.site.root / "theirs/x.css").read_text() == "theirs"
        assert (self.site.root / "theirs/x.css.gz").read_text() == "theirs"


@settings(max_examples=60)
@given(st.lists(STEP, max_size=7))
def test_any_history_keeps_what_it_must(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[t.Any, ...]]
) -> None:
    history = History(Site(tmp_path_factory.mktemp("site")))
    for action, *arguments in steps:
        getattr(history, action)(*arguments)


@settings(max_examples=40)
@given(st.lists(st.tuples(FILES, st.booleans()), min_size=1, max_size=4), FILES)
def test_etags_do_not_depend_on_the_history(
    tmp_path_factory: pytest.TempPathFactory,
    before: list[tuple[dict[str, str], bool]],
    files: dict[str, str],
) -> None:
    etags = []
    for past in ([], before):
        site = Site(tmp_path_factory.mktemp("site"))
        site.options = site.options._replace(encodings=("gz",))
        for number, (earlier, pruned) in enumerate(past):
            site.release(f"before-{number}", earlier)
            if pruned:
                site.prune(keep_releases=0)
        planned = site.release("last", files)
        etags.append({path: site.etag(wanted.target) for path, wanted in planned.wanted.items()})
    assert etags[0] == etags[1]
