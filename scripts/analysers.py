"""Make environments of their own for the analysers of Nginx configurations, and say where they are.

``analysers.py NAME`` prints the program's path. Both have a package of the same name, so they can't be in
one environment. Done again, it changes nothing; done twice at once, the second waits.
"""

from __future__ import annotations

import contextlib
import fcntl
import sys

import control_env

# Package, and the program that it brings.
PROGRAMS = {"gixy-ng": "gixy", "gixy-next": "gixy-next"}
DIRECTORY = control_env.ROOT / ".build" / "analysers"


def ensure(name: str) -> str:
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    venv = DIRECTORY / name
    with (DIRECTORY / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # What they say of their progress is not the answer.
        with contextlib.redirect_stdout(sys.stderr):
            control_env.ensure_venv(venv)
            control_env.ensure_packages(name, venv)
    return str(venv / "bin" / PROGRAMS[name])


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in PROGRAMS:
        print(f"usage: analysers.py {'|'.join(PROGRAMS)}", file=sys.stderr)
        return 2
    try:
        print(ensure(arguments[0]))
    except control_env.ControlEnvironmentError as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
