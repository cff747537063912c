"""Form fields for JSON columns: check boxes, plain text and small tables instead of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from markupsafe import Markup, escape
from wtforms import fields

from app.views import shapes
from app.views.kit import widgets
from app.views.kit.fields import ChoiceField, ParsedField
from app.views.kit.values import InvalidText

SPARE_STEPS = 2
_CHECK = Markup(
    '<label class="form-check form-check-inline"><input class="form-check-input" type="checkbox"'
    ' name="{name}" value="{value}"{checked}><span class="form-check-label">{label}</span></label>'
)
_STEP = Markup('<div class="fee-step">{}</div>')
_NUMBER = Markup(
    '<input class="form-control" name="{name}" value="{value}" inputmode="numeric" maxlength="8"'
    ' autocomplete="off" aria-label="{label}">'
)


class CheckRow:
    """A row of check boxes."""

    multiple = True

    def __call__(self, field: Any, **kwargs: Any) -> Markup:
        boxes = [
            _CHECK.format(
                name=field.name,
                value=day,
                checked=Markup(" checked") if day in (field.data or []) else "",
                label=shapes.day_name(day),
            )
            for day in shapes.DAYS
        ]
        opening = Markup('<div class="check-row" id="{}" role="group" aria-label="{}">')
        return opening.format(field.id, field.label.text) + Markup("").join(boxes) + Markup("</div>")


class WeekdaysField(fields.Field):
    """Weekdays as numbers from 0 (Monday); none ticked means every day."""

    widget = CheckRow()

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the ticked days."""
        self.data = sorted({shapes.parse_weekday(value) for value in valuelist})


class WeekdayField(ChoiceField):
    """One weekday as a number from 0 (Monday)."""

    def options(self) -> list[tuple[str, Any]]:
        return [(str(day), shapes.day_name(day)) for day in shapes.DAYS]

    def parse(self, text: str) -> Any:
        return shapes.parse_weekday(text)


class NamedField(ChoiceField):
    """One of a few texts, each with a label."""

    def __init__(self, *args: Any, names: Mapping[str, Any], **kwargs: Any) -> None:
        self.names = names
        super().__init__(*args, **kwargs)

    def options(self) -> list[tuple[str, Any]]:
        return list(self.names.items())

    def parse(self, text: str) -> Any:
        if text not in self.names:
            raise InvalidText(_l("Not one of the choices."))
        return text


class ListField(ParsedField):
    """Base of fields whose empty text is an empty list."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the submitted text."""
        super().process_formdata(valuelist)
        self.data = [] if self.data is None else self.data


class BandsField(ListField):
    """Times of the day, as ``10:00-18:00, 19:00-23:00``."""

    def parse(self, text: str) -> Any:
        return shapes.parse_bands(text)

    def write(self, value: Any) -> str:
        return shapes.write_bands(value)


class DatesField(ListField):
    """Dates with commas between."""

    def parse(self, text: str) -> Any:
        return shapes.parse_dates(text)

    def write(self, value: Any) -> str:
        return shapes.write_dates(value)


class MappingField(ParsedField):
    """Texts by name, one ``name = text`` a line."""

    widget = widgets.TextArea()

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the submitted lines."""
        super().process_formdata(valuelist)
        self.data = {} if self.data is None else self.data

    def parse(self, text: str) -> Any:
        return shapes.parse_mapping(text)

    def write(self, value: Any) -> str:
        return shapes.write_mapping(value)


class StepTable:
    """Rows of minutes and percent, two of them spare, and the percent after the start."""

    multiple = True

    def __call__(self, field: Any, **kwargs: Any) -> Markup:
        *pairs, last = field.cells()
        # The inputs stand inside the sentence, wherever a language puts them.
        timed = _("At least %(minutes)s min before the start: %(percent)s %%", minutes="{0}", percent="{1}")
        late = _("After the start: %(percent)s %%", percent="{0}")
        rows = [
            _sentence(
                timed,
                _number(field, minutes, _("Minutes before the start")),
                _number(field, percent, _("Percent")),
            )
            for minutes, percent in pairs
        ]
        rows.append(_sentence(late, _number(field, last[1], _("Percent"))))
        opening = Markup('<div class="fee-steps" id="{}" role="group" aria-label="{}">')
        return opening.format(field.id, field.label.text) + Markup("").join(rows) + Markup("</div>")


def _sentence(text: str, *inputs: Markup) -> Markup:
    return _STEP.format(escape(text).format(*inputs))


def _number(field: Any, value: str, label: str) -> Markup:
    return _NUMBER.format(name=field.name, value=value, label=f"{field.label.text}: {label}")


class FeeStepsField(fields.Field):
    """A fee scale; all inputs share the field's name and arrive in their order on the page."""

    widget = StepTable()

    def cells(self) -> list[tuple[str, str]]:
        """Return the texts of the rows, the last one being what counts after the start."""
        if self.raw_data and self.process_errors:
            texts = [str(text) for text in self.raw_data]
            return [*zip(texts[:-1:2], texts[1:-1:2], strict=False), ("", texts[-1])]
        steps = self.data or []
        timed = [
            (str(step["minutes_before"]), str(step["fee_percent"]))
            for step in steps
            if step["minutes_before"] is not None
        ]
        last = next((str(step["fee_percent"]) for step in steps if step["minutes_before"] is None), "")
        return [*timed, *[("", "")] * SPARE_STEPS, ("", last)]

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the submitted rows."""
        self.data = shapes.read_fee_steps(valuelist)
