"""All faults of the corpus."""

from __future__ import annotations

import states_headers
import states_limits
import states_permissions
import states_proxy
import states_routing
import states_storage
from faults import Expected, Line, State

__all__ = ["STATES", "Expected", "Line", "State"]

STATES = [
    *states_routing.STATES,
    *states_storage.STATES,
    *states_permissions.STATES,
    *states_limits.STATES,
    *states_headers.STATES,
    *states_proxy.STATES,
]
