"""What flask_app_source may name, and what is packed of it."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _source


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    (directory / "gallery" / "static").mkdir(parents=True)
    (directory / "pyproject.toml").write_text("[project]\n")
    (directory / "gallery" / "__init__.py").write_text("")
    (directory / "gallery" / "static" / "app.css").write_text("a{}")
    return directory


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=directory, check=True, capture_output=True, text=True
    ).stdout.strip()


def names(archive: str) -> set[str]:
    with tarfile.open(archive) as stream:
        return set(stream.getnames())


def test_a_directory_is_packed_without_caches_and_secrets(project: Path, tmp_path: Path) -> None:
    for left_out in (
        ".git/config",
        ".venv/bin/python",
        "gallery/__pycache__/x.pyc",
        "instance/x",
        ".env",
    ):
        path = project / left_out
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    source = _source.identify(str(project))
    assert source.kind == "directory"
    assert names(str(source.pack(str(tmp_path)))) == {
        "source/pyproject.toml",
        "source/gallery/__init__.py",
        "source/gallery/static/app.css",
    }


def test_the_fingerprint_follows_content_and_not_time(project: Path) -> None:
    first = _source.identify(str(project)).fingerprint
    css = project / "gallery" / "static" / "app.css"
    css.touch()
    assert _source.identify(str(project)).fingerprint == first
    css.write_text("b{}")
    assert _source.identify(str(project)).fingerprint != first


def test_the_fingerprint_follows_names(project: Path) -> None:
    first = _source.identify(str(project)).fingerprint
    css = project / "gallery" / "static" / "app.css"
    css.rename(css.with_name("site.css"))
    assert _source.identify(str(project)).fingerprint != first


def test_a_wheel_is_sent_as_it_is(tmp_path: Path) -> None:
    wheel = tmp_path / "gallery-1.0-py3-none-any.whl"
    wheel.write_bytes(b"PK")
    source = _source.identify(str(wheel))
    assert (source.kind, source.pack(str(tmp_path))) == ("archive", str(wheel))


def test_git_is_resolved_to_a_commit_and_packed(project: Path, tmp_path: Path) -> None:
    git(project, "init", "--quiet", "--initial-branch=main")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message=one")
    git(project, "tag", "--annotate", "v1", "--message=v1")
    commit = git(project, "rev-parse", "HEAD")
    (project / "gallery" / "later.py").write_text("")
    source = _source.identify(f"git+file://{project}@v1")
    assert (source.kind, source.ref) == ("git", commit)
    packed = names(str(source.pack(str(tmp_path))))
    assert "source/pyproject.toml" in packed
    assert "source/gallery/later.py" not in packed


@pytest.mark.parametrize(
    "text",
    [
        "gallery",
        "gallery==1.2",
        "gallery[extra]>=1,<2",
        "Gallery.App ~= 1.0",
        "a @ https://x.example/a.whl",
    ],
)
def test_a_requirement_is_the_hosts_to_fetch(text: str, tmp_path: Path) -> None:
    source = _source.identify(text)
    assert (source.kind, source.location, source.pack(str(tmp_path))) == ("requirement", text, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/nowhere/project", "no such file or directory"),
        ("./project", "no such file or directory"),
        ("dist/gallery-1.0-py3-none-any.whl", "no such file or directory"),
        ("gallery 1.2", "no directory, wheel"),
        ("--index-url=x", "no directory, wheel"),
        ("git+gallery", r"Write git\+https"),
        ("", "no directory, wheel"),
    ],
)
def test_nonsense_is_refused(
    text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(_source.SourceError, match=words):
        _source.identify(text)


def test_a_directory_that_is_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(_source.SourceError, match=r"pyproject\.toml"):
        _source.identify(str(tmp_path))


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("")
    with pytest.raises(_source.SourceError, match="neither a wheel"):
        _source.identify(str(tmp_path / "app.py"))


def test_a_ref_that_is_not_there_is_refused(project: Path) -> None:
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message=one")
    with pytest.raises(_source.SourceError, match="no branch or tag"):
        _source.identify(f"git+file://{project}@v9")
