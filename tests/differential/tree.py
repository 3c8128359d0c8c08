"""The files that the tests' Nginx serves: each says in its text where it lies."""

from __future__ import annotations

import os
from pathlib import Path

FILES = (
    "www/index.html", "www/404.html", "www/a", "www/a.css", "www/a.html", "www/.hidden", "www/e.txt",
    "www/b/index.html", "www/b/c.css", "www/b/a", "www/b/a.css", "www/b/d/e.txt", "www/b/d/e.html",
    "www/b/d/index.htm", "www/c/a.html", "www/c/a.css", "www/c/d/index.html/x", "www/sp ace.css",
    "www/x+y.css", "www/u..v.css", "www/é.txt", "www/p%q.txt", "www/b/.b.css", "www/name.", "www/d.css/a",
    "www/b.html", "other/a.css", "other/index.html", "other/b/a.css", "other/b/index.html",
    "other/b/c.css", "other/c.css", "other/e.txt", "other/d/e.txt", "other../a.css", "otherwise/a.css",
    "www/a.css.gz", "www/b/c.css.gz", "www/b/index.html.gz", "othera.css", "otherindex.html", "html/a.css", "html/index.html",
)  # fmt: skip
DIRECTORIES = ("www/", "www/b/", "www/b/d/", "www/c/", "www/empty/", "other/b/", "other/d/")


def make(directory: Path) -> None:
    for name in FILES:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(path))
    for name in DIRECTORIES:
        (directory / name).mkdir(exist_ok=True)


def exists(path: str) -> str | None:
    """As Nginx sees it: by stat(2)."""
    if os.path.isdir(path):
        return "directory"
    return "file" if os.path.exists(path) else None
