"""Faults: each is one change that admins make on a host that was healthy, and what is to be said of it.

The expectations are what an expert would say who walked the whole way from URL to file. ``shows`` proves,
without the collection, that the change is a fault: it fails on the healthy host and passes on the broken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Line:
    """The line of a file on the broken host that has this text: what a component FILE:LINE names.

    :ivar nth: which of those that have it, from 1.
    """

    file: str
    text: str
    nth: int = 1


@dataclass(frozen=True)
class Expected:
    """A finding. Where experts could name one of several components, each of them is right.

    :ivar components: a text may have ``*`` and ``?``, as in ``process *``.
    """

    id: str
    components: tuple[Line | str, ...]


def finding(id: str, *components: Line | str) -> Expected:
    return Expected(id, components)


@dataclass(frozen=True)
class State:
    """One fault.

    :ivar host: a host of ``machine.SHAPES``.
    :ivar breaks: a script; it ends when the change is in effect.
    :ivar shows: a script, as said above.
    :ivar note: why this finding and this component, where that is not plain.
    :ivar sees: what a module's answer would be where the machine can't be made so; called with the module's
        name and its answer.
    """

    id: str
    host: str
    breaks: str
    shows: str
    expected: Expected
    note: str = ""
    sees: Callable[[str, Any], Any] | None = None
