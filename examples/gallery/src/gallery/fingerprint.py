"""Give static files URLs that change with their content.

Nginx lets browsers keep static files for weeks; a new release must still reach them at once. Where
the deployment has made fingerprinted names, and says which in STATIC_MANIFEST, those are used; they
are kept for a year. Else the URL gets a query.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask


def init_app(app: Flask) -> None:
    names = _fingerprinted_names(app.config.get("STATIC_MANIFEST"))

    @app.url_defaults
    def add_fingerprint(endpoint: str, values: dict[str, Any]) -> None:
        filename = values.get("filename")
        if filename in names.get(endpoint, {}):
            values["filename"] = names[endpoint][filename]
            return
        scope, _, name = endpoint.rpartition(".")
        if name != "static" or filename is None:
            return
        owner = app.blueprints.get(scope) if scope else app
        if owner is None or owner.static_folder is None:
            return
        file = Path(owner.static_folder, filename)
        try:
            values.setdefault("v", _digest(file, file.stat().st_mtime_ns))
        except OSError:
            return


def _fingerprinted_names(manifest: str | None) -> dict[str, dict[str, str]]:
    """Return the file names of each endpoint with their fingerprinted ones."""
    if manifest is None:
        return {}
    try:
        names: dict[str, dict[str, str]] = json.loads(Path(manifest).read_text())
    except FileNotFoundError:
        # The app is imported once before its static files are published, to ask where they are.
        return {}
    return names


@lru_cache(maxsize=256)
def _digest(file: Path, modified_ns: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:8]
