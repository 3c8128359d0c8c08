"""Who may do what with the files of a deployed app: asked of the kernel, as the real users.

The app's user is asked in the view that its service has of the file system, with the umask that the
service has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import hosts

STATIC = "/var/www/gallery/static"
MEDIA = "/var/www/gallery/media"
PRIVATE = "/var/www/gallery/documents"
ETC = "/etc/gallery"
CURRENT = "/opt/gallery/current"
# Made for the test, and in no group of the app's
BYSTANDER = "bystander"
# Where the app's user has a directory of its own, outside of its media
STAGING = "/srv/staging"

# Runs on the host as root; the code then runs as the user, and puts what it has found into answer.
AS_USER = r"""
import json, os, pwd, shutil, subprocess, sys, tempfile
work = json.load(sys.stdin)
who = pwd.getpwnam(work["user"])
umask, view = 0o022, None
if work["service"]:
    told = subprocess.check_output(
        ["systemctl", "show", "--property=MainPID", "--value", work["service"]], text=True
    )
    pid = int(told)
    with open(f"/proc/{pid}/status") as lines:
        umask = next(int(line.split()[1], 8) for line in lines if line.startswith("Umask:"))
    # Only its own user may look through a process in a container: ptrace(2)
    owner = os.stat(f"/proc/{pid}")
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    view = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY)
    os.seteuid(0)
    os.setegid(0)
if view is not None:
    os.fchdir(view)
    os.chroot(".")
os.chdir("/")
os.setgroups(os.getgrouplist(who.pw_name, who.pw_gid))
os.setgid(who.pw_gid)
os.setuid(who.pw_uid)
os.umask(umask)
names = {"os": os, "shutil": shutil, "tempfile": tempfile, "request": work["request"], "answer": None}
exec(work["code"], names)
json.dump(names["answer"], sys.stdout)
"""

# What is done is undone at once.
TRY = r"""
def attempt(path, right):
    if right == "read":
        os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)
    elif right == "write" and os.path.isdir(path):
        probe = os.path.join(path, "matrix.tmp")
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        os.unlink(probe)
    elif right == "write":
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
    elif right == "traverse":
        os.stat(path + "/.")
    elif not os.access(path, os.X_OK):
        raise PermissionError(path)

answer = []
for path, right in request:
    try:
        attempt(path, right)
    except OSError as error:
        answer.append(error.strerror or "refused")
    else:
        answer.append("")
"""

SAVE = r"""
for path in request:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(b"saved by the app")
"""


@dataclass(frozen=True)
class Place:
    """Something on the host.

    path: a link is followed.
    """

    kind: str
    path: str
    is_directory: bool
    is_program: bool = False


PLACES = [
    Place("static", STATIC, True),
    Place("static", f"{STATIC}/static/css", True),
    Place("static", f"{STATIC}/static/css/gallery.css", False),
    Place("media", MEDIA, True),
    Place("media", f"{MEDIA}/matrix", True),
    Place("media", f"{MEDIA}/matrix/a.jpg", False),
    Place("private", PRIVATE, True),
    Place("private", f"{PRIVATE}/matrix", True),
    Place("private", f"{PRIVATE}/matrix/a.jpg", False),
    Place("env", ETC, True),
    Place("env", f"{ETC}/gallery.env", False),
    Place("kept by root", f"{ETC}/secret_key", False),
    Place("secret", f"{ETC}/secret_key.env", False),
    Place("code", "/opt/gallery", True),
    Place("code", CURRENT, True),
    Place("code", f"{CURRENT}/pyvenv.cfg", False),
    Place("code", f"{CURRENT}/bin/gunicorn", False, is_program=True),
]

READ_ONLY = {"read", "traverse"}
ALL = {"read", "write", "traverse"}
NOTHING: set[str] = set()

# What the design allows, with directories; a file is not traversed, and only programs are executed.
ALLOWED: dict[str, dict[str, set[str]]] = {
    "static": {"app": NOTHING, "nginx": READ_ONLY, "other": NOTHING},
    "media": {"app": ALL, "nginx": READ_ONLY, "other": NOTHING},
    "private": {"app": ALL, "nginx": READ_ONLY, "other": NOTHING},
    "env": {"app": READ_ONLY, "nginx": NOTHING, "other": NOTHING},
    "secret": {"app": READ_ONLY, "nginx": NOTHING, "other": NOTHING},
    # The app reads it from the env file beside it.
    "kept by root": {"app": NOTHING, "nginx": NOTHING, "other": NOTHING},
    "code": {"app": READ_ONLY, "nginx": NOTHING, "other": NOTHING},
}


def is_allowed(way: str, place: Place, role: str, right: str) -> bool:
    allowed = ALLOWED[place.kind][role]
    if way == "world" and place.kind in ("media", "private") and role == "other":
        allowed = READ_ONLY
    if right == "execute":
        return place.is_program and "read" in allowed
    return right in allowed


def cells() -> Iterator[tuple[Place, str]]:
    for place in PLACES:
        for right in ("read", "write", "traverse" if place.is_directory else "execute"):
            yield place, right


def as_user(
    host: hosts.Host, user: str, code: str, request: Any = None, *, in_service: bool = False
) -> Any:
    """Run Python on the host as a user; ``in_service`` as the app's service sees and does things."""
    work = {
        "user": user,
        "service": "gallery.service" if in_service else "",
        "code": code,
        "request": request,
    }
    return json.loads(host.python(AS_USER, json.dumps(work).encode()))


def save(host: hosts.Host, *paths: str) -> None:
    """Save uploads as the app's service would."""
    as_user(host, "gallery", SAVE, paths, in_service=True)


def differences(host: hosts.Host, way: str) -> tuple[int, list[str]]:
    """How many cells were tried, and which are not as designed."""
    save(host, f"{MEDIA}/matrix/a.jpg", f"{PRIVATE}/matrix/a.jpg")
    wrong = []
    tried = list(cells())
    users = {"app": "gallery", "nginx": "www-data", "other": BYSTANDER}
    for role, user in users.items():
        request = [(place.path, right) for place, right in tried]
        answers = as_user(host, user, TRY, request, in_service=role == "app")
        for (place, right), refusal in zip(tried, answers, strict=True):
            if (refusal == "") is not is_allowed(way, place, role, right):
                wrong.append(f"{user} {right} {place.path}: {refusal or 'allowed'}")
    return len(users) * len(tried), wrong
