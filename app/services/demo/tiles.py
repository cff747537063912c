"""A canvas with smooth edges, and mahjong tiles drawn on it."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[int, int]
Box = tuple[int, int, int, int]
Face = tuple[str, int]

RED, GREEN, BLUE = (190, 44, 40), (32, 116, 72), (44, 78, 140)
IVORY, BACK = (252, 249, 240), (58, 134, 96)

# Where the marks of a number stand on the face, in parts of its width and height.
PLACES: dict[int, tuple[tuple[float, float], ...]] = {
    1: ((0.5, 0.5),),
    2: ((0.5, 0.27), (0.5, 0.73)),
    3: ((0.25, 0.22), (0.5, 0.5), (0.75, 0.78)),
    4: ((0.3, 0.27), (0.7, 0.27), (0.3, 0.73), (0.7, 0.73)),
    5: ((0.27, 0.22), (0.73, 0.22), (0.5, 0.5), (0.27, 0.78), (0.73, 0.78)),
    6: ((0.3, 0.2), (0.7, 0.2), (0.3, 0.5), (0.7, 0.5), (0.3, 0.8), (0.7, 0.8)),
    7: ((0.25, 0.16), (0.5, 0.25), (0.75, 0.34), (0.3, 0.58), (0.7, 0.58), (0.3, 0.83), (0.7, 0.83)),
    8: tuple((x, y) for y in (0.16, 0.39, 0.61, 0.84) for x in (0.3, 0.7)),
    9: tuple((x, y) for y in (0.2, 0.5, 0.8) for x in (0.22, 0.5, 0.78)),
}


class Canvas:
    """A picture with a vertical gradient to draw on, in the coordinates of the finished size."""

    def __init__(self, width: int, height: int, scale: int, *, top: Colour, bottom: Colour) -> None:
        self._scale = scale
        size = (width * scale, height * scale)
        mask = Image.linear_gradient("L").resize(size)
        self.image = Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), mask)
        self.draw = ImageDraw.Draw(self.image)

    def reduced(self) -> Image.Image:
        """Return the picture in its finished size."""
        return self.image.reduce(self._scale)

    def box(self, box: Box, colour: Colour) -> None:
        """Fill a rectangle."""
        self.draw.rectangle(self._sized(box), fill=colour)

    def rounded(self, box: Box, radius: int, colour: Colour) -> None:
        """Fill a rectangle with round corners."""
        self.draw.rounded_rectangle(self._sized(box), radius * self._scale, fill=colour)

    def ellipse(self, box: Box, colour: Colour) -> None:
        """Fill an ellipse."""
        self.draw.ellipse(self._sized(box), fill=colour)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon."""
        self.draw.polygon([(x * self._scale, y * self._scale) for x, y in points], fill=colour)

    def _sized(self, box: Box) -> tuple[int, int, int, int]:
        left, top, right, bottom = (value * self._scale for value in box)
        return left, top, right, bottom


def blend(first: Colour, second: Colour, part: float) -> Colour:
    """Return a colour between two; *part* 0 is the first."""
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(first, second, strict=True))
    return red, green, blue


def tile_row(canvas: Canvas, rng: Random, at: Point, width: int, count: int, *, accent: Colour) -> None:
    """Draw a row of tiles with mixed faces."""
    for index in range(count):
        face = (rng.choice(("dots", "bamboo", "dots", "bamboo", "dragon")), rng.randrange(1, 10))
        draw_tile(canvas, (at[0] + index * (width + 8), at[1]), width, face, accent=accent)


def draw_tile(canvas: Canvas, at: Point, width: int, face: Face, *, accent: Colour) -> None:
    """Draw a standing tile with its upper left corner at *at*."""
    left, top = at
    height, edge, radius = width * 4 // 3, max(2, width // 12), max(2, width // 9)
    canvas.rounded((left + edge, top + edge, left + width + edge, top + height + edge), radius, BACK)
    canvas.rounded((left, top, left + width, top + height), radius, IVORY)
    kind, number = face
    inner = (left + width // 8, top + height // 8, left + width * 7 // 8, top + height * 7 // 8)
    if kind == "dragon":
        _draw_dragon(canvas, inner, accent)
    else:
        for index, (x, y) in enumerate(PLACES[number]):
            middle = (
                round(inner[0] + (inner[2] - inner[0]) * x),
                round(inner[1] + (inner[3] - inner[1]) * y),
            )
            colour = (GREEN, BLUE, RED)[(index + number) % 3]
            (_draw_dot if kind == "dots" else _draw_bamboo)(canvas, middle, _mark_size(width, number), colour)


def _mark_size(width: int, number: int) -> int:
    return max(2, width // (4 if number == 1 else 8 if number <= 5 else 10))


def _draw_dot(canvas: Canvas, middle: Point, radius: int, colour: Colour) -> None:
    x, y = middle
    canvas.ellipse((x - radius, y - radius, x + radius, y + radius), colour)
    inner = radius * 3 // 5
    canvas.ellipse((x - inner, y - inner, x + inner, y + inner), IVORY)
    core = max(1, radius // 3)
    canvas.ellipse((x - core, y - core, x + core, y + core), colour)


def _draw_bamboo(canvas: Canvas, middle: Point, radius: int, colour: Colour) -> None:
    x, y = middle
    half = max(1, radius // 3)
    canvas.rounded((x - half, y - radius, x + half, y + radius), half, colour)
    for knot in (y - radius, y, y + radius):
        canvas.ellipse((x - half - 1, knot - half, x + half + 1, knot + half), blend(colour, IVORY, 0.25))


def _draw_dragon(canvas: Canvas, inner: Box, colour: Colour) -> None:
    """Draw the red centre: a box with a stroke through its middle."""
    left, top, right, bottom = inner
    stroke = max(2, (right - left) // 8)
    middle = (left + right) // 2
    upper, lower = top + (bottom - top) // 5, top + (bottom - top) * 3 // 5
    canvas.box((left, upper, right, lower), RED)
    canvas.box((left + stroke, upper + stroke, right - stroke, lower - stroke), IVORY)
    canvas.box((middle - stroke // 2, top, middle + stroke // 2, bottom), blend(RED, colour, 0.2))
