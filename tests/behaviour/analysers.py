"""gixy-ng and gixy-next over a configuration as Nginx has it, and what of their reports is suppressed.

Each suppression says why, and is itself a fault as soon as nothing needs it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "analysers.py"
NAMES = ("gixy-ng", "gixy-next")


class AnalyserError(Exception):
    """The analyser could not be run, or did not read the configuration."""


@dataclass(frozen=True)
class Issue:
    analyser: str
    check: str
    reason: str
    place: str

    def __str__(self) -> str:
        return f"{self.analyser} {self.check}: {self.reason} ({self.place})"


@dataclass(frozen=True)
class Suppression:
    """Of reports of one check that give one reason in one file.

    :ivar reason: a pattern for the whole of it.
    :ivar releases: of Debian, on which it is needed.
    """

    check: str
    reason: str
    file: str
    why: str
    analysers: Sequence[str] = NAMES
    releases: Sequence[str] = ("12", "13")

    def covers(self, issue: Issue) -> bool:
        return (
            issue.analyser in self.analysers
            and issue.check == self.check
            and issue.place.startswith(f"{self.file}:")
            and re.fullmatch(self.reason, issue.reason) is not None
        )


MAIN = "/etc/nginx/nginx.conf"
DEFAULT = "/etc/nginx/sites-enabled/default"
OURS = "/etc/nginx/conf.d/gallery.conf"
NOT_OURS = "Of the distribution's own file, which is not the collection's to change"

SUPPRESSIONS = (
    Suppression(
        "add_header_redefinition",
        '[^"`]*["`]content-disposition["`][^"`]*',
        OURS,
        "That is what the nested location is for: what may be shown inline is not attached. It repeats all "
        "the other headers, which test_hostile.py sees on every answer.",
    ),
    Suppression(
        "try_files_is_evil_too",
        ".*",
        OURS,
        "open_file_cache serves what a deploy has replaced and an upload has become for a minute, and cuts "
        "off files that grow; one stat() a request is the price of the right bytes.",
    ),
    Suppression(
        "unanchored_regex",
        ".*",
        OURS,
        "A dot after any slash, or an extension at the end, of a path that Nginx has bounded: no expression "
        "here has a repetition, so there is nothing to be slow.",
        ("gixy-next",),
    ),
    Suppression(
        "worker_rlimit_nofile_vs_connections",
        ".*",
        MAIN,
        f"{NOT_OURS}: the limit is the administrator's.",
    ),
    Suppression(
        "weak_ssl_tls",
        "(?s)(Insecure protocols|ssl_prefer_server_ciphers).*",
        MAIN,
        f"{NOT_OURS}: it is the default for server blocks that say nothing of TLS.",
        ("gixy-ng",),
        ("12",),
    ),
    Suppression(
        "version_disclosure",
        ".*server_tokens.*",
        DEFAULT,
        f"{NOT_OURS}; the collection's server blocks set server_tokens off.",
        releases=("12",),
    ),
)


def analyse(name: str, dump: Path) -> list[Issue]:
    """Return all that an analyser reports of what ``nginx -T`` printed."""
    program = _run([sys.executable, str(SCRIPT), name], (0,)).strip().rpartition("\n")[2]
    # It ends with 1 when it reports something.
    output = _run([program, "--format", "json", str(dump)], (0, 1))
    return [
        Issue(name, each["plugin"], each["reason"], f"{_file(each, dump)}:{each['line']}")
        for each in json.loads(output)
    ]


def _file(report: dict[str, str], dump: Path) -> str:
    # What is not of an included file is by them said to be of the dump.
    return MAIN if report["file"] == str(dump) else report["file"]


def _run(argv: Sequence[str], statuses: Sequence[int]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    # An unreadable file is no finding of theirs, and ends with the same status.
    if done.returncode not in statuses or "\tERROR\t" in done.stderr:
        raise AnalyserError(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def unsuppressed(issues: Sequence[Issue]) -> list[Issue]:
    return [issue for issue in issues if not any(each.covers(issue) for each in SUPPRESSIONS)]


def unused(issues: Sequence[Issue], release: str) -> list[str]:
    """Suppressions that an analyser no longer needs there, by its name and the check's."""
    return [
        f"{name} {each.check}"
        for each in SUPPRESSIONS
        for name in each.analysers
        if release in each.releases
        if not any(each.covers(issue) for issue in issues if issue.analyser == name)
    ]
