"""Selects of related rows, limited to the store scope both when offered and when posted."""

from __future__ import annotations

from typing import Any

from flask import current_app
from flask_babel import gettext as _
from sqlalchemy import inspect, or_
from wtforms.fields.choices import Choice, SelectFieldBase
from wtforms.validators import ValidationError

from app.views.kit import widgets
from app.views.kit.kinds import Kind, kind_of, primary_key_name, primary_key_of
from app.views.kit.labels import row_label
from app.views.kit.scope import scoped_select
from app.views.kit.values import InvalidText, parse_key, parse_text

PLAIN_SELECT_LIMIT = 50
LOOKUP_PAGE = 20
LOOKUP_LAST_PAGE = 500
_LABEL_COLUMNS = ("name", "title", "no", "code", "username", "label", "nickname")


class RelatedRows:
    """The rows of one model that somebody may choose from, in a fixed order."""

    def __init__(self, model: type[Any], search_columns: tuple[str, ...] = (), criteria: Any = None) -> None:
        self.model = model
        self.search_columns = search_columns or default_search_columns(model)
        # Called for each query, so that it may depend on the request.
        self.criteria = criteria

    @property
    def session(self) -> Any:
        """The request's database session."""
        return current_app.appbuilder.session  # type: ignore[attr-defined]

    def _select(self, *more: Any) -> Any:
        criteria = [self.criteria()] if self.criteria is not None else []
        ordering = [getattr(self.model, name) for name in self.search_columns[:1]]
        return scoped_select(self.model, *criteria, *more).order_by(*ordering, primary_key_of(self.model))

    def first(self, limit: int) -> list[Any]:
        """Return at most *limit* rows."""
        return list(self.session.scalars(self._select().limit(limit)).unique())

    def find(self, key: str) -> Any:
        """Return the row with this key, or None when it may not be chosen."""
        rows = self.find_all([key])
        return rows[0] if rows else None

    def find_all(self, keys: list[str]) -> list[Any]:
        """Return the rows with these keys that may be chosen."""
        wanted = [value for key in keys if (value := _key_or_none(self.model, key)) is not None]
        if not wanted:
            return []
        return list(self.session.scalars(self._select(primary_key_of(self.model).in_(wanted))).unique())

    def search(self, text: str, page: int) -> tuple[list[Any], bool]:
        """Return one page of the rows whose text columns contain *text*, and whether more follow."""
        try:
            wanted = parse_text(text)
        except InvalidText:
            wanted = ""
        columns = [getattr(self.model, name) for name in self.search_columns]
        matches = (
            [or_(*(column.icontains(wanted, autoescape=True) for column in columns))]
            if wanted and columns
            else []
        )
        statement = self._select(*matches).limit(LOOKUP_PAGE + 1).offset(page * LOOKUP_PAGE)
        rows = list(self.session.scalars(statement).unique())
        return rows[:LOOKUP_PAGE], len(rows) > LOOKUP_PAGE

    def label(self, row: Any) -> str:
        """Return the text of *row*."""
        return row_label(row)

    def key(self, row: Any) -> str:
        """Return the form value of *row*."""
        return str(getattr(row, primary_key_name(self.model)))


def _key_or_none(model: type[Any], text: str) -> Any:
    try:
        return parse_key(model, text)
    except InvalidText:
        return None


def default_search_columns(model: type[Any]) -> tuple[str, ...]:
    """Return the text columns that name a row, if the model has any of the usual ones."""
    names = [name for name in _LABEL_COLUMNS if name in inspect(model).column_attrs]
    return tuple(name for name in names if kind_of(model, name) in (Kind.STRING, Kind.TEXT))


class RelationField(SelectFieldBase):
    """One related row. The posted key is looked up inside the scope; anything else is no valid choice."""

    widget = widgets.RelationSelect()

    def __init__(
        self,
        *args: Any,
        rows: RelatedRows,
        lookup_view: str,
        allow_blank: bool = False,
        plain_limit: int = PLAIN_SELECT_LIMIT,
        **kwargs: Any,
    ) -> None:
        self.rows, self.lookup_view, self.allow_blank = rows, lookup_view, allow_blank
        self.plain_limit = plain_limit
        self.rejected: list[str] = []
        self._offered: list[Any] | None = None
        super().__init__(*args, **kwargs)

    @property
    def offered(self) -> list[Any]:
        """The rows of a plain select, one more than fits when there are too many; asked once per form."""
        if self._offered is None:
            self._offered = self.rows.first(self.plain_limit + 1)
        return self._offered

    @property
    def is_remote(self) -> bool:
        """Whether the choices are too many for a plain select."""
        return len(self.offered) > self.plain_limit

    def chosen(self) -> list[Any]:
        """Return the chosen rows."""
        return [] if self.data is None else [self.data]

    def iter_choices(self) -> Any:
        """Yield the choices for the widget; of a remote select only what is chosen."""
        chosen = self.chosen()
        keys = {self.rows.key(row) for row in chosen}
        if self.allow_blank or not keys:
            yield Choice("", "–" if self.allow_blank else _("Please choose"), not keys, {})
        shown = (
            chosen if self.is_remote else [*self.offered, *(row for row in chosen if row not in self.offered)]
        )
        for row in shown:
            key = self.rows.key(row)
            yield Choice(key, self.rows.label(row), key in keys, {})

    def process_formdata(self, valuelist: list[str]) -> None:
        """Look up the posted key."""
        if not valuelist:
            return
        self.data, self.rejected = None, []
        if valuelist[0] not in ("", "__None"):
            self.data = self._linked(valuelist[0]) or self.rows.find(valuelist[0])
            self.rejected = [] if self.data is not None else [valuelist[0]]

    def _linked(self, key: str) -> Any:
        """What a row is linked to already may stay, even if it is not on offer any more."""
        linked = self.object_data
        return linked if linked is not None and self.rows.key(linked) == key else None

    def pre_validate(self, form: Any) -> None:
        """Refuse keys that do not exist or lie outside the scope, without telling which."""
        if self.rejected:
            raise ValidationError(_("Not a valid choice."))


class RelationsField(RelationField):
    """Several related rows. Rows outside the scope that are already linked stay linked, unseen."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.widget = widgets.RelationSelect(multiple=True)

    def chosen(self) -> list[Any]:
        return list(self.data or [])

    def iter_choices(self) -> Any:
        yield from (choice for choice in super().iter_choices() if choice[0])

    def process_data(self, value: Any) -> None:
        """Keep the visible rows in a list of their own: the collection changes only when it is saved."""
        self.data = self.rows.find_all([self.rows.key(row) for row in value or []])

    def process_formdata(self, valuelist: list[str]) -> None:
        """Look up the posted keys; none posted means none chosen."""
        keys = list(dict.fromkeys(key for key in valuelist if key not in ("", "__None")))
        self.data = self.rows.find_all(keys)
        found = {self.rows.key(row) for row in self.data}
        self.rejected = [key for key in keys if key not in found]

    def populate_obj(self, obj: Any, name: str) -> None:
        """Set the relation to the chosen rows plus the linked ones that this user cannot see."""
        linked = list(getattr(obj, name))
        visible = {self.rows.key(row) for row in self.rows.find_all([self.rows.key(row) for row in linked])}
        hidden = [row for row in linked if self.rows.key(row) not in visible]
        setattr(obj, name, [*self.chosen(), *hidden])
