"""Keep refund requests and their decisions; policies get the days in which a refund may be asked for."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

OPEN = sa.text("status = 'requested'")


def upgrade() -> None:
    op.create_table(
        "refund_requests",
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                *("requested", "approved", "refused", "withdrawn"),
                name="status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("amount_fen", sa.Integer(), nullable=True),
        sa.Column("policy_fen", sa.Integer(), nullable=False),
        sa.Column(
            "step",
            sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql"),
            nullable=True,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_fen", sa.Integer(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.String(length=64), nullable=False),
        sa.Column("decision_reason", sa.String(length=200), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "amount_fen IS NULL OR amount_fen > 0", name=op.f("ck_refund_requests_amount_range")
        ),
        sa.CheckConstraint("policy_fen >= 0", name=op.f("ck_refund_requests_policy_range")),
        sa.CheckConstraint(
            "(status = 'approved') = (approved_fen IS NOT NULL)",
            name=op.f("ck_refund_requests_approved_amount"),
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_refund_requests_order_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund_requests")),
    )
    op.create_index("ix_refund_requests_order_id", "refund_requests", ["order_id"])
    op.create_index("ix_refund_requests_status_created", "refund_requests", ["status", "created_at"])
    op.create_index(
        "uq_refund_requests_one_open",
        "refund_requests",
        ["order_id"],
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    # A plain ALTER on both engines: batch mode is not needed for a column with its own check.
    op.execute(
        "ALTER TABLE booking_policies ADD COLUMN refund_window_days INTEGER NOT NULL DEFAULT 7"
        " CONSTRAINT ck_booking_policies_refund_window_range CHECK (refund_window_days >= 0)"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE booking_policies DROP COLUMN refund_window_days")
    op.drop_table("refund_requests")
