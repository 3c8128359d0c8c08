"""Give static URLs a query that changes with the file.

Nginx lets browsers keep static files for weeks; a new release must still reach them at once.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask


def init_app(app: Flask) -> None:
    @app.url_defaults
    def add_fingerprint(endpoint: str, values: dict[str, Any]) -> None:
        scope, _, name = endpoint.rpartition(".")
        if name != "static" or "filename" not in values:
            return
        owner = app.blueprints.get(scope) if scope else app
        if owner is None or owner.static_folder is None:
            return
        file = Path(owner.static_folder, values["filename"])
        try:
            values.setdefault("v", _digest(file, file.stat().st_mtime_ns))
        except OSError:
            return


@lru_cache(maxsize=256)
def _digest(file: Path, modified_ns: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:8]
