"""Draw the raster images of the gallery, so that nobody's photograph is needed.

Development only: needs NumPy and Pillow. Run from the project's directory.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "gallery"
SEED = 7


def colour(code: str) -> np.ndarray:
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float64)


def gradient(stops: list[tuple[float, str]], height: int, width: int) -> np.ndarray:
    at = np.linspace(0, 1, height)
    positions = [position for position, _ in stops]
    channels = [np.interp(at, positions, [colour(code)[c] for _, code in stops]) for c in range(3)]
    return np.repeat(np.stack(channels, axis=1)[:, None, :], width, axis=1)


def ridge(width: int, roughness: float, rng: np.random.Generator) -> np.ndarray:
    """A mountain line between -1 and 1: a sum of ever finer waves."""
    x = np.linspace(0, 1, width)
    line = np.zeros(width)
    for octave in range(1, 9):
        frequency = 1.1 * 1.9**octave
        wave = 1 - 2 * np.abs(((x * frequency + rng.random()) % 1) * 2 - 1)
        line += wave * roughness**octave
    return line / np.abs(line).max()


def landscape(width: int, height: int, seed: int) -> Image.Image:
    """Ridges in evening haze under a low sun."""
    rng = np.random.default_rng(seed)
    sky = gradient(
        [(0, "#20283f"), (0.25, "#5b4a6b"), (0.45, "#c8675b"), (0.62, "#f2a566"), (1, "#ffe0ae")],
        height,
        width,
    )
    rows, columns = np.mgrid[0:height, 0:width]
    sun_x, sun_y, radius = width * 0.64, height * 0.47, height * 0.075
    distance = np.hypot(columns - sun_x, rows - sun_y)
    glow = np.exp(-distance / (height * 0.2))[..., None]
    sky = sky + (colour("#ffe2b0") - sky) * glow * 0.75
    disc = np.clip((radius - distance) / 2 + 0.5, 0, 1)[..., None]
    picture = sky + (colour("#fff3d9") - sky) * disc

    layers = [
        (0.56, 0.060, "#c77f6d", 0.55),
        (0.64, 0.075, "#9c5c62", 0.56),
        (0.73, 0.085, "#6b4159", 0.57),
        (0.83, 0.090, "#3f2c49", 0.58),
        (0.95, 0.095, "#1b1a2c", 0.60),
    ]
    for level, relief, tone, roughness in layers:
        crest = (level - ridge(width, roughness, rng) * relief) * height
        depth = rows - crest[None, :]
        inside = np.clip(depth + 0.5, 0, 1)[..., None]
        haze = np.clip(depth / (height * 0.16), 0, 1)[..., None]
        lit = colour(tone) + (colour("#f5b277") - colour(tone)) * 0.44 * (1 - level)
        body = lit + (colour("#f0a878") - lit) * haze * 0.22 * (1.1 - level)
        picture = picture * (1 - inside) + body * inside

    picture += rng.normal(0, 1.6, (height, width, 1))
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def mark(size: int) -> Image.Image:
    """The logo as pixels: a frame with a sun behind a ridge."""
    scale = 8
    big = size * scale
    image = Image.new("RGBA", (big, big))
    draw = ImageDraw.Draw(image)
    unit = big / 32
    draw.rounded_rectangle((unit, unit, 31 * unit, 31 * unit), radius=8 * unit, fill="#e0402a")
    draw.ellipse((18 * unit, 7.5 * unit, 25 * unit, 14.5 * unit), fill="#ffffff")
    slopes = [(6, 25), (13, 13.5), (17.5, 20), (20.5, 16.5), (26, 25)]
    draw.polygon([(x * unit, y * unit) for x, y in slopes], fill="#ffffff")
    return image.resize((size, size), Image.Resampling.LANCZOS)


def desk(width: int, height: int, seed: int) -> Image.Image:
    """Out-of-focus lights, for the head of the about page."""
    rng = np.random.default_rng(seed)
    base = Image.fromarray(
        gradient([(0, "#141a26"), (0.55, "#3a2637"), (1, "#70302f")], height, width).astype(
            np.uint8
        )
    )
    tones = ["#ff7a4d", "#ffb26b", "#ffd9a0", "#e0402a", "#7c6bd6", "#58b0c9"]
    for blur, count, largest in ((14, 26, 0.17), (5, 26, 0.11), (1.5, 20, 0.07)):
        layer = Image.new("RGB", base.size)
        draw = ImageDraw.Draw(layer)
        for _ in range(count):
            radius = height * largest * (0.35 + 0.65 * rng.random())
            x = width * rng.random()
            y = height * (0.25 + 0.75 * rng.random())
            strength = 0.12 + 0.3 * rng.random()
            tone = colour(tones[rng.integers(len(tones))]) * strength
            draw.ellipse(
                (x - radius, y - radius, x + radius, y + radius), fill=tuple(tone.astype(int))
            )
        lights = np.asarray(layer.filter(ImageFilter.GaussianBlur(blur)), dtype=np.float64)
        dark = np.asarray(base, dtype=np.float64)
        base = Image.fromarray((255 - (255 - dark) * (255 - lights) / 255).astype(np.uint8))
    return base


def main() -> None:
    images = PACKAGE / "static" / "images"
    landscape(1600, 1000, SEED).save(images / "evening.webp", quality=86, method=6)
    mark(64).save(images / "favicon.png", optimize=True)
    mark(192).save(images / "icon-192.png", optimize=True)
    desk(1600, 600, SEED).save(PACKAGE / "about" / "static" / "lights.webp", quality=86, method=6)


if __name__ == "__main__":
    main()
