"""Stock Flask-AppBuilder beside the product: its own REST interface over an equal table, with JWT login.

Nothing is added to what the framework gives: no rules, no guard against double booking, no idempotency.
"""

from __future__ import annotations

import os
from datetime import timedelta

from flask import Flask
from flask_appbuilder import AppBuilder, Model, ModelRestApi
from flask_appbuilder.models.sqla.base import SQLA
from flask_appbuilder.models.sqla.interface import SQLAInterface
from sqlalchemy import DateTime, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from benchmarks.stock import PAGE, PASSWORD, USER


class StockBooking(Model):
    """The columns that a booking needs in any product."""

    __tablename__ = "bookings"
    __table_args__ = (Index("ix_bookings_store_start", "store_id", "start_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    store_id: Mapped[int]
    room_id: Mapped[int]
    customer_id: Mapped[int]
    state: Mapped[str] = mapped_column(String(32))
    start_at: Mapped[object] = mapped_column(DateTime)
    end_at: Mapped[object] = mapped_column(DateTime)
    note: Mapped[str] = mapped_column(String(200))


class StockBookingApi(ModelRestApi):
    """The framework's interface as it comes."""

    resource_name = "booking"
    datamodel = SQLAInterface(StockBooking)
    allow_browser_login = False


def create_app() -> Flask:
    """Return the application on STOCK_DATABASE_URL; its tables and account are made when they are missing."""
    app = Flask(__name__)
    app.config.update(
        SQLALCHEMY_DATABASE_URI=os.environ["STOCK_DATABASE_URL"],
        SQLALCHEMY_TRACK_MODIFICATIONS=False,
        SECRET_KEY=os.environ["SECRET_KEY"],
        JWT_ACCESS_TOKEN_EXPIRES=timedelta(hours=12),
        FAB_API_MAX_PAGE_SIZE=PAGE,
    )
    db = SQLA(app)
    with app.app_context():
        builder = AppBuilder(app, db.session)
        builder.add_api(StockBookingApi)
        if builder.sm.find_user(USER) is None:
            role = builder.sm.find_role("Admin")
            builder.sm.add_user(USER, "Bench", "Mark", "bench@example.com", role, PASSWORD)
        db.session.remove()
    return app


if __name__ == "__main__":
    create_app()
