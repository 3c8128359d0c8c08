"""The key of an app: made once, kept whatever its variable is called, told to nobody."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _quote, _secret_key
from ansible_collections.flaskworks.static_media.plugins.module_utils._secret_key import (
    SecretKey,
    SecretKeyError,
)


@pytest.fixture
def key(tmp_path: Path) -> SecretKey:
    return SecretKey(str(tmp_path / "secret_key"), str(tmp_path / "secret_key.env"), "A_SECRET_KEY")


def told(key: SecretKey) -> dict[str, str]:
    return _quote.parse_env_file(Path(key.env_file).read_text())


def test_a_key_is_made_once(key: SecretKey) -> None:
    assert key.plan() == [key.path, key.env_file]
    assert not os.path.exists(key.path)
    assert key.apply() == [key.path, key.env_file]
    first = told(key)
    assert len(first["A_SECRET_KEY"]) >= 43
    assert key.plan() == key.apply() == []
    assert told(key) == first
    assert os.stat(key.path).st_mode & 0o777 == 0o600
    assert sorted(os.listdir(os.path.dirname(key.path))) == ["secret_key", "secret_key.env"]


def test_another_name_keeps_the_key(key: SecretKey) -> None:
    key.apply()
    first = told(key)["A_SECRET_KEY"]
    other = SecretKey(key.path, key.env_file, "B_SECRET_KEY")
    assert other.plan() == [key.env_file]
    other.apply()
    assert told(other) == {"B_SECRET_KEY": first}


def test_a_key_of_the_users_own_is_kept_and_quoted(key: SecretKey) -> None:
    Path(key.path).write_text('  a$b "c" \\ `d`#\n')
    key.apply()
    assert told(key) == {"A_SECRET_KEY": 'a$b "c" \\ `d`#'}


def test_two_hosts_have_two_keys(key: SecretKey, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = SecretKey(str(tmp_path / "other/k"), str(tmp_path / "other/e"), key.name)
    key.apply()
    other.apply()
    assert told(key) != told(other)


@pytest.mark.parametrize("content", ["", "\n", "one\ntwo\n", "a\0b"])
def test_what_is_no_key_is_refused_and_kept(key: SecretKey, content: str) -> None:
    Path(key.path).write_text(content)
    with pytest.raises(SecretKeyError) as failure:
        key.apply()
    assert key.path in str(failure.value)
    assert "two" not in str(failure.value)
    assert Path(key.path).read_text() == content
    assert not os.path.exists(key.env_file)


@pytest.mark.parametrize(
    "make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/etc/hostname", path)]
)
def test_what_is_no_file_is_refused(key: SecretKey, make: t.Callable[[str], None]) -> None:
    make(key.path)
    with pytest.raises(SecretKeyError, match="Move it away"):
        key.apply()


@pytest.mark.parametrize("at", ["fsync", "replace"])
@pytest.mark.parametrize("step", [1, 2])
def test_a_run_that_is_killed_is_made_good_by_the_next(key: SecretKey, at: str, step: int) -> None:
    script = (
        "import os, signal, sys\n"
        "from ansible_collections.flaskworks.static_media.plugins.module_utils import _secret_key\n"
        "at, left = sys.argv[1], int(sys.argv[2])\n"
        "real = getattr(os, at)\n"
        "def killed(*arguments):\n"
        "    global left\n"
        "    left -= 1\n"
        "    left or os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real(*arguments)\n"
        "setattr(os, at, killed)\n"
        "_secret_key.SecretKey(*sys.argv[3:]).apply()\n"
    )
    command = [sys.executable, "-c", script, at, str(step), key.path, key.env_file, key.name]
    environ = {**os.environ, "PYTHONPATH": str(Path(_secret_key.__file__).parents[5])}
    assert subprocess.run(command, check=False, env=environ).returncode == -9
    made = Path(key.path).read_text() if os.path.exists(key.path) else None
    assert (made is None) == (step == 1)
    key.apply()
    assert made in (None, f"{told(key)['A_SECRET_KEY']}\n")
    assert sorted(os.listdir(os.path.dirname(key.path))) == ["secret_key", "secret_key.env"]
