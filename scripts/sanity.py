"""Run ``ansible-test sanity`` on what is released: the installed tarball.

ansible-test wants a real directory ansible_collections/NAMESPACE/NAME, which it writes into, and
fetches an installer of pip from a host of its own. It gets a copy, a home directory of its own that
keeps its virtual environments between runs, and a stand-in that copies a locked pip into them.
Skipped checks are failures: whatever it skips for want of a program is to be installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import control_env

BUILD = control_env.ROOT / ".build"
INSTALLED = BUILD / "collections/ansible_collections/flaskworks/static_media"
WORK = BUILD / "sanity"
COLLECTION = WORK / "ansible_collections/flaskworks/static_media"
HOME = WORK / "home"
CACHE = HOME / ".ansible/test/cache"

GET_PIP = """\
import shutil, sysconfig
shutil.copytree({pip!r}, sysconfig.get_path("purelib"), dirs_exist_ok=True)
"""


class SanityError(Exception):
    """ansible-test could not be set up."""


def wanted_pip() -> str:
    """The version of pip that this ansible-test asks its installer for."""
    package = find_spec("ansible_test")
    if not package or not package.submodule_search_locations:
        raise SanityError("ansible-test is not installed beside this Python.")
    source = Path(package.submodule_search_locations[0], "_internal/python_requirements.py")
    versions = re.findall(r"\bpip='([0-9.]+)'", source.read_text())
    if len(versions) != 1:
        raise SanityError(f"{source} no longer names one version of pip: {versions}")
    return str(versions[0])


def provide_pip() -> None:
    version = wanted_pip()
    pip = WORK / f"pip-{version}"
    if not (pip / "pip").is_dir():
        control_env.install(control_env.ROOT / "requirements/sanity.txt", target=pip)
    if not (pip / f"pip-{version}.dist-info").is_dir():
        raise SanityError(
            f"ansible-test wants pip {version}: write that into requirements/sanity.in, `make lock`."
        )
    CACHE.mkdir(parents=True, exist_ok=True)
    installer = CACHE / f"get_pip_{version.replace('.', '_')}.py"
    installer.write_text(GET_PIP.format(pip=str(pip)))


def copy_collection() -> None:
    shutil.rmtree(COLLECTION, ignore_errors=True)
    shutil.copytree(INSTALLED, COLLECTION)
    # A repository of its own: in the checkout's, .build is ignored, and so would be all of it.
    subprocess.run(["git", "init", "--quiet", str(COLLECTION)], check=True)
    (COLLECTION / ".git/info/exclude").write_text("/tests/output/\n")


def run() -> int:
    # The Python beside this one only: a version manager's shims claim versions they do not have.
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    env = {**os.environ, "HOME": str(HOME), "PATH": path}
    # Set for this checkout; ansible-test makes its own, and refuses a collection it finds twice.
    for name in ("ANSIBLE_CONFIG", "ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_HOME"):
        env.pop(name, None)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    argv = ["ansible-test", "sanity", "--venv", "--python", version, "--color", "no"]
    with subprocess.Popen(
        argv, cwd=COLLECTION, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as ansible_test:
        assert ansible_test.stdout
        skipped = []
        for line in ansible_test.stdout:
            print(line, end="", flush=True)
            if re.match("WARNING: .*skipp(ed|ing)", line, re.IGNORECASE):
                skipped.append(line)
    if skipped:
        print(f"Skipped, which counts as failed:\n{''.join(skipped)}")
    return ansible_test.returncode or bool(skipped)


def main() -> int:
    try:
        provide_pip()
        copy_collection()
    except (SanityError, control_env.ControlEnvironmentError) as error:
        print(error, file=sys.stderr)
        return 1
    return run()


if __name__ == "__main__":
    sys.exit(main())
