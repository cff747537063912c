"""Remember which permissions the shipped roles were offered, and find completed orders that still owe.

A role that exists belongs to the owner. What a later version ships for it is added once; the rows here say
what was offered before, so nothing that the owner has taken away comes back.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# What the roles were first created with: permissions -> screens.
FIRST = {
    "Manager": {
        "read write reverse": "RedemptionDesk",
        "read write": "WalkIn Facility",
        "read export act": "Order",
        "read export": "Voucher Redemption Team RedemptionAttempt Payment Refund Customer AuditEntry",
        "read write delete export": "Room RoomBlock OpeningHours Media RoomFacility PriceRule"
        " BookingSession BookingPolicy",
        "read write export": "Store",
        "read": "RoomType NotificationTemplate",
        "read write delete export publish pause end": "Campaign",
        "read export resend": "Notification",
    },
    "Cashier": {
        "read write": "RedemptionDesk WalkIn",
        "read export act": "Order",
        "read": "Redemption Voucher Campaign Room",
    },
    "Service": {
        "read": "Order Customer Voucher Redemption Refund Campaign",
        "read resend": "Notification",
    },
    "Analyst": {
        "read export": "Order Payment Refund Voucher Redemption Team Campaign Room Store PriceRule",
    },
}
OWING = "status = 'completed' AND total_fen > paid_fen - refunded_fen"
offers = sa.table(
    "role_offers",
    sa.column("role", sa.String),
    sa.column("screen", sa.String),
    sa.column("permission", sa.String),
)


def upgrade() -> None:
    op.create_table(
        "role_offers",
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("screen", sa.String(length=64), nullable=False),
        sa.Column("permission", sa.String(length=64), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_offers")),
        sa.UniqueConstraint(
            "role", "screen", "permission", name=op.f("uq_role_offers_role_screen_permission")
        ),
    )
    roles = sa.table("ab_role", sa.column("name", sa.String))
    existing = set(op.get_bind().scalars(sa.select(roles.c.name)))
    rows = [
        {"role": role, "screen": f"{screen}View", "permission": f"can_{permission}"}
        for role, grants in FIRST.items()
        if role in existing
        for permissions, screens in grants.items()
        for screen in screens.split()
        for permission in permissions.split()
    ]
    if rows:
        op.bulk_insert(offers, rows)
    op.create_index(
        "ix_orders_owing",
        "orders",
        ["finished_at"],
        sqlite_where=sa.text(OWING),
        postgresql_where=sa.text(OWING),
    )


def downgrade() -> None:
    op.drop_index("ix_orders_owing", table_name="orders")
    op.drop_table("role_offers")
