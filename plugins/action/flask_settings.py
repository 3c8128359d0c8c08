# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Control-node part of ``flask_settings``: see the module of that name for its documentation."""

from __future__ import annotations

import difflib
import pathlib
import typing as t

import ansible.template
from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _media_areas,
    _rules,
    _settings,
    _site_tls,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _report_drift

# ansible-core before 2.19 has no notion of trust: every string is a template.
_TRUSTED: dict[str, t.Any] = (
    {"trusted_as_template": True} if hasattr(ansible.template, "trust_as_template") else {}
)

ROLES = ("flask_app", "flask_static", "flask_media", "flask_site", "flask_verify")
ROLES_DIRECTORY = pathlib.Path(__file__).resolve().parents[2] / "roles"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Resolve and check all ``flask_*`` variables of the collection."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        _unused, arguments = self.validate_argument_spec(
            argument_spec={
                "ask_app": {"type": "bool", "default": False},
                "ask_deployed_app": {"type": "bool", "default": False},
                "virtualenv": {"type": "path"},
                "as_it_runs": {"type": "bool", "default": False},
                "on_contradiction": {
                    "type": "str",
                    "choices": ["fail", "report"],
                    "default": "fail",
                },
            }
        )
        variables = dict(task_vars or {})
        apps = [self._values(variables, app) for app in self._apps(variables)]
        values = self._values(variables, variables.get("flask_description") or {})
        values = _settings.with_server(values, apps)
        name = values.get("flask_app_name")

        baseline = _report_drift.problems(values.get(_report_drift.VARIABLE))
        self._refuse(name, [*_settings.description_problems(values), *baseline])
        self._refuse(name, _settings.apps_problems(apps))
        settings = _settings.resolve(values)
        settings["host"] = self._ask_host(values, variables)
        settings["site"]["stale_files"] = _settings.stale_site_files(values, settings["host"])
        settings["media"]["stale_signing_key_files"] = _media_areas.stale_signing_key_files(
            values, settings["host"]
        )
        settings["static"]["encodings"] = _settings.static_encodings(values, settings["host"])
        self._refuse(name, _settings.host_problems(values, settings["host"]))
        if arguments["ask_deployed_app"]:
            deployed = self._ask_app(values, {**arguments, "on_contradiction": "report"}, variables)
            self._refuse(name, list(_settings.mount_problems(values, deployed)))
        if arguments["ask_app"]:
            process_id = settings["host"]["app_process_id"]
            app = self._ask_app(values, arguments, variables, process_id)
            problems = _settings.app_problems(values, app)
            if arguments["on_contradiction"] == "fail":
                self._refuse(name, problems)
            if arguments["as_it_runs"]:
                self._refuse(name, _settings.adoption_problems(values, app))
            settings = _settings.with_app(values, settings, app)
            settings["contradictions"] = [str(problem) for problem in problems]
        return {"changed": False, "settings": settings}

    def _apps(self, variables: dict[str, t.Any]) -> list[dict[str, t.Any]]:
        """Return the descriptions of all apps of the host, when there are several."""
        apps = self._templar.template(variables.get("flask_apps")) or []
        wrong = (
            [app for app in apps if not isinstance(app, dict)] if isinstance(apps, list) else [apps]
        )
        if wrong:
            problem = _rules.Problem(
                "flask_apps",
                wrong[0],
                "it is no list of descriptions",
                'Write one such as [{"flask_app_name": "gallery", "flask_app_source": "/path"}]',
            )
            self._refuse("flask_apps", [problem])
        return list(apps)

    def _values(
        self, variables: dict[str, t.Any], description: t.Mapping[str, t.Any]
    ) -> dict[str, t.Any]:
        """Return every role variable, templated, typed and complete.

        :param description: of one app of several; wins over the host's variables.
        """
        self._refuse_unknown(description)
        variables = {**variables, **description}
        specs: dict[str, t.Any] = {}
        defaults: dict[str, t.Any] = {}
        for role in ROLES:
            meta = self._load(ROLES_DIRECTORY / role / "meta" / "argument_specs.yml")
            specs.update(meta["argument_specs"]["main"]["options"])
            defaults.update(self._load(ROLES_DIRECTORY / role / "defaults" / "main.yml"))
        self._refuse_misspelt(variables, specs)

        given = {**defaults, **{name: variables[name] for name in specs if name in variables}}
        templar = self._templar.copy_with_new_env(available_variables={**defaults, **variables})
        values = {name: templar.template(value) for name, value in given.items()}
        for name, value in values.items():
            # The validator would split a string at its commas.
            if specs[name]["type"] == "list" and isinstance(value, str):
                problem = _rules.Problem(
                    name, value, "it is no list", f'Write ["{value}"], in brackets'
                )
                self._refuse(values.get("flask_app_name"), [problem])
        result = ArgumentSpecValidator(_without_prose(specs)).validate(values)
        if result.error_messages:
            raise AnsibleActionFail(
                "The description of the app can't be read; nothing was changed.\n  "
                + "\n  ".join(result.error_messages)
            )
        return _settings.normalised(result.validated_parameters)

    def _refuse_unknown(self, description: t.Mapping[str, t.Any]) -> None:
        unknown = sorted(name for name in description if not name.startswith("flask_"))
        if unknown:
            raise AnsibleActionFail(
                f"flask_apps: {unknown[0]} is no variable of this collection; nothing was changed. "
                "Write flask_app_name and the like."
            )

    def _load(self, path: pathlib.Path) -> dict[str, t.Any]:
        data: dict[str, t.Any] = self._loader.load_from_file(str(path), **_TRUSTED)
        return data

    def _refuse_misspelt(self, variables: t.Iterable[str], specs: t.Mapping[str, t.Any]) -> None:
        prefixes = tuple(f"{role}_" for role in ROLES)
        for name in sorted(variables):
            if name.startswith(prefixes) and name not in specs:
                near = difflib.get_close_matches(name, specs, n=1, cutoff=0.85)
                if near:
                    raise AnsibleActionFail(
                        f"{name} is no variable of this collection; nothing was changed. "
                        f"Write {near[0]} instead."
                    )

    def _refuse(self, name: t.Any, problems: t.Sequence[_rules.Problem]) -> None:
        if problems:
            raise AnsibleActionFail(_settings.refusal(name, problems))

    def _ask_host(self, values: dict[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        return self._ask(
            "flask_host_info",
            {
                "port": values["flask_site_port"],
                "further_ports": [_site_tls.HTTP_PORT] if _site_tls.redirects(values) else [],
                "certificate": _site_tls.certificate_question(values),
                "bind": values["flask_app_bind"],
                "service": values["flask_app_name"],
                "root": values["flask_app_root"],
                "container": _settings.container_question(values),
                "users": [values["flask_app_user"], values["flask_site_nginx_user"]],
                "groups": [values["flask_app_group"]],
                "directories": [
                    values["flask_static_root"],
                    *_media_areas.roots(values).values(),
                ],
                "directory_mark": _media_areas.use_mark(values["flask_app_name"]),
                "site_files": [values["flask_site_conf_file"], values["flask_site_include_file"]],
                "paths": _settings.claimable_paths(values),
            },
            variables,
        )

    def _ask_app(
        self,
        values: dict[str, t.Any],
        arguments: dict[str, t.Any],
        variables: dict[str, t.Any],
        process_id: int | None = None,
    ) -> dict[str, t.Any]:
        if values.get("flask_static_mounts"):
            return _settings.described_app(values["flask_static_mounts"])
        module, question = _settings.app_question(values, arguments["virtualenv"])
        if not _settings.is_image(values):
            is_checked = self._task.check_mode and arguments["on_contradiction"] == "fail"
            question = {
                **question,
                "process_id": process_id if arguments["as_it_runs"] else None,
                "require_environment_files": not arguments["as_it_runs"],
                # A check run has not written the env file that a run would ask the app with.
                "environment": _settings.derived_env(values) if is_checked else {},
            }
        try:
            answer = self._ask(module, question, variables)
        except AnsibleActionFail as failure:
            if arguments["on_contradiction"] == "fail":
                raise
            return {**_settings.described_app([]), "asked": False, "error": str(failure)}
        return {**answer["app"], "asked": answer["asked"], "error": None}

    def _ask(
        self, module: str, arguments: dict[str, t.Any], variables: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        result: dict[str, t.Any] = self._execute_module(
            module_name=f"flaskworks.static_media.{module}",
            module_args=arguments,
            task_vars=variables,
        )
        if result.get("failed"):
            raise AnsibleActionFail(result.get("msg", f"{module} failed"), result=result)
        return {
            key: value
            for key, value in result.items()
            if key not in ("changed", "invocation", "failed") and not key.startswith("_")
        }


def _without_prose(options: t.Mapping[str, t.Any], level: int = 0) -> dict[str, t.Any]:
    """Return role options as an argument spec, which knows no descriptions.

    A variable's own default is dropped too: it may be a template, and the value is there already.
    """
    dropped = ("description", "version_added", *(() if level else ("default",)))
    spec = {}
    for name, option in options.items():
        spec[name] = {
            key: _without_prose(value, level + 1) if key == "options" else value
            for key, value in option.items()
            if key not in dropped
        }
    return spec
