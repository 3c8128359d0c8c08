"""Make the control environment of this checkout: .venv with locked packages, and a collections path.

``control_env.py site`` holds what playbooks need, ``control_env.py test`` what the tests need on top.
Standard library only: it is the first thing to run on a fresh machine. Done again, it changes nothing.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
COLLECTION_LINK = ROOT / ".ansible/collections/ansible_collections/flaskworks/static_media"


class ControlEnvironmentError(Exception):
    """The environment can't be made; the message says what to do."""


def say(message: str) -> None:
    print(f"control environment: {message}", flush=True)


def run(argv: list[str]) -> None:
    # Private authorities that the system trusts are trusted by uv too, as they are by pip.
    env = {"UV_SYSTEM_CERTS": "true", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **os.environ}
    done = subprocess.run(argv, env=env, check=False)
    if done.returncode:
        raise ControlEnvironmentError(f"`{' '.join(argv)}` ended with status {done.returncode}.")


def privileged(argv: list[str]) -> list[str]:
    if os.geteuid() == 0:
        return argv
    if shutil.which("sudo"):
        return ["sudo", *argv]
    raise ControlEnvironmentError(f"As root, run: {' '.join(argv)}")


def ensure_ensurepip() -> None:
    """Debian splits what a virtual environment needs into a package of its own."""
    if importlib.util.find_spec("ensurepip"):
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if not shutil.which("apt-get"):
        raise ControlEnvironmentError(f"{sys.executable} has no ensurepip: install it, or uv.")
    say(f"installing {package}")
    run(privileged(["apt-get", "update", "--quiet=2"]))
    install = ["apt-get", "install", "--quiet=2", "-o", "Dpkg::Use-Pty=0", "--yes"]
    unattended = ["env", "DEBIAN_FRONTEND=noninteractive"]
    run(privileged([*unattended, *install, "--no-install-recommends", package]))


def interpreter() -> str:
    """What a virtual environment stays usable with."""
    return f"{sys.version} {sys.base_prefix}"


def runs(python: Path) -> bool:
    try:
        return subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def ensure_venv(venv: Path = VENV) -> None:
    made_with = venv / "made-with"
    if made_with.is_file() and made_with.read_text() == interpreter() and runs(python_of(venv)):
        return
    say(f"Python {sys.version.split()[0]} in {venv}")
    shutil.rmtree(venv, ignore_errors=True)
    if shutil.which("uv"):
        run(["uv", "venv", "--quiet", "--python", sys.executable, str(venv)])
    else:
        ensure_ensurepip()
        run([sys.executable, "-m", "venv", str(venv)])
    made_with.write_text(interpreter())


def python_of(venv: Path) -> Path:
    return venv / "bin" / "python"


def install(lock: Path, target: Path | None = None, venv: Path = VENV) -> None:
    """Install what the lock names, and nothing whose hash it does not hold."""
    python = str(python_of(venv))
    arguments = ["--quiet", "--require-hashes", "--requirement", str(lock)]
    if target:
        arguments += ["--target", str(target)]
    if shutil.which("uv"):
        run(["uv", "pip", "install", "--python", python, *arguments])
    else:
        run([python, "-m", "pip", "install", *arguments])


def ensure_packages(name: str, venv: Path = VENV) -> None:
    lock = ROOT / "requirements" / f"{name}.txt"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    installed = venv / f"installed-{name}"
    if installed.is_file() and installed.read_text() == digest:
        return
    say(f"installing {lock.relative_to(ROOT)}")
    install(lock, venv=venv)
    installed.write_text(digest)


def ensure_collection_link() -> None:
    """Make ``flaskworks.static_media.*`` mean this checkout."""
    target = Path(os.path.relpath(ROOT, COLLECTION_LINK.parent))
    if COLLECTION_LINK.is_symlink() and COLLECTION_LINK.readlink() == target:
        return
    COLLECTION_LINK.parent.mkdir(parents=True, exist_ok=True)
    COLLECTION_LINK.unlink(missing_ok=True)
    COLLECTION_LINK.symlink_to(target)


def main(arguments: list[str]) -> int:
    if arguments not in (["site"], ["test"]):
        print("usage: control_env.py site|test", file=sys.stderr)
        return 2
    try:
        ensure_venv()
        ensure_packages(arguments[0])
        ensure_collection_link()
    except ControlEnvironmentError as error:
        print(f"control environment: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
