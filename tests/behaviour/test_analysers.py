"""Two analysers of Nginx configurations report nothing that is not suppressed with a reason."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import analysers
import hosts
import pytest

# In the dump of nginx -T, and what to put in its place; the check that has to see it.
FAULTS = {
    "alias_traversal": ("location ^~ /media/ {", "location ^~ /media {"),
    "host_spoofing": ("proxy_set_header Host $host;", "proxy_set_header Host $http_host;"),
    "add_header_redefinition": (
        'location ~ "/[.]" { return 404; }',
        'location ~ "/[.]" { add_header X-Own 1; return 404; }',
    ),
}


@pytest.fixture(scope="module")
def dump(host: hosts.Host) -> str:
    """The configuration as Nginx reads it on the host."""
    argv = [*host.command("root"), "nginx", "-T"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def all_issues(directory: Path, text: str) -> list[analysers.Issue]:
    path = directory / "dump.conf"
    path.write_text(text)
    return [issue for name in analysers.NAMES for issue in analysers.analyse(name, path)]


def test_nothing_is_reported_that_is_not_suppressed_and_every_suppression_is_needed(
    dump: str,
    site: hosts.Site,
    host: hosts.Host,
    tmp_path: Path,
    figures: Callable[[str], None],
) -> None:
    issues = all_issues(tmp_path, dump)
    left = analysers.unsuppressed(issues)
    assert list(map(str, left)) == []
    release = host.read("/etc/debian_version").decode().partition(".")[0]
    assert analysers.unused(issues, release) == []
    figures(
        f"{site.host_name}: gixy-ng and gixy-next report {len(issues)}, {len(left)} of them not"
        f" suppressed; {len(analysers.SUPPRESSIONS)} suppressions, each with its reason"
    )


@pytest.mark.parametrize("check", FAULTS)
def test_a_fault_is_reported_by_both(check: str, dump: str, tmp_path: Path) -> None:
    old, new = FAULTS[check]
    assert old in dump
    left = analysers.unsuppressed(all_issues(tmp_path, dump.replace(old, new)))
    assert {issue.analyser for issue in left if issue.check == check} == set(analysers.NAMES), left


def test_what_is_no_configuration_is_no_clean_report(tmp_path: Path) -> None:
    with pytest.raises((analysers.AnalyserError, ValueError)):
        all_issues(tmp_path, "server { location / {\n")


def test_a_suppression_that_nothing_needs_is_named() -> None:
    every = {f"{name} {each.check}" for each in analysers.SUPPRESSIONS for name in each.analysers}
    assert set(analysers.unused([], "12")) == every
    assert set(analysers.unused([], "13")) < every
