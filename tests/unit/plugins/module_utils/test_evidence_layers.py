from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _evidence_layers

OVERLAY = (
    "48 85 0:289 / / rw,relatime - overlay overlay rw,lowerdir={low}:{lower},upperdir={up},workdir=/w\n"
    "62 48 0:182 / /proc rw,nosuid - proc proc rw\n"
)
BOTH = "760 48 254:0 /volumes/static/_data /app/static rw,relatime master:1 - ext4 /dev/vda rw\n"


def mountinfo(tmp_path: Path, text: str) -> str:
    file = tmp_path / "mountinfo"
    file.write_text(text)
    return str(file)


@pytest.fixture
def layers(tmp_path: Path) -> list[str]:
    found = []
    for name in ("up", "low", "lower"):
        (tmp_path / name / "app" / "static" / "css").mkdir(parents=True)
        found.append(str(tmp_path / name))
    return found


def test_layers_of_an_overlay_are_told_from_above(tmp_path: Path) -> None:
    text = OVERLAY.format(up="/var/up", low="/var/low", lower="/var/a\\040b") + BOTH
    assert _evidence_layers.layers(mountinfo(tmp_path, text)) == ["/var/up", "/var/low", "/var/a b"]


@pytest.mark.parametrize(
    "text",
    [
        "48 85 254:0 /vfs/dir/x / rw - ext4 /dev/vda rw\n",
        "48 85 0:289 / / rw - overlay overlay rw,lowerdir=l/A:l/B,upperdir=/u\n",
        "62 48 0:182 / /proc rw,nosuid - proc proc rw\n",
    ],
)
def test_other_roots_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(_evidence_layers.LayersError):
        _evidence_layers.layers(mountinfo(tmp_path, text))


def test_process_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(_evidence_layers.LayersError):
        _evidence_layers.layers(str(tmp_path / "gone"))


def test_upper_layers_hide_lower_ones(layers: list[str]) -> None:
    for number, layer in enumerate(layers[1:], 1):
        Path(layer, "app/static/css/site.css").write_text("x" * number)
    Path(layers[2], "app/static/logo.svg").write_text("logo")
    told = _evidence_layers.tree(layers, "/app/static", 10, 1.0)
    assert [(entry["path"], entry["size"]) for entry in told["entries"]] == [
        ("/app/static/css/site.css", 1),
        ("/app/static/logo.svg", 4),
    ]
    assert told["is_all"] and told["files"] == 2


@pytest.mark.parametrize("opaque", ["app/static/css", "app/static", "app"])
def test_opaque_directories_hide_those_below(
    layers: list[str], opaque: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def getxattr(path: str, name: str) -> bytes:
        assert name == "trusted.overlay.opaque"
        if path == os.path.join(layers[1], opaque):
            return b"y"
        raise OSError(errno.ENODATA, "No data available")

    monkeypatch.setattr(os, "getxattr", getxattr)
    Path(layers[1], "app/static/css/new.css").write_text("new")
    Path(layers[2], "app/static/css/old.css").write_text("old")
    told = _evidence_layers.tree(layers, "/app/static", 10, 1.0)
    assert [entry["path"] for entry in told["entries"]] == ["/app/static/css/new.css"]


def test_what_a_higher_layer_has_removed_is_gone(
    layers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(layers[1], "app/static/css/old.css").write_text("stands for a device 0:0")
    Path(layers[2], "app/static/css/old.css").write_text("old")
    monkeypatch.setattr(
        _evidence_layers,
        "_is_whiteout",
        lambda status: status.st_size > 10 and status.st_nlink == 1,
    )
    assert _evidence_layers.tree(layers, "/app/static", 10, 1.0)["entries"] == []


def test_links_out_of_a_layer_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("key")
    (tmp_path / "up" / "app").mkdir(parents=True)
    (tmp_path / "up" / "app" / "static").symlink_to(tmp_path / "secret")
    assert _evidence_layers.tree([str(tmp_path / "up")], "/app/static", 10, 1.0)["entries"] == []


def test_bounds(layers: list[str]) -> None:
    for number in range(5):
        Path(layers[0], f"app/static/css/{number}.css").write_text("")
    assert not _evidence_layers.tree(layers, "/app/static", 3, 1.0)["is_all"]
    clock = iter(range(100)).__next__
    assert not _evidence_layers.tree(layers, "/app/static", 10, 0.5, clock)["is_all"]
