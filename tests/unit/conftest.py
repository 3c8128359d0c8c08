"""Make the collection importable, and hypothesis repeatable."""

from __future__ import annotations

import os

from hypothesis import settings

from tests import collection

# How long an example takes says nothing on a loaded machine. CI tries the same examples each time:
# what it refuses, anybody can repeat.
settings.register_profile("everywhere", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "everywhere")

collection.install()
