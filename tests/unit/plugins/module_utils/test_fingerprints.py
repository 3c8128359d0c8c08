"""What proves that a name is a fingerprint, and what does not."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _fingerprints
from hypothesis import given
from hypothesis import strategies as st

MD5 = "0123456789abcdef" * 2


def proven(path: str, values: t.Any) -> set[str]:
    return set(_fingerprints.proven(path, json.dumps(values).encode()))


@pytest.mark.parametrize(
    "values",
    [
        {"app.js": "app.js"},
        {"app.js": "app-1.0.js"},
        {"photo.jpg": "photo-20240131.jpg"},
        {"app.js": 5},
        {"app.js": None},
        {"app.js": ["app-" + MD5 + ".js"]},
        {"app.js": f"../app-{MD5}.js"},
        {"app.js": f"/etc/app-{MD5}.js"},
        {"app.js": f"app-{MD5}0.js"},
        [f"app-{MD5}.js"],
        "text",
        None,
    ],
)
def test_a_digest_manifest_that_proves_nothing(values: t.Any) -> None:
    assert proven("cache_manifest.json", values) == set()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
@pytest.mark.parametrize("path", ["cache_manifest.json", "manifest.json"])
def test_what_is_no_json_proves_nothing(path: str, content: bytes) -> None:
    assert list(_fingerprints.proven(path, content)) == []


def test_a_digest_manifest_is_believed() -> None:
    values = {"css/app.css": f"css/app-{MD5}.css", "LICENSE": f"LICENSE-{MD5}"}
    assert proven("cache_manifest.json", values) == {f"css/app-{MD5}.css", f"LICENSE-{MD5}"}
    assert proven("sub/cache_manifest.json", {"a.css": f"a-{MD5}.css"}) == {f"sub/a-{MD5}.css"}


# https://vite.dev/guide/backend-integration.html shows such a one.
VITE = {
    "_shared-B7PI925R.js": {
        "file": "assets/shared-B7PI925R.js",
        "name": "shared",
        "css": ["assets/shared-ChJ_j-JJ.css"],
    },
    "_shared-ChJ_j-JJ.css": {"file": "assets/shared-ChJ_j-JJ.css", "src": "_shared-ChJ_j-JJ.css"},
    "logo.svg": {"file": "assets/logo-BuPIv-2h.svg", "src": "logo.svg"},
    "views/foo.js": {
        "file": "assets/foo-BRBmoGS9.js",
        "name": "foo",
        "src": "views/foo.js",
        "isEntry": True,
        "imports": ["_shared-B7PI925R.js"],
        "assets": ["assets/font-DrRJxksg.woff2"],
    },
}
VITE_FILES = {
    "assets/shared-B7PI925R.js",
    "assets/shared-ChJ_j-JJ.css",
    "assets/logo-BuPIv-2h.svg",
    "assets/foo-BRBmoGS9.js",
    "assets/font-DrRJxksg.woff2",
}


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("manifest.json", ""),
        (".vite/manifest.json", ""),
        ("dist/manifest.json", "dist/"),
        ("dist/.vite/manifest.json", "dist/"),
    ],
)
def test_a_vite_manifest_is_believed(path: str, prefix: str) -> None:
    assert proven(path, VITE) == {prefix + name for name in VITE_FILES}


@pytest.mark.parametrize(
    "values",
    [
        # A web app's own manifest
        {"name": "Gallery", "icons": [{"src": "icon-DrRJxksg.png"}]},
        {"a": {"file": "assets/a-DrRJxksg.js"}, "name": "Gallery"},
        {"a": {"src": "a.js"}},
        # Names configured without [hash]
        {"main.ts": {"file": "assets/main.js", "src": "main.ts"}},
        {"date-picker.ts": {"file": "assets/date-pickers.js", "src": "date-pickers.ts"}},
        {"main-component.ts": {"file": "assets/main-component.js", "src": "main-component.ts"}},
        {"x": {"file": "js/main-component.js", "name": "main-component"}},
        {"main-component.ts": {"file": "m.js", "css": ["css/main-component.css"]}},
        {"a.js": {"file": "../a-DrRJxksg.js"}},
        {"a.js": {"file": "/a-DrRJxksg.js"}},
        {"a.js": {"file": 5}},
        {},
    ],
)
def test_a_manifest_that_proves_nothing(values: t.Any) -> None:
    assert proven("manifest.json", values) == set()


@given(
    st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_manifest_is_too_odd(values: t.Any) -> None:
    for path in ("manifest.json", "cache_manifest.json"):
        for name in proven(path, values):
            assert not name.startswith(("/", "../"))


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("css/app.css", "css/app-0123456789abcdef.css"),
        ("a.min.js", "a.min-0123456789abcdef.js"),
        ("LICENSE", "LICENSE-0123456789abcdef"),
        ("v1.2/LICENSE", "v1.2/LICENSE-0123456789abcdef"),
    ],
)
def test_a_fingerprinted_name_keeps_its_directory_and_type(path: str, named: str) -> None:
    assert _fingerprints.fingerprinted_name(path, MD5 * 2) == named
