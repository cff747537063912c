"""Turns what went wrong while saving into messages on a form; database text never reaches a screen."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import Any

from flask import flash
from flask_babel import lazy_gettext as _l
from sqlalchemy import CheckConstraint, Table, UniqueConstraint, inspect
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.orm.exc import StaleDataError

from app.domain.errors import Conflict, DomainError

log = logging.getLogger(__name__)

UNPROCESSABLE = 422
CONFLICT = 409

MESSAGES: dict[str, Any] = {
    "uq": _l("This already exists."),
    "ck": _l("This value is not allowed here."),
    "fk": _l("This refers to something that does not exist any more."),
    "ex": _l("This overlaps with another entry."),
    "nn": _l("Please fill this in."),
    "data": _l("A value is too long or too large."),
    "busy": _l("The record is being changed by somebody else. Please try again."),
    "stale": _l("Somebody else has changed this in the meantime. Please check and save again."),
    "in_use": _l("This is still in use and cannot be deleted."),
    "scope": _l("This belongs to a store that you do not manage."),
    "store": _l("This belongs to another store."),
    "other": _l("This could not be saved."),
}

_BY_SQLSTATE = {"23505": "uq", "23503": "fk", "23514": "ck", "23502": "nn", "23P01": "ex", "23001": "fk"}
_SQLITE_COLUMNS = re.compile(r"(UNIQUE|NOT NULL) constraint failed: ([\w., ]+)")
_SQLITE_CHECK = re.compile(r"CHECK constraint failed: (\w+)")
_POSTGRESQL_KEY = re.compile(r"Key \(([\w, ]+)\)=")
_WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass
class Refusal(Exception):
    """Why a form was not saved: messages for the whole form and by field, and the HTTP status to answer."""

    messages: list[Any] = field(default_factory=list)
    fields: dict[str, list[Any]] = field(default_factory=dict)
    status: int = UNPROCESSABLE

    def flash(self) -> None:
        """Show every message on the next page."""
        for message in [*self.messages, *(text for texts in self.fields.values() for text in texts)]:
            flash(str(message), "danger")

    def show_on(self, form: Any) -> list[Any]:
        """Put the field messages on *form* and return those that have no field there."""
        rest = list(self.messages)
        for name, messages in self.fields.items():
            if name in form and form[name].type not in ("CSRFTokenField", "VersionField"):
                form[name].errors = [*form[name].errors, *messages]
            else:
                rest += messages
        form.form_errors = [*form.form_errors, *rest]
        return rest


@dataclass(frozen=True)
class Violation:
    """What an IntegrityError says, as the driver tells it: kind, constraint name, columns."""

    kind: str
    name: str = ""
    columns: tuple[str, ...] = ()
    text: str = ""


def read_violation(error: IntegrityError) -> Violation:
    """Return the violated constraint, from PostgreSQL's diagnostics or SQLite's message."""
    diagnostics = getattr(error.orig, "diag", None)
    if diagnostics is not None:
        kind = _BY_SQLSTATE.get(getattr(error.orig, "sqlstate", "") or "", "other")
        key = _POSTGRESQL_KEY.match(getattr(diagnostics, "message_detail", None) or "")
        column = getattr(diagnostics, "column_name", None)
        columns = (column,) if column else tuple(key[1].split(", ")) if key else ()
        name = getattr(diagnostics, "constraint_name", None) or ""
        # Triggers of ours raise with the constraint's name as the message.
        text = getattr(diagnostics, "message_primary", None) or ""
        return Violation(kind, name, columns, text)
    return _read_sqlite(str(error.orig))


def _read_sqlite(text: str) -> Violation:
    if match := _SQLITE_COLUMNS.search(text):
        columns = tuple(part.strip().rsplit(".", 1)[-1] for part in match[2].split(","))
        return Violation("uq" if match[1] == "UNIQUE" else "nn", columns=columns, text=text)
    if match := _SQLITE_CHECK.search(text):
        return Violation("ck", name=match[1], text=text)
    return Violation("fk" if "FOREIGN KEY" in text else "other", text=text)


def refusal_of(error: Exception, model: type[Any], messages: dict[str, Any]) -> Refusal:
    """Return what to tell about *error*; raises it again when it is no refusal but a defect.

    *messages* maps constraint names to messages; a value may be ``(field, message)`` to choose the field.
    """
    if isinstance(error, Refusal):
        return error
    if isinstance(error, DomainError):
        return _of_domain_error(error)
    if isinstance(error, StaleDataError):
        return Refusal([MESSAGES["stale"]], status=CONFLICT)
    if isinstance(error, IntegrityError):
        return _of_violation(read_violation(error), model, messages)
    if isinstance(error, DataError):
        return Refusal([MESSAGES["data"]])
    if isinstance(error, OperationalError):
        log.warning("a form could not be saved: %s", type(error.orig).__name__)
        return Refusal([MESSAGES["busy"]], status=CONFLICT)
    if isinstance(error, SQLAlchemyError):
        log.error("a form could not be saved: %s", type(error).__name__, exc_info=error)
        return Refusal([MESSAGES["other"]])
    raise error


def _of_domain_error(error: DomainError) -> Refusal:
    status = CONFLICT if isinstance(error, Conflict) else UNPROCESSABLE
    if error.errors:
        return Refusal(fields={name: list(texts) for name, texts in error.errors.items()}, status=status)
    return Refusal([error.message], status=status)


def _of_violation(violation: Violation, model: type[Any], messages: dict[str, Any]) -> Refusal:
    table: Table = inspect(model).local_table
    name, columns = _identify(violation, table)
    declared = messages.get(name)
    if declared is None:
        declared = next((message for key, message in messages.items() if key in violation.text), None)
    if isinstance(declared, tuple):
        return Refusal(fields={declared[0]: [declared[1]]})
    if declared is None and violation.kind == "other" and (name or violation.text):
        log.warning("a constraint without a message refused a form: %s", name or violation.kind)
    message = declared if declared is not None else MESSAGES[violation.kind]
    fields = field_names(model, columns)
    return Refusal(fields={fields[0]: [message]}) if fields else Refusal([message])


def _identify(violation: Violation, table: Table) -> tuple[str, tuple[str, ...]]:
    """Complete a violation by the table's constraints: SQLite names columns, PostgreSQL names constraints."""
    for constraint in table.constraints:
        name = str(constraint.name or "")
        columns = _constraint_columns(constraint, table)
        is_same_key = isinstance(constraint, UniqueConstraint) and set(columns) == set(violation.columns)
        if (violation.name and name == violation.name) or (violation.kind == "uq" and is_same_key):
            return name, columns
    for index in table.indexes:
        columns = tuple(column.name for column in index.columns)
        if index.name == violation.name or (index.unique and set(columns) == set(violation.columns)):
            return str(index.name), columns
    return violation.name, violation.columns


def _constraint_columns(constraint: Any, table: Table) -> tuple[str, ...]:
    if isinstance(constraint, CheckConstraint):
        words = _WORD.findall(str(constraint.sqltext))
        return tuple(dict.fromkeys(word for word in words if word in table.columns))
    return tuple(column.name for column in getattr(constraint, "columns", ()))


def field_names(model: type[Any], columns: tuple[str, ...]) -> list[str]:
    """Return the attributes that a form may have for these columns, own columns before foreign keys."""
    own: list[str] = []
    foreign: list[str] = []
    keys = {column.name for column in inspect(model).primary_key}
    for name in columns:
        linked = _relations_over(model, name)
        if name not in keys:
            foreign += linked
            own += [] if linked else [name]
    return own + foreign


def _relations_over(model: type[Any], column_name: str) -> list[str]:
    """Return the many-to-one relations whose foreign key is this column."""
    relations = [relation for relation in inspect(model).relationships if not relation.uselist]
    return [
        relation.key
        for relation in relations
        if any(column.name == column_name for column in relation.local_columns)
    ]
