"""Who may do what, asked of the kernel; and what an app makes wrongly is found, mended and served."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import hosts
import permissions
import play
import pytest
from permissions import MEDIA, PRIVATE, STAGING, STATIC

REPAIR = "flask_media_repair: true"

MKSTEMP = rf"""
descriptor, name = tempfile.mkstemp(dir="{MEDIA}", suffix=".jpg")
os.write(descriptor, b"saved by the app")
os.rename(name, "{MEDIA}/mkstemp.jpg")
"""
MKSTEMP_IN_AREA = MKSTEMP.replace(MEDIA, PRIVATE)
RENAME = rf"""
os.umask(0o027)
with open("{STAGING}/a.jpg", "wb") as file:
    file.write(b"saved by the app")
os.rename("{STAGING}/a.jpg", "{MEDIA}/moved.jpg")
"""
UMASK = rf"""
os.umask(0o077)
os.makedirs("{MEDIA}/late")
for name in ("a.jpg", "b.jpg"):
    with open("{MEDIA}/late/" + name, "wb") as file:
        file.write(b"saved by the app")
"""
RUN = rf"""
descriptor = os.open("{MEDIA}/run.jpg", os.O_CREAT | os.O_WRONLY)
os.write(descriptor, b"saved by the app")
"""
OPEN_TO_ALL = rf"""
with open("{MEDIA}/all.jpg", "wb") as file:
    file.write(b"saved by the app")
os.chmod("{MEDIA}/all.jpg", 0o666)
"""
OPEN_TO_GROUP = OPEN_TO_ALL.replace("all.jpg", "group.jpg").replace("0o666", "0o660")


@dataclass(frozen=True)
class Fault:
    """Something that an app, or a host's keeper, does wrong.

    code: what the app's user runs, in its service unless it works elsewhere.
    script: what root runs instead.
    undo: what takes it away.
    findings: by the way that Nginx reads; where none is named, it is no fault.
    advice: the line of code, or the setting, that the finding's mend names.
    repaired: files that are whole once repaired.
    """

    name: str
    undo: str
    findings: dict[str, tuple[str, str]]
    advice: str
    code: str = ""
    script: str = ""
    in_service: bool = True
    is_of_a_root: bool = False
    repaired: tuple[str, ...] = ()


def everywhere(finding: str, component: str) -> dict[str, tuple[str, str]]:
    return dict.fromkeys(("group", "acl"), (finding, component))


# Those of a round are there at once, and each has its own finding.
ROUNDS = {
    "files": [
        Fault(
            "made by mkstemp()",
            f"rm {MEDIA}/mkstemp.jpg",
            {
                "group": ("not-readable", f"{MEDIA}/mkstemp.jpg"),
                "acl": ("acl-mask", f"{MEDIA}/mkstemp.jpg"),
            },
            "os.fchmod(file.fileno(), 0o640)",
            code=MKSTEMP,
            repaired=("mkstemp.jpg",),
        ),
        Fault(
            "moved in by a rename",
            f"rm {MEDIA}/moved.jpg",
            everywhere("not-readable", f"{MEDIA}/moved.jpg"),
            "shutil.copyfile(source, target)",
            code=RENAME,
            in_service=False,
            repaired=("moved.jpg",),
        ),
        Fault(
            "made as a program",
            f"rm {MEDIA}/run.jpg",
            everywhere("media-executable", f"{MEDIA}/run.jpg"),
            "os.open(path, flags, 0o666)",
            code=RUN,
            repaired=("run.jpg",),
        ),
        Fault(
            "open to all",
            f"rm {MEDIA}/all.jpg",
            everywhere("media-world-writable", f"{MEDIA}/all.jpg"),
            "what calls os.umask(0)",
            code=OPEN_TO_ALL,
            repaired=("all.jpg",),
        ),
        Fault(
            "open to Nginx's group",
            f"rm {MEDIA}/group.jpg",
            {"group": ("media-writable-by-nginx", f"{MEDIA}/group.jpg")},
            "leave a file's mode to the umask",
            code=OPEN_TO_GROUP,
            repaired=("group.jpg",),
        ),
        Fault(
            "in another area",
            f"rm {PRIVATE}/mkstemp.jpg",
            {
                "group": ("not-readable", f"{PRIVATE}/mkstemp.jpg"),
                "acl": ("acl-mask", f"{PRIVATE}/mkstemp.jpg"),
            },
            "os.fchmod(file.fileno(), 0o640)",
            code=MKSTEMP_IN_AREA,
        ),
        Fault(
            "brought in as root",
            f"rm {MEDIA}/root.jpg",
            everywhere("owner-id-mismatch", f"{MEDIA}/root.jpg"),
            "runuser -u gallery",
            script=f"install -o root -g root -m 0600 /dev/null {MEDIA}/root.jpg",
        ),
    ],
    "umask and roots": [
        Fault(
            "saved under umask 0077",
            f"rm -r {MEDIA}/late",
            # A default ACL survives it.
            {"group": ("umask-too-tight", f"{MEDIA}/late")},
            "UMask=0027",
            code=UMASK,
            repaired=("late/a.jpg", "late/b.jpg"),
        ),
        Fault(
            "the media root is Nginx's group's to write",
            f"chmod g-w {MEDIA}",
            {"group": ("media-writable-by-nginx", MEDIA)},
            "Run the site playbook again",
            script=f"chmod g+w {MEDIA}",
            is_of_a_root=True,
        ),
        Fault(
            "the static root is the app's",
            f"chown root {STATIC}",
            everywhere("static-writable-by-app", STATIC),
            "Run the site playbook again",
            script=f"chown gallery {STATIC}",
            is_of_a_root=True,
        ),
    ],
}


@pytest.fixture(scope="module")
def way(control: play.Control) -> str:
    """Of this host, ``flask_media_permissions``."""
    return str(control.inventory_variable("flask_media_permissions"))


@pytest.fixture(scope="module", autouse=True)
def bystander(control: play.Control) -> Iterator[None]:
    """A user of no group of the app's, and a directory of the app's own."""
    name = permissions.BYSTANDER
    control.shell(f"id {name} >/dev/null 2>&1 || useradd --system --no-create-home {name}")
    control.shell(f"install -d -o gallery -g gallery -m 0750 {STAGING}")
    yield
    control.shell(f"userdel {name} && rm -r {STAGING}")


def do(control: play.Control, fault: Fault) -> None:
    if fault.script:
        control.shell(fault.script)
    else:
        permissions.as_user(control.host, "gallery", fault.code, in_service=fault.in_service)


def test_everybody_may_do_what_the_design_allows_and_no_more(
    host: hosts.Host, way: str, figures: Callable[[str], None]
) -> None:
    tried, wrong = permissions.differences(host, way)
    assert wrong == []
    figures(f"permission matrix, {way}: {tried} cells tried, all as designed")


@pytest.mark.parametrize("faults", ROUNDS.values(), ids=ROUNDS)
def test_what_is_made_wrongly_is_named(
    control: play.Control, way: str, faults: list[Fault]
) -> None:
    with contextlib.ExitStack() as undone:
        for fault in faults:
            undone.callback(control.shell, fault.undo)
            do(control, fault)
        done = control.run("verify")
    expected = {fault.findings[way]: fault for fault in faults if way in fault.findings}
    assert done.findings() == {*expected}, done.output
    assert done.returncode != 0
    assert done.report
    for found in done.report["findings"]:
        fault = expected[found["id"], found["component"]]
        assert fault.advice in found["fix"]
        assert (REPAIR in found["fix"]) is not fault.is_of_a_root


def test_a_umask_of_the_service_is_named_with_its_process(control: play.Control, way: str) -> None:
    drop_in = "/run/systemd/system/gallery.service.d"
    control.shell(
        f"mkdir {drop_in} && printf '[Service]\\nUMask=0077\\n' >{drop_in}/umask.conf && "
        "systemctl daemon-reload && systemctl restart gallery.service"
    )
    pid = control.shell("systemctl show --property=MainPID --value gallery.service")
    try:
        done = control.run("verify")
    finally:
        control.shell(
            f"rm -r {drop_in} && systemctl daemon-reload && systemctl restart gallery.service"
        )
    # A default ACL survives it.
    expected = set() if way == "acl" else {("umask-too-tight", f"process {pid}")}
    assert done.findings() == expected, done.output


def test_repair_mends_it_all_and_nginx_serves_it(
    control: play.Control, site: hosts.Site, way: str
) -> None:
    faults = [fault for faults in ROUNDS.values() for fault in faults]
    for fault in faults:
        do(control, fault)
    try:
        if way == "acl":
            said = control.run("site", "--check", flask_media_repair=True)
            assert said.returncode == 0, said.output
        done = control.converge(flask_media_repair=True)
        assert done.findings() == set()
        if way == "acl":
            # A check run says of each of two roles what the first of them has done in a run.
            assert done.changed_tasks
            assert done.changed_tasks <= said.changed_tasks, said.output
        for name in [name for fault in faults for name in fault.repaired]:
            with site.connection() as connection:
                answer = connection.request("GET", f"{site.media_url}{name}")
            assert (answer.status, answer.body) == (200, b"saved by the app"), name
        again = control.converge(flask_media_repair=True)
        assert again.changed == 0, again.output
    finally:
        for fault in faults:
            control.shell(fault.undo)
