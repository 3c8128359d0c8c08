"""In place of Ansible's module: arguments are JSON on standard input, the answer is JSON on standard output."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, NoReturn


def completed(specification: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments with the defaults of those that are not given."""
    unknown = arguments.keys() - specification.keys()
    if unknown:
        raise SystemExit(f"unknown arguments: {', '.join(sorted(unknown))}")
    params = {}
    for name, option in specification.items():
        value = arguments.get(name, option.get("default"))
        if value is None and option.get("required"):
            raise SystemExit(f"missing argument: {name}")
        if option.get("type") == "path" and value:
            value = os.path.expanduser(os.path.expandvars(value))
        if option.get("options") and isinstance(value, dict):
            value = completed(option["options"], value)
        elif option.get("options") and isinstance(value, list):
            value = [completed(option["options"], element) for element in value]
        params[name] = value
    return params


class AnsibleModule:
    check_mode = False
    _diff = False
    tmpdir = "/tmp"

    def __init__(self, argument_spec: dict[str, Any], **_constraints: Any) -> None:
        self.params = completed(argument_spec, json.load(sys.stdin))
        self.warnings: list[str] = []

    def warn(self, warning: str) -> None:
        self.warnings.append(warning)

    def exit_json(self, **answer: Any) -> NoReturn:
        print(json.dumps({"warnings": self.warnings, **answer}))
        sys.exit(0)

    def fail_json(self, msg: str, **answer: Any) -> NoReturn:
        print(json.dumps({"failed": True, "msg": msg, **answer}))
        sys.exit(0)
