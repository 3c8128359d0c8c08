"""Make this machine able to run the tests: programs, and a Docker engine that answers.

What is there is used as it is. What is missing is installed on Debian and Ubuntu when root; elsewhere
the message says what to install. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCKERD_LOG = ROOT / ".build" / "dockerd.log"
DOCKER_START_SECONDS = 90

# Program, and the Debian packages that bring it.
PROGRAMS = {
    "chromedriver": ["chromium", "chromium-driver"],
    "git": ["git"],
    "mmdebstrap": ["mmdebstrap", "debian-archive-keyring"],
    "nginx": ["nginx"],
    "setfacl": ["acl"],
    "shellcheck": ["shellcheck"],
}
# Where Debian ships Docker's client apart from its engine, the client's package is docker-cli; bookworm
# has none of that name. A client may be there without an engine, and answer for one elsewhere.
DOCKER = {"docker": ["docker.io", "docker-cli"], "dockerd": ["docker.io", "docker-cli"]}
POLICY = Path("/usr/sbin/policy-rc.d")


class MachineError(Exception):
    """The machine can't run the tests; the message says what to do."""


def say(message: str) -> None:
    print(message, flush=True)


def find(program: str) -> str | None:
    # Users' PATH often lacks the directories of system programs.
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def is_available(package: str) -> bool:
    policy = subprocess.run(
        ["apt-cache", "policy", package], capture_output=True, text=True, check=False
    ).stdout
    return "Candidate:" in policy and "Candidate: (none)" not in policy


def apt_get(*arguments: str) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Another apt-get, such as a fresh machine's own first update, is waited for.
    options = ["-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]
    argv = ["apt-get", "--quiet=2", "--yes", *options, *arguments]
    if subprocess.run(argv, env=env, check=False).returncode:
        raise MachineError(f"`{' '.join(argv)}` failed; its message is above.")


def install_without_starting(packages: list[str]) -> None:
    """Debian starts a service when it is installed; the tests' Nginx must not take this machine's ports."""
    if POLICY.exists():
        apt_get("install", "--no-install-recommends", *packages)
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        apt_get("install", "--no-install-recommends", *packages)
    finally:
        POLICY.unlink()


def ensure_programs() -> None:
    programs = PROGRAMS if docker_answers() else {**PROGRAMS, **DOCKER}
    missing = [program for program in programs if not find(program)]
    if not missing:
        return
    packages = sorted({package for program in missing for package in programs[program]})
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise MachineError(
            f"Not found: {', '.join(missing)}. Install them, or run as root on Debian or Ubuntu"
            f" (packages there: {' '.join(packages)})."
        )
    apt_get("update")
    packages = [package for package in packages if is_available(package)]
    say(f"installing {' '.join(packages)}")
    install_without_starting(packages)
    if "nginx" in missing and systemd_runs():
        subprocess.run(["systemctl", "disable", "--quiet", "nginx"], check=True)
    still_missing = [program for program in missing if not find(program)]
    if still_missing:
        raise MachineError(f"Installed, yet not found: {', '.join(still_missing)}.")


def systemd_runs() -> bool:
    return Path("/run/systemd/system").is_dir()


def docker_answers() -> bool:
    docker = find("docker")
    if not docker:
        return False
    return subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


def live_dockerd() -> bool:
    """A second daemon beside a live one deletes the first one's bridge."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "comm").read_text().strip() == "dockerd":
                    return True
            except OSError:
                continue
    return False


def start_docker() -> subprocess.Popen[bytes] | None:
    """The daemon, if it is this process that started it."""
    if os.geteuid() != 0:
        raise MachineError("Docker does not answer: start it, and let this user reach its socket.")
    if systemd_runs():
        subprocess.run(["systemctl", "start", "docker"], check=True)
        return None
    if live_dockerd():
        return None
    program = find("dockerd")
    if not program:
        raise MachineError("Docker's client is here, its engine is neither here nor answering.")
    # Left by a machine that was stopped; its number may be another process's by now.
    Path("/var/run/docker.pid").unlink(missing_ok=True)
    DOCKERD_LOG.parent.mkdir(exist_ok=True)
    say("starting dockerd")
    with DOCKERD_LOG.open("wb") as log:
        # In a session of its own: it outlives the tests, as a service would.
        return subprocess.Popen(
            [program],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )


def ensure_docker() -> None:
    if docker_answers():
        return
    daemon = start_docker()
    deadline = time.monotonic() + DOCKER_START_SECONDS
    while not docker_answers():
        ended = daemon is not None and daemon.poll() is not None
        if ended or time.monotonic() > deadline:
            log = DOCKERD_LOG.read_text()[-3000:] if daemon else ""
            raise MachineError(
                f"Docker did not answer {'and ended' if ended else f'in {DOCKER_START_SECONDS} s'}."
                f"\n{log}"
            )
        time.sleep(0.5)


def main() -> int:
    try:
        ensure_programs()
        ensure_docker()
    except MachineError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
