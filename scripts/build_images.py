"""Build the images that Molecule's hosts run, where they are missing, and print their tags as JSON.

``build_images.py [NAME…]``; a name is KIND-RELEASE, such as ``node-debian12``. The base is Debian's
own image where a registry answers, else bootstrapped from Debian's packages. Standard library only.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECIPES = ROOT / "molecule" / "shared" / "images"
LOCK = ROOT / ".build" / "images.lock"
PULL_SECONDS = 120

# Release, and the suite that mmdebstrap knows it by.
RELEASES = {"debian12": "bookworm", "debian13": "trixie"}
# node: systemd as PID 1. ready: the same, and what deploys install. fresh: what `make site` may expect of a
# new machine, and no init at all. diagnosis: ready, and what other people's hosts are made of.
# docker: one of those that runs containers.
KINDS = ("node", "ready", "fresh", "diagnosis", "docker")
# What a kind is made from, where that is not Debian alone.
MADE_FROM = {"ready": "node", "diagnosis": "ready", "docker": "diagnosis"}
# Nothing that is asked of a docker host differs by the release.
ONLY = {"docker": ("debian12",)}
# What is copied into it, from the environment that this runs in.
COPIED = {"ready": Path(sys.executable).with_name("uv")}
NAMES = [f"{kind}-{release}" for kind in KINDS for release in ONLY.get(kind, RELEASES)]


class ImageError(Exception):
    """An image can't be made; the message says what was tried."""


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def exists(tag: str) -> bool:
    argv = ["docker", "image", "inspect", tag]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def pull(image: str) -> bool:
    try:
        done = subprocess.run(
            ["docker", "pull", "--quiet", image],
            capture_output=True,
            timeout=PULL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def bootstrap(suite: str, tag: str) -> None:
    if os.geteuid() != 0:
        raise ImageError(f"No registry answers, and bootstrapping {suite} needs root.")
    # In a session of its own: a broken pipe makes mmdebstrap hang up its whole process group.
    with subprocess.Popen(
        ["mmdebstrap", "--quiet", "--variant=minbase", suite, "-"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as debootstrap:
        imported = subprocess.run(
            ["docker", "import", "-", tag],
            stdin=debootstrap.stdout,
            stdout=subprocess.DEVNULL,
            check=False,
        )
    if debootstrap.returncode or imported.returncode:
        subprocess.run(["docker", "rmi", tag], capture_output=True, check=False)
        raise ImageError(f"Bootstrapping {suite} with mmdebstrap failed; its message is above.")


def ensure_base(release: str) -> str:
    tag = f"flaskworks-base:{release}"
    if exists(tag):
        return tag
    official = f"debian:{release.removeprefix('debian')}"
    if exists(official) or pull(official):
        say(f"{tag} is {official}")
        subprocess.run(["docker", "tag", official, tag], check=True)
    else:
        say(f"{tag}: no registry answers for {official}, bootstrapping {RELEASES[release]}")
        bootstrap(RELEASES[release], tag)
    return tag


def ensure_image(name: str) -> str:
    kind, release = name.split("-")
    recipe, copied = RECIPES / kind / "Dockerfile", COPIED.get(kind)
    base = ensure_image(f"{MADE_FROM[kind]}-{release}") if kind in MADE_FROM else None
    content = recipe.read_bytes() + str(base or "").encode() + (version(copied) if copied else b"")
    tag = f"flaskworks-{kind}:{release}-{hashlib.sha256(content).hexdigest()[:12]}"
    if exists(tag):
        return tag
    base = base or ensure_base(release)
    say(f"building {tag}")
    with tempfile.TemporaryDirectory() as context:
        for path in filter(None, (recipe, copied)):
            shutil.copy(path, context)
        argv = ["docker", "build", "--tag", tag, "--build-arg", f"BASE={base}", context]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImageError(f"`{' '.join(argv)}` failed:\n{done.stdout}\n{done.stderr}")
    return tag


def version(program: Path) -> bytes:
    if not program.is_file():
        raise ImageError(f"There is no {program}. Run this by the Python of `make test-env`.")
    return subprocess.run([program, "--version"], capture_output=True, check=True).stdout


def main(names: list[str]) -> int:
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        say(f"No image named {', '.join(unknown)}; there are {', '.join(NAMES)}.")
        return 2
    LOCK.parent.mkdir(exist_ok=True)
    try:
        with LOCK.open("w") as lock:
            # Scenarios that start together build each image once.
            fcntl.flock(lock, fcntl.LOCK_EX)
            tags = {name: ensure_image(name) for name in names or NAMES}
    except (ImageError, subprocess.SubprocessError) as error:
        say(str(error))
        return 1
    print(json.dumps(tags))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
