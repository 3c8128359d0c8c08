"""Diagnose a container as ``verify`` diagnoses a host, and print the findings: ``diagnose.py CONTAINER``."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import machine
import states

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests import collection

collection.install()

DIAGNOSIS = "ansible_collections.flaskworks.static_media.plugins.plugin_utils._diagnosis"


@dataclass
class Report:
    """What was found on a host: the findings of all its sites, and what could not be seen."""

    findings: list[dict[str, Any]]
    reports: list[dict[str, Any]] = field(default_factory=list)

    def shown(self) -> str:
        return "\n".join(
            f"{found['id']}: {found['component']}\n"
            f"    {found['message']}\n    evidence: {found['evidence']}\n    fix: {found['fix']}"
            for found in self.findings
        )


@dataclass
class Verdict:
    """A report against what was expected."""

    missed: list[str]
    misplaced: list[str]
    extra: list[str]

    @property
    def ok(self) -> bool:
        return not (self.missed or self.misplaced or self.extra)

    def shown(self) -> str:
        kinds = ("missed", self.missed), ("other component", self.misplaced), ("extra", self.extra)
        return "\n".join(f"{kind}: {line}" for kind, lines in kinds for line in lines)


def diagnose(host: machine.Machine, faults: Sequence[states.State] = ()) -> Report:
    """Run the diagnosis as ``verify`` does, by the same functions, without Ansible between them."""

    def ask(module: str, arguments: dict[str, Any]) -> dict[str, Any]:
        answer = host.ask(module, arguments)
        for state in faults:
            answer = state.sees(module, answer) if state.sees else answer
        return answer

    reports = importlib.import_module(DIAGNOSIS).run(ask, is_strict=True)
    findings = [found for report in reports for found in report["findings"]]
    return Report(findings, reports)


def resolved(component: states.Line | str, host: machine.Machine) -> str:
    if isinstance(component, str):
        return component
    lines = host.read(component.file).splitlines()
    found = [number for number, line in enumerate(lines, 1) if component.text in line]
    if len(found) < component.nth:
        raise machine.MachineError(f"{component.file} has no {component.text!r}")
    return f"{component.file}:{found[component.nth - 1]}"


def judge(report: Report, expected: Sequence[states.Expected], host: machine.Machine) -> Verdict:
    """Compare; a finding counts once, so a second one of the same fault is extra."""
    # What is wrong with Nginx itself is in the report of each of its sites.
    left = list(
        dict.fromkeys((str(found["id"]), str(found["component"])) for found in report.findings)
    )
    verdict = Verdict([], [], [])
    for wanted in expected:
        patterns = [resolved(component, host) for component in wanted.components]
        shown = f"{wanted.id} at {' or '.join(patterns)}"
        of_id = [one for one in left if one[0] == wanted.id]
        right = [one for one in of_id if any(_matches(one[1], pattern) for pattern in patterns)]
        if right:
            left.remove(right[0])
        elif of_id:
            left.remove(of_id[0])
            verdict.misplaced.append(f"{shown}; it names {of_id[0][1]}")
        else:
            verdict.missed.append(shown)
    verdict.extra = [f"{id} at {component}" for id, component in left]
    return verdict


def _matches(component: str, pattern: str) -> bool:
    return fnmatchcase(component, re.sub(r"\[", "[[]", pattern))


def main(arguments: list[str]) -> int:
    as_json = "--json" in arguments
    names = [argument for argument in arguments if argument != "--json"]
    if len(names) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    host = machine.attached(names[0])
    host.put_probe()
    report = diagnose(host)
    print(json.dumps(report.reports, indent=2) if as_json else report.shown() or "No finding.")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
