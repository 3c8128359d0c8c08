"""Runs of the collection's playbooks against the host under test, and what they leave there.

PLAY_INVENTORY  inventories, separated by colons, that know the host
PLAY_HOST       its name in them; BEHAVIOUR_CONTAINER if unset
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hosts

CHECKOUT = Path(__file__).resolve().parents[2]
GALLERY = CHECKOUT / "examples" / "gallery"
# Molecule wants colour, and Ansible colours what is not 0 in a recap (ECMA-48, "SGR").
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
RECAP = re.compile(r"changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)")

# In the example app's base template.
HEAD_BLOCK = "  {% block head %}"
SHEET_LINK = """  <link rel="stylesheet" href="{{{{ url_for('static', filename='css/{marker}.css') }}}}">
"""

# With or without a fingerprint in its name.
VERSION_SHEET = re.compile(r"/static/css/(v[0-9]+)[-.]")

# Everything that a run may change, with owners, modes and times; not what apps and Nginx write.
SNAPSHOT = r"""
{
    tar --create --sort=name --directory=/ --exclude='*.log' --exclude='var/www/*/media' \
        $(ls -d /etc/nginx /etc/systemd/system /etc/init.d /etc/passwd /etc/group /etc/gallery \
        /var/www /opt 2>/dev/null) 2>/dev/null
    stat --format='%n %U:%G %a' /var/www/*/media
} | sha256sum
"""


# What Ansible runs on the host: without pipelining a module is a file of that name, with it nothing
# tells it from any other Python. The brackets keep a script from finding itself.
WAIT_FOR_MODULES = "while pgrep -f '[A]nsiballZ_' >/dev/null; do sleep 0.2; done"

# Kills (-9) the modules that run, with all that they have started, and prints their names. With a
# module's name it waits for that one to begin, and then for so many seconds; null if it did not.
KILL_MODULES = r"""
import json, os, re, signal, sys, time

def processes():
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as stat, open(f"/proc/{pid}/cmdline", "rb") as words:
                # The name of a program can hold blanks and brackets.
                parent = int(stat.read().rpartition(")")[2].split()[1])
                found[int(pid)] = parent, words.read().split(b"\0")
        except OSError:
            continue
    return found

def modules(table):
    named = {}
    for pid, (_unused, words) in table.items():
        name = re.search(rb"AnsiballZ_(\w+)[.]py\Z", words[1] if len(words) > 1 else b"")
        if name and b"python" in words[0]:
            named[pid] = name[1].decode()
    return named

def family(pids, table):
    grown = set(pids)
    while True:
        children = {pid for pid, (parent, _unused) in table.items() if parent in grown} - grown
        if not children:
            return grown
        grown |= children

def send(number, pids):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

request = json.load(sys.stdin)
if request["module"]:
    until = time.monotonic() + request["timeout_seconds"]
    while request["module"] not in modules(processes()).values():
        if time.monotonic() > until:
            print("null")
            sys.exit()
        time.sleep(0.02)
    time.sleep(request["after_seconds"])
table = processes()
running = modules(table)
# Stopped first, so that none starts another one meanwhile.
send(signal.SIGSTOP, family(running, table))
send(signal.SIGKILL, family(running, processes()))
json.dump(sorted(set(running.values())), sys.stdout)
"""

LEFTOVERS = r"""
find /etc/nginx /var/www/gallery /opt/gallery -name '.ansible_tmp*' -o -name '*.new' \
    -o -name '.build-*' -o -name '.static_release-*' -o -name 'flask-verify-*'
"""


@dataclass
class Run:
    """A finished run of a playbook."""

    returncode: int
    output: str
    report: dict[str, Any] | None

    def __post_init__(self) -> None:
        self.output = COLOUR.sub("", self.output)

    @property
    def changed(self) -> int:
        recap = RECAP.search(self.output)
        assert recap, self.output
        return int(recap[1])

    @property
    def changed_tasks(self) -> set[str]:
        """The names of tasks that changed something, or would; roles share some of them."""
        tasks = self.output.split("\nTASK [")[1:]
        return {task.partition("]")[0] for task in tasks if "\nchanged: [" in task}

    def findings(self) -> set[tuple[str, str]]:
        """(id, component) of each finding."""
        assert self.report, self.output
        return {(found["id"], found["component"]) for found in self.report["findings"]}

    def failed_checks(self) -> set[str]:
        assert self.report, self.output
        return {check["id"] for check in self.report["checks"] if check["status"] == "fail"}


@dataclass
class Killed:
    """How a play was killed.

    was_running: whether it still ran.
    modules: those that ran on the host and were killed too.
    """

    was_running: bool
    modules: list[str]


@dataclass
class Control:
    """The control node, with the inventory that knows one host.

    pipelining: off for plays that are killed, since only then are modules to be told from others.
    """

    host: hosts.Host
    name: str
    directory: Path
    variables: dict[str, Any] = field(default_factory=dict)
    pipelining: bool = True

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **({} if self.pipelining else {"ANSIBLE_PIPELINING": "0"})}

    def command(self, playbook: str, *arguments: str, **variables: Any) -> list[str]:
        inventories = os.environ["PLAY_INVENTORY"].split(":")
        extra = {
            "flask_verify_report_directory": str(self.directory),
            **self.variables,
            **variables,
        }
        return [
            "ansible-playbook",
            *(f"--inventory={path}" for path in inventories),
            f"--limit={self.name}",
            f"--extra-vars={json.dumps(extra)}",
            *arguments,
            f"flaskworks.static_media.{playbook}",
        ]

    def inventory_variable(self, name: str) -> Any:
        """What the inventory says of the host, its templates as they are."""
        inventories = os.environ["PLAY_INVENTORY"].split(":")
        done = subprocess.run(
            [
                "ansible-inventory",
                *(f"--inventory={path}" for path in inventories),
                f"--host={self.name}",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)[name]

    def run(self, playbook: str, *arguments: str, **variables: Any) -> Run:
        """Run a playbook to its end."""
        report = self.directory / f"{self.name}-gallery.json"
        report.unlink(missing_ok=True)
        done = subprocess.run(
            self.command(playbook, *arguments, **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=self.environment,
            text=True,
            check=False,
        )
        found = json.loads(report.read_text()) if report.exists() else None
        return Run(done.returncode, done.stdout, found)

    def module(self, module: str, **arguments: Any) -> dict[str, Any]:
        """Run one of the collection's modules, which must succeed; its answer."""
        inventories = os.environ["PLAY_INVENTORY"].split(":")
        done = subprocess.run(
            [
                *("ansible", self.name, *(f"--inventory={path}" for path in inventories)),
                f"--module-name=flaskworks.static_media.{module}",
                f"--args={json.dumps(arguments)}",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            # Molecule wants colour, which is none of JSON.
            env={
                **os.environ,
                "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
                "ANSIBLE_FORCE_COLOR": "0",
            },
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        answer: dict[str, Any] = json.loads(done.stdout.partition("=> ")[2])
        return answer

    def converge(self, **variables: Any) -> Run:
        """Run the site playbook, which must succeed."""
        done = self.run("site", **variables)
        assert done.returncode == 0, done.output
        return done

    def deploy(self, **variables: Any) -> Run:
        """Run the deploy playbook, which must succeed."""
        done = self.run("deploy", **variables)
        assert done.returncode == 0, done.output
        return done

    def kill(
        self,
        playbook: str,
        after_seconds: float,
        *,
        modules: bool,
        module: str = "",
        **variables: Any,
    ) -> Killed:
        """Run a playbook and kill it (-9) at this moment.

        What Ansible runs on the host outlives the killed play, unless ``modules`` die with it.

        :param module: count from when this one first runs on the host, not from the play's start.
        """
        assert not self.pipelining, "with pipelining no module is found"
        killed: list[str] | None = None
        with subprocess.Popen(
            self.command(playbook, **variables),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            env=self.environment,
            start_new_session=True,
        ) as running:
            if module:
                while killed is None and running.poll() is None:
                    killed = self._kill_modules(module, after_seconds)
            else:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running.wait(timeout=after_seconds)
            was_running = running.poll() is None
            # Ansible's workers are sessions of their own. Stopped, they start no further module.
            for pid in family(running.pid) if was_running else ():
                send(pid, signal.SIGSTOP)
            if modules and not module:
                killed = self._kill_modules()
            for pid in family(running.pid) if was_running else ():
                send(pid, signal.SIGKILL)
        return Killed(was_running, killed or [])

    def _kill_modules(self, module: str = "", after_seconds: float = 0) -> list[str] | None:
        request = {"module": module, "after_seconds": after_seconds, "timeout_seconds": 60}
        answer = self.host.python(KILL_MODULES, json.dumps(request).encode())
        names: list[str] | None = json.loads(answer)
        return names

    def wait_for_modules(self) -> None:
        """Return when what a killed play left running on the host has ended."""
        self.shell(WAIT_FOR_MODULES)

    def leftovers(self) -> str:
        """What only a run that did not end leaves on the host."""
        return self.shell(LEFTOVERS)

    def snapshot(self) -> str:
        """A checksum of all that a run may change on the host."""
        return self.shell(SNAPSHOT)

    def shell(self, script: str, user: str = "root") -> str:
        """Run a script on the host."""
        argv = [*self.host.command(user), "sh", "-c", script]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()


def family(pid: int) -> list[int]:
    """A process of this machine and all that it has started, itself first."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*"):
            with contextlib.suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


def send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def versions_of(assets: Iterable[str]) -> set[str]:
    """Which versions of the gallery have pages that refer to these."""
    return {found[1] for url in assets if (found := VERSION_SHEET.match(url))}


def version_of_gallery(directory: Path, marker: str) -> Path:
    """A copy of the example app as its next version.

    A style sheet is changed, another one is added, and every page refers to it.
    """
    project = directory / f"gallery-{marker}"
    if not project.exists():
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            copy = Path(scratch) / "gallery"
            shutil.copytree(
                GALLERY, copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
            css = copy / "src" / "gallery" / "static" / "css"
            (css / f"{marker}.css").write_text(f"/* {marker} */\n")
            with (css / "gallery.css").open("a") as stream:
                stream.write(f"/* {marker} */\n")
            base = copy / "src" / "gallery" / "templates" / "base.html"
            link = SHEET_LINK.format(marker=marker)
            base.write_text(base.read_text().replace(HEAD_BLOCK, link + HEAD_BLOCK))
            copy.rename(project)
    return project
