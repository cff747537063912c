"""The insert that both engines spell alike but SQLAlchemy keeps apart: with an ON CONFLICT clause."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from app.services.unit_of_work import session


def insert_into(target: Any) -> Any:
    """Return an insert into a table or model that offers on_conflict_do_nothing and on_conflict_do_update."""
    dialect = session().get_bind().dialect.name
    return postgresql_insert(target) if dialect == "postgresql" else sqlite_insert(target)
