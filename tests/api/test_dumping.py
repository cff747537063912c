"""Compiled answers equal those of their schemas, whatever is in them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from pkgutil import iter_modules
from random import Random
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from flask_babel import lazy_gettext as _l
from marshmallow import Schema, fields

from app.api import schemas
from app.api.dumping import compile_dump
from app.api.schemas.base import AnswerSchema, Id, Instant
from app.domain.states import OrderStatus

TEXTS = ["", "雀坊", 7, _l("Order paid"), OrderStatus.PAID]
INSTANT = datetime(2026, 3, 4, 4, 0, 30, 500, tzinfo=UTC)
INSTANTS = [INSTANT, INSTANT.astimezone(ZoneInfo("Asia/Shanghai"))]


def subclasses(schema: type[Schema]) -> Iterator[type[Schema]]:
    for each in schema.__subclasses__():
        yield each
        yield from subclasses(each)


def value_for(field: fields.Field, dice: Random) -> Any:
    """Something that a service may put into a field."""
    if isinstance(field, fields.Nested):
        many = field.many or field.schema.many
        return [row_for(field.schema, dice) for _ in range(2)] if many else row_for(field.schema, dice)
    if isinstance(field, fields.List):
        return [value_for(field.inner, dice) for _ in range(dice.randrange(3))]
    if isinstance(field, fields.Dict):
        return {"package": value_for(field.value_field, dice) if field.value_field else 7}
    choices: list[tuple[type[fields.Field], list[Any]]] = [
        (fields.Date, [date(2026, 3, 4)]),
        (Instant, INSTANTS),
        (fields.DateTime, INSTANTS),
        (fields.Boolean, [True, False, 1, 0]),
        (fields.Integer, [0, 12000, -5, "7"]),
        (fields.Float, [1.5, 2]),
        (Id, [1, 2**31 - 1]),
        (fields.Field, TEXTS),
    ]
    return dice.choice(next(values for kind, values in choices if isinstance(field, kind)))


def row_for(schema: Schema, dice: Random) -> Any:
    """A row as a dictionary or an object, with some fields empty and some left out."""
    row = {name: value_for(field, dice) for name, field in schema.dump_fields.items()}
    has_functions = any(isinstance(field, fields.Function) for field in schema.dump_fields.values())
    for name in () if has_functions else tuple(row):
        if dice.random() < 0.2:
            row[name] = None
        # Of a dictionary without `items` a schema would find the method.
        elif dice.random() < 0.2 and not hasattr(dict, name):
            del row[name]
    return row if has_functions or dice.random() < 0.5 else SimpleNamespace(**row)


for module in iter_modules(schemas.__path__, "app.api.schemas."):
    import_module(module.name)
SCHEMAS = sorted(set(subclasses(AnswerSchema)), key=lambda schema: schema.__name__)


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
def test_answer_equals_that_of_its_schema(app: Flask, schema: type[Schema]) -> None:
    dice = Random(schema.__name__)
    with app.test_request_context("/api/v1/x"):
        for is_many in (False, True):
            asked = schema(many=is_many)
            for _ in range(20):
                row = [row_for(asked, dice) for _ in range(3)] if is_many else row_for(asked, dice)
                assert compile_dump(asked)(row) == asked.dump(row)


def test_naive_instant_is_refused(app: Flask) -> None:
    class Answer(AnswerSchema):
        at = Instant()

    dump = compile_dump(Answer())
    assert dump({"at": INSTANT + timedelta(hours=1)}) == {"at": "2026-03-04T13:00:30+08:00"}
    with pytest.raises(ValueError, match="must be aware"):
        dump({"at": INSTANT.replace(tzinfo=None)})
