from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _evidence_files


def test_components_have_their_selinux_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def getxattr(path: str, name: str) -> bytes:
        assert name == "security.selinux"
        if path == str(tmp_path):
            return b"unconfined_u:object_r:tmp_t:s0\0"
        raise OSError(errno.ENODATA, "No data available")

    monkeypatch.setattr(os, "getxattr", getxattr)
    labels = {each["path"]: each["label"] for each in _evidence_files.components(str(tmp_path), [])}
    assert labels.pop(str(tmp_path)) == "unconfined_u:object_r:tmp_t:s0"
    assert set(labels.values()) == {None}
