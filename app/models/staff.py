"""Members of staff: FAB's users with the stores they work in, and what their roles were offered."""

from __future__ import annotations

from flask_appbuilder.security.sqla.models import PermissionView, Role, User
from sqlalchemy import Column, ForeignKey, String, Table, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.extensions import metadata
from app.models.base import Base
from app.models.stores import Store

staff_stores = Table(
    "staff_stores",
    metadata,
    Column("staff_id", ForeignKey("ab_user.id", ondelete="CASCADE"), primary_key=True),
    Column("store_id", ForeignKey("stores.id", ondelete="CASCADE"), primary_key=True, index=True),
)


class Staff(User):
    """A back-office account; owners see all stores, everybody else the assigned ones."""

    __tablename__ = "ab_user"
    __table_args__ = {"extend_existing": True}

    stores: Mapped[list[Store]] = relationship(secondary=staff_stores)

    def get_full_name(self) -> str:
        """Chinese order, without a space: family name first."""
        return f"{self.last_name}{self.first_name}"

    def __str__(self) -> str:
        return self.get_full_name() or self.username


class RoleOffer(Base):
    """A permission that a shipped role was given once; whether it still has it is for the owner to say."""

    __tablename__ = "role_offers"
    __table_args__ = (UniqueConstraint("role", "screen", "permission"),)

    role: Mapped[str] = mapped_column(String(64))
    screen: Mapped[str] = mapped_column(String(64))
    permission: Mapped[str] = mapped_column(String(64))


__all__ = ["PermissionView", "Role", "RoleOffer", "Staff", "staff_stores"]
