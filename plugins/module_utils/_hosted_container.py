# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Which container an app runs in. Reads only."""

from __future__ import annotations

import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import _container, _docker


def look_up(question: t.Mapping[str, t.Any] | None) -> tuple[_docker.Facts | None, str | None]:
    """Return the facts of an app's container, and why they can't be had.

    :param question: ``container``, a name; or ``app`` and ``socket`` of one that we run.
    """
    if not question:
        return None, None
    try:
        engine = _docker.Engine()
        name = question.get("container")
        if name:
            found = engine.container(name)
            if found is None:
                return None, f"there is no container {name!r}"
            return _docker.facts_of(found), None
        engine.require_compose()
        instance = _container.current_instance(question["socket"])
        running = engine.containers(question["app"], instance) if instance else []
    except _docker.EngineError as error:
        return None, str(error)
    return (_docker.facts_of(running[0]) if running else None), None
