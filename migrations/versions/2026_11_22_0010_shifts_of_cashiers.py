"""Keep the shifts of cashiers and every movement of money over the counter."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

CHANNELS = "('counter_cash', 'counter_pos')"
IS_CASH = (
    "channel = 'counter_cash' AND slip_key IS NULL AND terminal_no IS NULL AND reference_no IS NULL"
    " AND card_tail IS NULL"
)
IS_CARD = (
    "channel = 'counter_pos' AND slip_key IS NOT NULL AND terminal_no IS NOT NULL"
    " AND reference_no IS NOT NULL AND length(card_tail) = 4"
)


def upgrade() -> None:
    create_shifts()
    create_counts()
    create_entries()


def create_shifts() -> None:
    op.create_table(
        "shifts",
        sa.Column("store_id", sa.Integer(), nullable=False),
        sa.Column("cashier_id", sa.Integer(), nullable=True),
        sa.Column("cashier_name", sa.String(length=64), nullable=False),
        sa.Column(
            "status",
            sa.Enum("open", "closed", name="status", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by_name", sa.String(length=64), nullable=False),
        sa.Column("float_fen", sa.Integer(), nullable=False),
        sa.Column("difference_fen", sa.Integer(), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.CheckConstraint("float_fen >= 0", name=op.f("ck_shifts_float_range")),
        sa.CheckConstraint(
            "(status = 'closed') = (closed_at IS NOT NULL)", name=op.f("ck_shifts_closed_when")
        ),
        link("shifts", "store_id", "stores.id"),
        link("shifts", "cashier_id", "ab_user.id", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shifts")),
    )
    op.create_index(
        "uq_shifts_one_open",
        "shifts",
        ["cashier_id", "store_id"],
        unique=True,
        sqlite_where=sa.text("status = 'open'"),
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index(op.f("ix_shifts_cashier_id"), "shifts", ["cashier_id"])
    op.create_index("ix_shifts_store_opened", "shifts", ["store_id", "opened_at"])


def create_counts() -> None:
    op.create_table(
        "shift_counts",
        sa.Column("shift_id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("expected_fen", sa.Integer(), nullable=False),
        sa.Column("counted_fen", sa.Integer(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.CheckConstraint(f"channel IN {CHANNELS}", name=op.f("ck_shift_counts_channel")),
        sa.CheckConstraint("counted_fen >= 0", name=op.f("ck_shift_counts_counted_range")),
        link("shift_counts", "shift_id", "shifts.id", "CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shift_counts")),
        sa.UniqueConstraint("shift_id", "channel", name=op.f("uq_shift_counts_shift_id_channel")),
    )


def create_entries() -> None:
    op.create_table(
        "counter_entries",
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(f"{name}_id", sa.Integer(), nullable=False) for name in ("shift", "store", "order")),
        *(sa.Column(f"{name}_id", sa.Integer(), nullable=True) for name in ("payment", "refund")),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("amount_fen", sa.Integer(), nullable=False),
        sa.Column("tendered_fen", sa.Integer(), nullable=True),
        sa.Column("terminal_no", sa.String(length=11), nullable=True),
        sa.Column("reference_no", sa.String(length=12), nullable=True),
        sa.Column("card_tail", sa.String(length=4), nullable=True),
        sa.Column("slip_key", sa.String(length=64), nullable=True),
        sa.Column("staff_id", sa.Integer(), nullable=True),
        sa.Column("staff_name", sa.String(length=64), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "(payment_id IS NOT NULL AND refund_id IS NULL AND amount_fen > 0)"
            " OR (payment_id IS NULL AND refund_id IS NOT NULL AND amount_fen < 0)",
            name=op.f("ck_counter_entries_one_movement"),
        ),
        sa.CheckConstraint(f"({IS_CASH}) OR ({IS_CARD})", name=op.f("ck_counter_entries_slip_of_cards")),
        sa.CheckConstraint(
            "tendered_fen IS NULL OR tendered_fen >= amount_fen",
            name=op.f("ck_counter_entries_tendered_range"),
        ),
        *(
            link("counter_entries", f"{name}_id", f"{name}s.id")
            for name in ("shift", "store", "order", "payment", "refund")
        ),
        link("counter_entries", "staff_id", "ab_user.id", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_counter_entries")),
        *(
            sa.UniqueConstraint(name, name=op.f(f"uq_counter_entries_{name}"))
            for name in ("payment_id", "refund_id", "slip_key")
        ),
    )
    for name in ("shift_id", "store_id", "order_id"):
        op.create_index(op.f(f"ix_counter_entries_{name}"), "counter_entries", [name])


def link(table: str, column: str, target: str, ondelete: str = "RESTRICT") -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_{table}_{column}"), ondelete=ondelete)


def downgrade() -> None:
    for table in ("counter_entries", "shift_counts", "shifts"):
        op.drop_table(table)
