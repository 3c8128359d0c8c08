from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from flask import Flask
from PIL import Image

MakeApp = Callable[..., Flask]


def picture(kind: str = "PNG", size: tuple[int, int] = (60, 40), **options: Any) -> bytes:
    output = io.BytesIO()
    Image.new("RGB", size, "#cf3620").save(output, kind, **options)
    return output.getvalue()


def form(*files: tuple[str, bytes]) -> dict[str, Any]:
    return {"pictures": [(io.BytesIO(content), name) for name, content in files]}
