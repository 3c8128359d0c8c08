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


@pytest.fixture
def repository(project: Path) -> Path:
    git(project, "init", "--quiet", "--initial-branch=main")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message=one")
    return project


def commit(repository: Path, message: str) -> str:
    git(repository, "commit", "--quiet", "--allow-empty", f"--message={message}")
    return git(repository, "rev-parse", "HEAD")


def test_a_branch_is_not_one_whose_name_ends_alike(repository: Path) -> None:
    main = git(repository, "rev-parse", "HEAD")
    for name in ("user/main", "zz/refs/heads/main"):
        git(repository, "checkout", "--quiet", "-b", name, "main")
        commit(repository, name)
    git(repository, "tag", "zz/main")
    assert _source.identify(f"git+file://{repository}@main").ref == main
    git(repository, "branch", "--quiet", "feature/x", "user/main")
    git(repository, "branch", "--quiet", "--delete", "--force", "main")
    with pytest.raises(_source.SourceError, match="no branch or tag 'main'"):
        _source.identify(f"git+file://{repository}@main")


def test_a_tag_goes_before_a_branch_and_head_is_the_default(repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    git(repository, "tag", "--annotate", "v1", "--message=v1")
    git(repository, "tag", "light")
    second = commit(repository, "two")
    for name in ("v1", "light"):
        git(repository, "branch", name)
        assert _source.identify(f"git+file://{repository}@{name}").ref == first
    assert _source.identify(f"git+file://{repository}").ref == second
    assert _source.identify(f"git+file://{repository}#egg=x").ref == second
    assert _source.identify(f"git+file://{repository}@{first}").ref == first
    with pytest.raises(_source.SourceError, match="whole commit id"):
        _source.identify(f"git+file://{repository}@{first[:12]}")
    with pytest.raises(_source.SourceError, match="no branch or tag ''"):
        _source.identify(f"git+file://{repository}@")


def test_a_branch_may_have_slashes_and_a_path_an_at(repository: Path) -> None:
    git(repository, "branch", "feature/x")
    other = repository.with_name("a@b")
    repository.rename(other)
    source = _source.identify(f"git+file://{other}@feature/x")
    assert (source.location, source.ref) == (f"file://{other}", git(other, "rev-parse", "HEAD"))


@pytest.mark.parametrize(
    ("text", "url", "ref"),
    [
        ("git+ssh://git@host.example/a.git", "ssh://git@host.example/a.git", "HEAD"),
        ("git+ssh://git@host.example/a.git@v1", "ssh://git@host.example/a.git", "v1"),
        ("git+https://u:p@host.example/a.git@f/x", "https://u:p@host.example/a.git", "f/x"),
        ("git+https://host.example/@me/a.git@f/x#egg=a", "https://host.example/@me/a.git", "f/x"),
    ],
)
def test_the_version_is_what_follows_the_last_at_of_the_path(
    monkeypatch: pytest.MonkeyPatch, text: str, url: str, ref: str
) -> None:
    asked: list[tuple[str, ...]] = []

    def resolve_commit(*arguments: str) -> str:
        asked.append(arguments)
        return "0" * 40

    monkeypatch.setattr(_source, "_resolve_commit", resolve_commit)
    assert _source.identify(text).location == url
    assert asked == [(url, ref)]


def test_a_token_is_never_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Stands for git, which repeats the URL in some of its messages.
    program = tmp_path / "git"
    program.write_text('#!/bin/sh\necho "fatal: $* failed" >&2\nexit 128\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for userinfo in ("s3cret", "user:s3cret", "user@corp:s3cret"):
        for text in (
            f"git+https://{userinfo}@host.example/a.git@main",
            f"git+https://{userinfo}@host.example",
            f"git+ssh://u:s3cret@host.example/a.git {userinfo}",
            f"a b @ https://{userinfo}@host.example/a.whl",
        ):
            with pytest.raises(_source.SourceError) as failure:
                _source.identify(text.removesuffix(f" {userinfo}"))
            assert "s3cret" not in str(failure.value)
            assert "host.example" in str(failure.value)
    requirement = _source.identify("a @ https://s3cret@host.example/a.whl")
    assert requirement.name == "a @ https://***@host.example/a.whl"
    assert "s3cret" in requirement.location
    assert _source.mask("ssh://git@host.example/a@v1") == "ssh://git@host.example/a@v1"
    assert _source.mask("https://host.example/@me/a@v1") == "https://host.example/@me/a@v1"


def test_a_packages_own_directory_is_packed_whatever_its_name(
    project: Path, tmp_path: Path
) -> None:
    for name in ("instance", "venv", "node_modules"):
        for parent in (project, project / "gallery", project / "gallery" / "static"):
            (parent / name).mkdir()
            (parent / name / "x.txt").write_text(name)
    for left_out in ("src/instance", "tools/py/.venv", "gallery/sub/__pycache__", ".env.d"):
        (project / left_out).mkdir(parents=True)
        (project / left_out / "x.txt").write_text("")
    (project / "tools/py/.venv/pyvenv.cfg").write_text("")
    (project / "gallery" / ".env").write_text("KEY=secret")
    source = _source.identify(str(project))
    assert names(str(source.pack(str(tmp_path)))) == {
        "source/pyproject.toml",
        "source/.env.d/x.txt",
        "source/gallery/__init__.py",
        "source/gallery/static/app.css",
        *(f"source/gallery/{name}/x.txt" for name in ("instance", "venv", "node_modules")),
        *(f"source/gallery/static/{name}/x.txt" for name in ("instance", "venv", "node_modules")),
    }


def test_a_link_inside_the_project_stays_a_link(project: Path, tmp_path: Path) -> None:
    static = project / "gallery" / "static"
    (project / "gallery" / "assets").symlink_to("static")
    (static / "absolute.css").symlink_to(static / "app.css")
    (static / "top").symlink_to("../..")
    (static / ".#app.css").symlink_to("me@laptop.1:2")
    source = _source.identify(str(project))
    with tarfile.open(str(source.pack(str(tmp_path)))) as stream:
        links = {member.name: member.linkname for member in stream if member.issym()}
    assert links == {
        "source/gallery/assets": "static",
        "source/gallery/static/absolute.css": "app.css",
        "source/gallery/static/top": "../..",
    }
    (project / "gallery" / "assets").unlink()
    (project / "gallery" / "assets").symlink_to("static/app.css")
    assert _source.identify(str(project)).fingerprint != source.fingerprint


def test_a_project_behind_a_link_is_packed(project: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(project)
    (project / "gallery" / "assets").symlink_to(tmp_path / "link" / "gallery" / "static")
    source = _source.identify(str(tmp_path / "link"))
    assert source.fingerprint == _source.identify(str(project)).fingerprint
    assert "source/gallery/assets" in names(str(source.pack(str(tmp_path))))


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("/etc/hostname", "leads out of the project, to /etc/hostname"),
        ("/etc", "leads out of the project"),
        ("../../secret", "leads out of the project"),
        ("nothing", "leads nowhere"),
        ("../venv/x", "and venv is no part of a release"),
    ],
)
def test_a_link_to_what_is_not_sent_is_refused(project: Path, target: str, words: str) -> None:
    (project.parent / "secret").write_text("")
    (project / "venv" / "x").mkdir(parents=True)
    (project / "gallery" / "link").symlink_to(target)
    with pytest.raises(_source.SourceError, match=rf"gallery/link is a link .*{words}"):
        _source.identify(str(project))
