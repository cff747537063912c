"""Pages, media and other small shapes that several resources use."""

from __future__ import annotations

from functools import lru_cache

from marshmallow import Schema, fields

from app.api.schemas.base import AnswerSchema, Id, Instant, RequestSchema, Text, Whole, fen
from app.domain.states import LabelledEnum

DEFAULT_PAGE = 20
MAX_PAGE = 100


class PageQuery(RequestSchema):
    """Where a list continues, and how much of it to send."""

    cursor = Text(at_least=1, at_most=100, load_default=None)
    limit = Whole(low=1, high=MAX_PAGE, in_address=True, load_default=DEFAULT_PAGE)


@lru_cache
def page_schema(item: type[Schema]) -> type[Schema]:
    """Return the schema of a page of *item*."""
    name = item.__name__.removesuffix("Schema") + "PageSchema"
    members = {
        "__doc__": f"A page of a list of {item.__name__.removesuffix('Schema')}.",
        "items": fields.List(fields.Nested(item)),
        "next_cursor": fields.String(
            allow_none=True, metadata={"description": "For the next page; null on the last one."}
        ),
    }
    return type(name, (AnswerSchema,), members)


def words(enum: type[LabelledEnum]) -> list[str]:
    """Return the stored values of an enum, for documents and choices."""
    return [member.value for member in enum]


class BriefSchema(AnswerSchema):
    """Something by its id and name."""

    id = Id()
    name = fields.String()


class MediumSchema(AnswerSchema):
    """A picture or video."""

    kind = fields.String(metadata={"enum": ["overview", "angle", "facility", "ambience", "video"]})
    url = fields.String()
    poster_url = fields.String(allow_none=True)
    caption = fields.String()


class FacilitySchema(AnswerSchema):
    """Something that a room offers."""

    name = fields.String()
    brand = fields.String(allow_none=True)
    remark = fields.String(allow_none=True)


class FeeStepSchema(AnswerSchema):
    """At least so many minutes before the start it costs so much; null minutes mean after the start."""

    minutes_before = fields.Integer(allow_none=True)
    fee_percent = fields.Integer()


class LineSchema(AnswerSchema):
    """One line of a price; only time lines carry minutes, reductions are negative."""

    kind = fields.String(
        metadata={
            "enum": [
                "hourly", "session", "package", "minimum", "day_cap", "voucher", "discount", "overtime",
                "change_fee", "cancel_fee", "adjustment",
            ]
        }
    )  # fmt: skip
    label = fields.String()
    rule_id = Id(allow_none=True)
    start_at = Instant(allow_none=True)
    end_at = Instant(allow_none=True)
    minutes = fields.Integer(allow_none=True)
    unit_fen = fen(allow_none=True)
    amount_fen = fen()
