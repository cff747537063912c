"""Example data: a chain of three stores with 90 days of history, the same for every run of a day."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from app.domain.actor import ALL_STORES
from app.domain.slots import local_date, local_instant
from app.extensions import use_scope
from app.models import Store
from app.services.demo.adopt import adopt_payments
from app.services.demo.batch import Batch
from app.services.demo.calendar import HISTORY_DAYS
from app.services.demo.campaigns import add_campaigns, invent_campaigns
from app.services.demo.history import add_history
from app.services.demo.people import add_guests, add_staff, desk_staff, invent_guests
from app.services.demo.pictures import Gallery
from app.services.demo.sales import sell
from app.services.demo.stores import ZONE, add_shops
from app.services.unit_of_work import session, transactional

__all__ = ["adopt_payments", "load_demo"]


@transactional
def load_demo(*, now: datetime) -> bool:
    """Fill an empty product with example data; tell whether anything was done.

    Nothing happens where a store exists already. Orders lie in the 90 days before *now* and in the days to
    come; pictures go to the media storage, all rows are written in one transaction.
    """
    with use_scope(ALL_STORES):
        if session().scalar(select(Store.__table__.c.id).limit(1)) is not None:
            return False
        _load(now)
    return True


def _load(now: datetime) -> None:
    today, batch, gallery = local_date(now, ZONE), Batch(now), Gallery()
    shops = add_shops(batch, gallery, today)
    campaigns = invent_campaigns()
    add_campaigns(batch, gallery, shops, campaigns, today, now)
    staff = add_staff(batch, shops.store_ids, now)
    guests = invent_guests(today, _first_at(now))
    add_guests(batch, guests, now)
    # From here on the rows are read back, so that history obeys the rules that customers meet.
    batch.write()
    manager = desk_staff(staff)[0]
    sales = sell(campaigns, guests, manager, today=today, now=now)
    add_history(batch, shops, campaigns, guests, desk_staff(staff), sales, today=today, now=now)
    batch.write()


def _first_at(now: datetime) -> datetime:
    return local_instant(local_date(now, ZONE) - timedelta(days=HISTORY_DAYS), 0, ZONE)
