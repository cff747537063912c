"""Keep who set and tested the credentials of channels, where they are off, and what WeChat was told to release."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0014"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
INSTANT = sa.DateTime(timezone=True)
STATUSES = ("waiting", "sending", "reported", "failed", "dead", "dropped")
NEW_IN_CREDENTIALS = {
    "set_at": (INSTANT, None),
    "marks": (JSON, "{}"),
    "check_code": (sa.String(length=32), ""),
    "check_detail": (sa.String(length=200), ""),
    "checked_at": (INSTANT, None),
    "checked_by": (sa.String(length=64), ""),
}


def upgrade() -> None:
    for name, (kind, default) in NEW_IN_CREDENTIALS.items():
        is_empty = default is None
        op.add_column("channel_credentials", sa.Column(name, kind, nullable=is_empty, server_default=default))
    op.add_column(
        "refunds", sa.Column("reference_no", sa.String(length=64), nullable=False, server_default="")
    )
    create_exclusions()
    create_reports()


def create_exclusions() -> None:
    op.create_table(
        "channel_exclusions",
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("store_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        link("channel_exclusions", "store_id", "stores.id", "CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel_exclusions")),
        sa.UniqueConstraint("channel", "store_id", name=op.f("uq_channel_exclusions_channel_store_id")),
    )
    op.create_index(op.f("ix_channel_exclusions_store_id"), "channel_exclusions", ["store_id"])


def create_reports() -> None:
    op.create_table(
        "shipping_reports",
        sa.Column("payment_id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("openid", sa.String(length=128), nullable=False),
        sa.Column(
            "status",
            sa.Enum(*STATUSES, name="status", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("next_attempt_at", INSTANT, nullable=True),
        sa.Column("leased_until_at", INSTANT, nullable=True),
        sa.Column("attempt_count", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(length=200), nullable=False),
        sa.Column("reported_at", INSTANT, nullable=True),
        sa.Column("id", sa.Integer(), nullable=False),
        link("shipping_reports", "payment_id", "payments.id"),
        link("shipping_reports", "order_id", "orders.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shipping_reports")),
        sa.UniqueConstraint("payment_id", name=op.f("uq_shipping_reports_payment_id")),
    )
    op.create_index(op.f("ix_shipping_reports_order_id"), "shipping_reports", ["order_id"])
    op.create_index("ix_shipping_reports_status_next", "shipping_reports", ["status", "next_attempt_at"])


def link(table: str, column: str, target: str, ondelete: str = "RESTRICT") -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_{table}_{column}"), ondelete=ondelete)


def downgrade() -> None:
    op.drop_table("shipping_reports")
    op.drop_table("channel_exclusions")
    op.drop_column("refunds", "reference_no")
    for name in reversed(NEW_IN_CREDENTIALS):
        op.drop_column("channel_credentials", name)
