"""Who acts, and inside which stores."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class StoreScope:
    """The stores that somebody may see and change."""

    is_all: bool = False
    store_ids: frozenset[int] = frozenset()

    def allows(self, store_id: int | None) -> bool:
        """Tell whether a row of this store lies inside the scope; rows without a store need all stores."""
        return self.is_all or (store_id is not None and store_id in self.store_ids)


ALL_STORES = StoreScope(is_all=True)
NO_STORES = StoreScope()


class ActorKind(StrEnum):
    """The kinds of actors that leave events."""

    CUSTOMER = "customer"
    STAFF = "staff"
    SYSTEM = "system"
    PAYMENT = "payment"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something: `id` is the customer's or staff member's row, `name` what a timeline shows."""

    kind: ActorKind
    id: int | None = None
    name: str = ""
    scope: StoreScope = field(default=NO_STORES)

    @property
    def is_staff(self) -> bool:
        return self.kind is ActorKind.STAFF

    @property
    def is_customer(self) -> bool:
        return self.kind is ActorKind.CUSTOMER


SYSTEM = Actor(ActorKind.SYSTEM, name="system", scope=ALL_STORES)
PAYMENT_SERVICE = Actor(ActorKind.PAYMENT, name="payment", scope=ALL_STORES)


def customer_actor(customer_id: int, name: str = "") -> Actor:
    """Return the actor for a customer."""
    return Actor(ActorKind.CUSTOMER, customer_id, name)


def staff_actor(staff_id: int, name: str, scope: StoreScope) -> Actor:
    """Return the actor for a member of staff working inside *scope*."""
    return Actor(ActorKind.STAFF, staff_id, name, scope)
