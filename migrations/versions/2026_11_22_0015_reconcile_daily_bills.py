"""Keep daily bills of payment services, what both sides count, and what differs until it is explained."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0016"
branch_labels = None
depends_on = None

MONEY = (
    *("here_paid_count", "here_paid_fen", "here_refunded_count", "here_refunded_fen"),
    *("there_paid_count", "there_paid_fen", "there_refunded_count", "there_refunded_fen", "fee_fen"),
)
BILL_STATUSES = ("not_ready", "failed", "differs", "matched")
KINDS = (
    *("missing_here", "missing_there", "amount_differs", "status_differs"),
    *("refund_missing_here", "refund_missing_there", "refund_amount_differs", "refund_status_differs"),
    "bill_unusable",
)


def one_of(name: str, values: tuple[str, ...], *, is_checked: bool = True) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=is_checked, length=32)


def upgrade() -> None:
    create_bills()
    create_sums()
    create_differences()
    # Plain statements on both engines: batch mode would rebuild tables and drop what hangs on them.
    for table, settled_at in (("payments", "paid_at"), ("refunds", "finished_at")):
        op.execute(f"ALTER TABLE {table} ADD COLUMN billed_on DATE")
        op.create_index(f"ix_{table}_{settled_at}", table, [settled_at])
        op.create_index(f"ix_{table}_billed_on", table, ["billed_on"])


def create_bills() -> None:
    op.create_table(
        "bills",
        sa.Column("service", one_of("service", ("wechat", "alipay"), is_checked=False), nullable=False),
        sa.Column("bill_on", sa.Date(), nullable=False),
        sa.Column("status", one_of("status", BILL_STATUSES), nullable=False),
        sa.Column("problem", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("run_count", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_until_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("file_key", sa.String(length=120), nullable=False),
        sa.Column("sha1", sa.String(length=40), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bills")),
        sa.UniqueConstraint("service", "bill_on", name=op.f("uq_bills_service_bill_on")),
    )
    op.create_index("ix_bills_status_next_try", "bills", ["status", "next_try_at"])


def create_sums() -> None:
    op.create_table(
        "bill_sums",
        sa.Column("bill_id", sa.Integer(), nullable=False),
        sa.Column("store_id", sa.Integer(), nullable=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in MONEY),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["bill_id"], ["bills.id"], name=op.f("fk_bill_sums_bill_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_bill_sums_store_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bill_sums")),
        sa.UniqueConstraint("bill_id", "store_id", name=op.f("uq_bill_sums_bill_id_store_id")),
    )
    op.create_index(op.f("ix_bill_sums_store_id"), "bill_sums", ["store_id"])


def create_differences() -> None:
    op.create_table(
        "bill_differences",
        sa.Column("bill_id", sa.Integer(), nullable=False),
        sa.Column("kind", one_of("kind", KINDS), nullable=False),
        sa.Column("number", sa.String(length=140), nullable=False),
        sa.Column("transaction_no", sa.String(length=128), nullable=True),
        sa.Column("order_id", sa.Integer(), nullable=True),
        sa.Column("here_fen", sa.Integer(), nullable=True),
        sa.Column("there_fen", sa.Integer(), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.String(length=64), nullable=False),
        sa.Column("status", one_of("status", ("open", "resolved", "mended")), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "(status = 'open') = (closed_at IS NULL)", name=op.f("ck_bill_differences_closed_when")
        ),
        sa.CheckConstraint(
            "status != 'resolved' OR reason != ''", name=op.f("ck_bill_differences_resolved_why")
        ),
        sa.ForeignKeyConstraint(
            ["bill_id"], ["bills.id"], name=op.f("fk_bill_differences_bill_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_bill_differences_order_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bill_differences")),
        sa.UniqueConstraint(
            "bill_id", "kind", "number", name=op.f("uq_bill_differences_bill_id_kind_number")
        ),
    )
    op.create_index(op.f("ix_bill_differences_order_id"), "bill_differences", ["order_id"])
    op.create_index("ix_bill_differences_status_created", "bill_differences", ["status", "created_at"])


def downgrade() -> None:
    for table, settled_at in (("refunds", "finished_at"), ("payments", "paid_at")):
        op.drop_index(f"ix_{table}_billed_on", table_name=table)
        op.drop_index(f"ix_{table}_{settled_at}", table_name=table)
        op.execute(f"ALTER TABLE {table} DROP COLUMN billed_on")
    for table in ("bill_differences", "bill_sums", "bills"):
        op.drop_table(table)
