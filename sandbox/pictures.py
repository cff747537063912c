"""Pictures that the mini-program code path answers: a scannable QR code in place of WeChat's round one."""

from __future__ import annotations

import io

import segno
from PIL import Image


def mini_program_code(content: str, width: int, kind: str) -> bytes:
    """Return a square picture *width* pixels wide; *kind* is jpeg, or png with a transparent ground."""
    drawn = io.BytesIO()
    segno.make(content, error="m", micro=False).save(drawn, kind="png", scale=8, border=4)
    with Image.open(drawn) as picture:
        scaled = picture.convert("RGB").resize((width, width), Image.Resampling.NEAREST)
    result = io.BytesIO()
    if kind == "png":
        scaled = _without_ground(scaled)
    scaled.save(result, kind)
    return result.getvalue()


def _without_ground(picture: Image.Image) -> Image.Image:
    transparent = picture.convert("RGBA")
    # Dark modules stay opaque, the white ground disappears.
    transparent.putalpha(picture.convert("L").point(lambda value: 255 - value))
    return transparent
