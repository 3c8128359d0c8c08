"""Make the collection importable as ``ansible_collections.flaskworks.static_media``.

The parent of ``ansible_collections`` is taken from ``COLLECTION_PARENT`` (the built and installed
tarball, in ``make test``); without it, from a link to this checkout.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

# Removed when the interpreter ends.
LINKS = tempfile.TemporaryDirectory(prefix="flaskworks-unit-")
CHECKOUT = Path(__file__).resolve().parents[1]


def _parent() -> str:
    installed = os.environ.get("COLLECTION_PARENT")
    if installed:
        return installed
    parent = Path(LINKS.name)
    namespace = parent / "ansible_collections" / "flaskworks"
    namespace.mkdir(parents=True)
    (namespace / "static_media").symlink_to(CHECKOUT)
    return str(parent)


def install() -> None:
    """Make it importable from now on."""
    _AnsibleCollectionFinder(paths=[_parent()])._install()
