"""The playbook on a host that it was told nothing of: what it says, leaves behind and never shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import machine
import pytest
import states

PLAYBOOK = "flaskworks.static_media.verify"
SHAPE = machine.SHAPES["sites_enabled"]
MEDIA = "/srv/guestbook/media"
# Of hosts/sites_enabled, in the app's env file
SECRET = "sites-enabled-secret-9d1f"
PASSWORD = "correct-horse-battery-staple"
THREE = {
    "alias-wrong-path": "alias-path-of-old-layout",
    "body-limit-nginx": "body-limit-of-location-lower",
}
CLOSED = f"chmod 2700 {MEDIA}"
# What a run may not change. Python's own caches and logs grow by themselves.
SNAPSHOT = """
find /etc /srv /var/lib/nginx /run/guestbook /usr/local -not -name '*.pyc' -not -name __pycache__ \
    -not -name 'journal*' \\( -type d -printf '%p %U %G %m\\n' -o -printf '%p %U %G %m %s %T@ %l\\n' \\) | sort
"""
MANY = """
import os, sys
of = os.stat(sys.argv[1])
for number in range(int(sys.argv[2])):
    with open(f"{sys.argv[1]}/upload-{number}.jpg", "wb") as file:
        os.fchmod(file.fileno(), 0o640)
        os.fchown(file.fileno(), of.st_uid, of.st_gid)
"""


@dataclass
class Run:
    returncode: int
    output: str
    seconds: float
    report: dict[str, Any]
    stem: Path

    @property
    def findings(self) -> set[tuple[str, str]]:
        return {(found["id"], found["component"]) for found in self.report["findings"]}

    @property
    def skipped(self) -> list[str]:
        return [check["id"] for check in self.report["checks"] if check["status"] == "skip"]


@pytest.fixture(scope="module")
def host() -> Iterator[machine.Machine]:
    with machine.healthy(SHAPE) as found:
        yield found


Verify = Callable[..., Run]


@pytest.fixture
def verify(host: machine.Machine, tmp_path: Path) -> Verify:
    return lambda *arguments, **variables: run(host, tmp_path, arguments, variables)


def run(
    host: machine.Machine, directory: Path, arguments: Sequence[str], variables: dict[str, Any]
) -> Run:
    stem = directory / f"{host.container}-guestbook"
    report = stem.with_suffix(".json")
    report.unlink(missing_ok=True)
    given = {
        "ansible_connection": "community.docker.docker",
        "ansible_user": "root",
        "ansible_python_interpreter": "/usr/bin/python3",
        "flask_verify_report_directory": str(directory),
        **variables,
    }
    begin = time.monotonic()
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("ansible-playbook")), "-i", f"{host.container},"),
            *("--extra-vars", json.dumps(given), *arguments, PLAYBOOK),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=machine.ROOT,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(machine.ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_COLLECTIONS_PATH": os.environ.get("COLLECTION_PARENT")
            or str(machine.ROOT / ".ansible" / "collections"),
        },
    )
    seconds = time.monotonic() - begin
    assert report.exists(), done.stdout
    return Run(done.returncode, done.stdout, seconds, json.loads(report.read_text()), stem)


def test_a_healthy_host_is_left_as_it_was(host: machine.Machine, verify: Verify) -> None:
    before = host.script(SNAPSHOT)
    done = verify()
    assert (done.returncode, done.findings) == (0, set()), done.output
    assert re.search(r"ok=\d+ +changed=0 +unreachable=0 +failed=0", done.output), done.output
    assert host.script(SNAPSHOT) == before
    assert done.skipped == []
    assert done.report["unseen"] == []


def test_check_mode_places_nothing_and_says_so(host: machine.Machine, verify: Verify) -> None:
    done = verify("--check")
    assert (done.returncode, done.findings) == (0, set()), done.output
    assert {"app-writes-media", "uploads-served"} <= set(done.skipped)


def test_without_root_it_goes_as_far_as_it_can(host: machine.Machine, verify: Verify) -> None:
    done = verify(ansible_user="nobody", ansible_become=False)
    assert (done.returncode, done.findings) == (0, set()), done.output
    assert "app-writes-media" in done.skipped
    assert any("root" in reason or "become" in reason for reason in done.report["unseen"])


def test_a_baseline_that_is_none_is_refused_before_the_host_is_asked(
    host: machine.Machine, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    with pytest.raises(AssertionError, match="flask_verify_baseline"):
        run(host, tmp_path, (), {"flask_verify_baseline": str(bad)})


def test_ten_uploads_or_two_hundred_thousand(
    host: machine.Machine, verify: Verify, figures: Callable[[str], None]
) -> None:
    seconds = {}
    for count in (10, 200_000):
        host.script(
            f"install -d --owner guestbook --group uploads --mode 2750 {MEDIA}/many\n"
            f"python3 - {MEDIA}/many {count} <<'END'{MANY}END"
        )
        done = verify()
        assert (done.returncode, done.findings) == (0, set()), done.output
        seconds[count] = done.seconds
    host.script(f"rm -rf {MEDIA}/many")
    few, many = seconds.values()
    asked = done.output.count("TASK [")
    figures(
        f"verify of an unknown host: {asked} tasks; {few:.1f} s with 10 uploads, {many:.1f} s with 200,000"
        f" ({many / few:.2f} times)"
    )


def test_three_faults_are_named_in_every_form(
    host: machine.Machine, verify: Verify, tmp_path: Path
) -> None:
    healthy = verify()
    baseline = tmp_path / "healthy.json"
    baseline.write_text(json.dumps(healthy.report))
    for fault in states.STATES:
        if fault.id in THREE.values():
            host.script(fault.breaks)
    host.script(CLOSED)
    done = verify(flask_verify_baseline=str(baseline))
    assert done.returncode != 0
    ids = {*THREE, "not-traversable"}
    assert {found for found, _component in done.findings} == ids, done.output
    assert ("not-traversable", MEDIA) in done.findings
    assert len(done.report["drift"]["findings"]["new"]) == len(ids)
    page = done.stem.with_suffix(".html").read_text()
    suite = ElementTree.parse(done.stem.with_suffix(".xml")).getroot()
    for found in ids:
        assert found in done.output
        assert found in page
        assert found in ElementTree.tostring(suite, encoding="unicode")
    assert suite.find(".//failure") is not None
    assert verify(flask_verify_fail_on="never").returncode == 0


def test_no_secret_is_shown(host: machine.Machine, verify: Verify) -> None:
    """Last: Nginx has a password from now on."""
    host.script(
        f"""sed -i 's|location / {{|location / {{ proxy_set_header Authorization "Basic {PASSWORD}";|' /etc/nginx/sites-enabled/guestbook\n"""
        "reload_nginx"
    )
    assert SECRET in host.script("cat /etc/guestbook.env")
    assert PASSWORD in host.script("nginx -T")
    done = verify("-vvv")
    texts = [done.output]
    texts += [done.stem.with_suffix(suffix).read_text() for suffix in (".json", ".html", ".xml")]
    for text in texts:
        assert SECRET not in text
        assert PASSWORD not in text
