"""Pictures of the example chain: drawn here, kept where all pictures are kept."""

from __future__ import annotations

import io
from functools import cache
from random import Random

from PIL import ImageFont

from app import gateways
from app.services.demo.catalogue import DemoStore
from app.services.demo.tiles import Canvas, Colour, blend, draw_tile, tile_row

WIDTH, HEIGHT = 720, 480
# Everything is drawn larger and reduced, which makes the edges smooth.
SCALE = 2
# Names a machine may have one of; without any, pictures go without words.
FONTS = ("NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "PingFang.ttc", "msyh.ttc")

WOOD, FELT, IVORY = (121, 78, 48), (30, 110, 86), (250, 246, 235)

# Wall, floor and accent of each decor style.
STYLES: dict[str, tuple[Colour, Colour, Colour]] = {
    "新中式": ((226, 211, 186), (140, 100, 66), (160, 44, 38)),
    "现代简约": ((222, 226, 230), (164, 158, 150), (52, 96, 132)),
    "日式": ((238, 226, 202), (190, 156, 108), (96, 122, 76)),
    "国潮": ((200, 74, 58), (96, 58, 52), (240, 190, 76)),
    "轻奢": ((70, 78, 96), (52, 48, 54), (214, 178, 110)),
    "法式": ((236, 222, 224), (178, 150, 130), (176, 108, 118)),
}
STORE_COLOURS: tuple[tuple[Colour, Colour], ...] = (
    ((38, 70, 83), (233, 196, 106)),
    ((42, 111, 92), (244, 162, 97)),
    ((122, 46, 58), (240, 214, 160)),
)


class Gallery:
    """Draws pictures, saves them under fixed keys and returns their addresses."""

    def __init__(self) -> None:
        self._storage = gateways.media_storage()

    def logo(self, store: DemoStore) -> str:
        """Return the address of a store's logo."""
        dark, light = STORE_COLOURS[store.palette]
        canvas = Canvas(256, 256, SCALE, top=dark, bottom=blend(dark, light, 0.35))
        draw_tile(canvas, (70, 46), 116, ("dots", 1), accent=light)
        return self._save(f"stores/{store.slug}-logo.webp", canvas)

    def store_view(self, store: DemoStore, view: int) -> str:
        """Return the address of one of three pictures of a store: entrance, tea corner, corridor."""
        dark, light = STORE_COLOURS[store.palette]
        canvas = Canvas(WIDTH, HEIGHT, SCALE, top=blend(dark, light, 0.55), bottom=blend(dark, light, 0.15))
        (_draw_entrance, _draw_tea_corner, _draw_corridor)[view](canvas, dark, light)
        if view == 0:
            _write(canvas, store.name, (360, 92), 30, light)
        return self._save(f"stores/{store.slug}-{view + 1}.webp", canvas)

    def room_view(self, store: DemoStore, position: int, view: int) -> str:
        """Return the address of one of three pictures of a room: whole room, table from above, tiles."""
        room = store.rooms[position]
        wall, floor, accent = STYLES[room.decor_style]
        rng = Random(f"{store.slug}:{position}:{view}")
        canvas = Canvas(WIDTH, HEIGHT, SCALE, top=blend(wall, IVORY, 0.4), bottom=wall)
        (_draw_room, _draw_table_from_above, _draw_close_up)[view](canvas, floor, accent, rng)
        if view == 0:
            _write_plaque(canvas, room.name, accent)
        return self._save(f"rooms/{store.slug}-{position + 1}-{view + 1}.webp", canvas)

    def campaign_cover(self, slug: str, number: int, title: str) -> str:
        """Return the address of a campaign's cover."""
        dark, light = STORE_COLOURS[number % len(STORE_COLOURS)]
        canvas = Canvas(WIDTH, HEIGHT, SCALE, top=dark, bottom=blend(dark, light, 0.5))
        canvas.ellipse((420, -140, 860, 300), blend(dark, light, 0.25))
        canvas.ellipse((-160, 260, 240, 660), blend(dark, light, 0.3))
        tile_row(canvas, Random(f"campaign:{slug}"), (96, 230), 84, 6, accent=blend(dark, (200, 40, 40), 0.5))
        _write(canvas, title, (360, 130), 34, IVORY)
        return self._save(f"campaigns/{slug}.webp", canvas)

    def _save(self, key: str, canvas: Canvas) -> str:
        content = io.BytesIO()
        canvas.reduced().save(content, "WEBP", quality=72, method=1)
        self._storage.save(key, content.getvalue())
        return self._storage.url(key)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | None:
    for name in FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None


def _write(canvas: Canvas, words: str, middle: tuple[int, int], size: int, colour: Colour) -> None:
    font = _font(size * SCALE)
    if font is not None:
        at = (middle[0] * SCALE, middle[1] * SCALE)
        canvas.draw.text(at, words, font=font, fill=colour, anchor="mm")


def _write_plaque(canvas: Canvas, words: str, accent: Colour) -> None:
    if _font(26 * SCALE) is not None:
        canvas.rounded((268, 54, 452, 104), 8, blend(accent, (30, 22, 20), 0.7))
        _write(canvas, words, (360, 78), 26, IVORY)


def _draw_entrance(canvas: Canvas, dark: Colour, light: Colour) -> None:
    canvas.box((0, 400, 720, 480), (120, 116, 112))
    canvas.box((80, 140, 640, 400), blend(dark, (30, 30, 34), 0.25))
    canvas.box((80, 60, 640, 124), blend(dark, (10, 10, 10), 0.35))
    for left in (110, 470):
        canvas.box((left, 180, left + 140, 340), blend(light, IVORY, 0.5))
        canvas.box((left + 66, 180, left + 72, 340), dark)
    canvas.box((290, 180, 430, 400), blend(light, (90, 60, 30), 0.35))
    canvas.box((300, 190, 420, 400), blend(light, IVORY, 0.35))
    canvas.ellipse((396, 292, 410, 306), dark)
    for left in (250, 446):
        canvas.ellipse((left, 200, left + 24, 240), (206, 58, 46))
        canvas.box((left + 10, 240, left + 14, 262), light)


def _draw_tea_corner(canvas: Canvas, dark: Colour, light: Colour) -> None:
    canvas.box((0, 360, 720, 480), blend(WOOD, dark, 0.3))
    for top in (110, 190, 270):
        canvas.box((90, top, 630, top + 10), WOOD)
        for place in range(8):
            left = 116 + place * 64
            height = 26 + (place * 7 + top) % 22
            canvas.rounded((left, top - height, left + 34, top), 6, blend(IVORY, light, (place % 3) * 0.3))
    canvas.rounded((250, 330, 470, 420), 20, blend(dark, IVORY, 0.2))
    canvas.ellipse((310, 296, 410, 376), IVORY)
    canvas.ellipse((330, 306, 390, 330), blend(IVORY, (120, 150, 90), 0.6))


def _draw_corridor(canvas: Canvas, dark: Colour, light: Colour) -> None:
    canvas.polygon([(0, 480), (720, 480), (430, 300), (290, 300)], blend(WOOD, IVORY, 0.25))
    canvas.polygon([(0, 0), (290, 170), (290, 300), (0, 480)], blend(dark, light, 0.35))
    canvas.polygon([(720, 0), (430, 170), (430, 300), (720, 480)], blend(dark, light, 0.28))
    canvas.box((290, 170, 430, 300), blend(light, IVORY, 0.45))
    for left, right in ((40, 110), (150, 200), (225, 255)):
        drop = (290 - left) // 2
        upper = [(left, 170 - drop // 2), (right, 190 - drop // 3)]
        lower = [(right, 330 + drop // 3), (left, 360 + drop // 3)]
        canvas.polygon(upper + lower, blend(WOOD, dark, 0.35))
    for top in (60, 110, 140):
        canvas.ellipse((340, top, 380, top + 14), IVORY)


def _draw_room(canvas: Canvas, floor: Colour, accent: Colour, rng: Random) -> None:
    canvas.polygon([(0, 480), (720, 480), (720, 330), (0, 330)], floor)
    canvas.box((0, 326, 720, 334), blend(floor, (20, 20, 20), 0.35))
    _draw_window(canvas, 70 + rng.randrange(60), accent)
    _draw_picture_frame(canvas, 500 + rng.randrange(60), accent, rng)
    canvas.polygon([(300, 0), (420, 0), (396, 24), (324, 24)], accent)
    canvas.ellipse((316, 14, 404, 46), (255, 240, 200))
    for left in (120, 512):
        canvas.rounded((left, 300, left + 88, 420), 16, blend(accent, (40, 30, 30), 0.35))
    canvas.polygon([(206, 300), (514, 300), (590, 430), (130, 430)], WOOD)
    canvas.polygon([(222, 308), (498, 308), (560, 416), (160, 416)], FELT)
    canvas.box((340, 430, 380, 470), blend(WOOD, (10, 10, 10), 0.3))
    for left in range(236, 486, 16):
        canvas.rounded((left, 312, left + 13, 328), 3, IVORY)
    for left in range(180, 540, 22):
        canvas.rounded((left, 388, left + 19, 412), 4, IVORY)
    canvas.ellipse((328, 342, 392, 374), blend(FELT, (10, 20, 20), 0.5))
    canvas.rounded((292, 424, 428, 478), 18, blend(accent, (40, 30, 30), 0.25))


def _draw_window(canvas: Canvas, left: int, accent: Colour) -> None:
    canvas.box((left, 90, left + 150, 250), blend(accent, WOOD, 0.6))
    canvas.box((left + 8, 98, left + 142, 242), (196, 222, 232))
    canvas.ellipse((left + 90, 112, left + 126, 148), (252, 236, 190))
    canvas.polygon([(left + 8, 242), (left + 60, 170), (left + 110, 242)], (120, 156, 140))
    canvas.polygon([(left + 70, 242), (left + 110, 196), (left + 142, 242)], (96, 134, 122))
    canvas.box((left + 72, 98, left + 78, 242), blend(accent, WOOD, 0.6))


def _draw_picture_frame(canvas: Canvas, left: int, accent: Colour, rng: Random) -> None:
    canvas.box((left, 100, left + 110, 230), blend(accent, (30, 20, 20), 0.4))
    canvas.box((left + 8, 108, left + 102, 222), IVORY)
    face = rng.choice((("dots", 5), ("bamboo", 3), ("dots", 7), ("dragon", 0)))
    draw_tile(canvas, (left + 28, 124), 54, face, accent=accent)


def _draw_table_from_above(canvas: Canvas, floor: Colour, accent: Colour, rng: Random) -> None:
    canvas.box((0, 0, 720, 480), floor)
    for top in range(0, 480, 40):
        canvas.box((0, top, 720, top + 2), blend(floor, (20, 20, 20), 0.12))
    for box in ((300, 4, 420, 74), (300, 406, 420, 476), (70, 180, 160, 300), (560, 180, 650, 300)):
        canvas.rounded(box, 22, blend(accent, (40, 30, 30), 0.3))
    canvas.rounded((170, 50, 550, 430), 26, WOOD)
    canvas.rounded((190, 70, 530, 410), 14, FELT)
    for step in range(13):
        canvas.rounded((230 + step * 20, 100, 248 + step * 20, 126), 4, IVORY)
        canvas.rounded((230 + step * 20, 354, 248 + step * 20, 380), 4, IVORY)
        canvas.rounded((214, 116 + step * 19, 240, 132 + step * 19), 4, IVORY)
        canvas.rounded((480, 116 + step * 19, 506, 132 + step * 19), 4, IVORY)
    canvas.rounded((300, 180, 420, 300), 16, blend(FELT, (8, 30, 26), 0.55))
    for _ in range(9):
        at = (250 + rng.randrange(190), 150 + rng.randrange(150))
        draw_tile(canvas, at, 24, (rng.choice(("dots", "bamboo")), rng.randrange(1, 10)), accent=accent)


def _draw_close_up(canvas: Canvas, floor: Colour, accent: Colour, rng: Random) -> None:
    canvas.box((0, 0, 720, 480), FELT)
    canvas.ellipse((-120, -220, 840, 330), blend(FELT, (255, 255, 255), 0.08))
    canvas.box((0, 400, 720, 480), WOOD)
    canvas.box((0, 400, 720, 408), blend(WOOD, floor, 0.5))
    tile_row(canvas, rng, (56, 220), 96, 6, accent=accent)
    for left in (150, 330, 500):
        draw_tile(canvas, (left, 60 + rng.randrange(40)), 70, ("dots", rng.randrange(1, 10)), accent=accent)
