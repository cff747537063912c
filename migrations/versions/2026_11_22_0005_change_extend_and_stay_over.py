"""Keep changes and extensions that wait to be paid, and the rules of overtime, no-show and leaving early.

`bookings` is never rebuilt: on SQLite that would drop the triggers that keep bookings disjoint. Plain ALTER
TABLE adds and drops columns with their own checks on both engines.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# (column, type and default, check)
POLICY_COLUMNS = (
    ("change_max_count", "INTEGER NOT NULL DEFAULT 3", "change_count_range", "{} >= 0"),
    ("change_deadline_minutes", "INTEGER NOT NULL DEFAULT 0", "change_deadline_range", "{} >= 0"),
    ("has_overtime", "BOOLEAN NOT NULL DEFAULT FALSE", None, None),
    ("overtime_grace_minutes", "INTEGER NOT NULL DEFAULT 10", "overtime_grace_range", "{} >= 0"),
    ("overtime_unit_minutes", "INTEGER NOT NULL DEFAULT 30", "overtime_unit_range", "{0} > 0 AND {0} <= 720"),
    (
        "overtime_percent",
        "INTEGER NOT NULL DEFAULT 100",
        "overtime_percent_range",
        "{0} >= 0 AND {0} <= 1000",
    ),
    ("overtime_cap_fen", "INTEGER", "overtime_cap_range", "{0} IS NULL OR {0} > 0"),
    ("no_show_release_minutes", "INTEGER", "no_show_release_range", "{0} IS NULL OR {0} >= 0"),
    (
        "no_show_refund_percent",
        "INTEGER NOT NULL DEFAULT 0",
        "no_show_refund_range",
        "{0} >= 0 AND {0} <= 100",
    ),
    ("early_refund_percent", "INTEGER NOT NULL DEFAULT 0", "early_refund_range", "{0} >= 0 AND {0} <= 100"),
)
REFERENCE = "INTEGER CONSTRAINT fk_{0}_change_id REFERENCES order_changes(id)"


def upgrade() -> None:
    create_changes()
    for table in ("bookings", "payments"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN change_id {REFERENCE.format(table)}")
        op.create_index(f"ix_{table}_change_id", table, ["change_id"])
    is_postgres = op.get_bind().dialect.name == "postgresql"
    instant = "TIMESTAMP WITH TIME ZONE" if is_postgres else "DATETIME"
    op.execute(f"ALTER TABLE bookings ADD COLUMN overtime_from_at {instant}")
    for name, kind, check, rule in POLICY_COLUMNS:
        guard = f" CONSTRAINT ck_booking_policies_{check} CHECK ({rule.format(name)})" if check else ""
        op.execute(f"ALTER TABLE booking_policies ADD COLUMN {name} {kind}{guard}")


def create_changes() -> None:
    op.create_table(
        "order_changes",
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("store_id", sa.Integer(), nullable=False),
        sa.Column("kind", choice("change", "extend", name="kind"), nullable=False),
        sa.Column(
            "status", choice("pending", "applied", "expired", "dropped", name="status"), nullable=False
        ),
        sa.Column("room_id", sa.Integer(), nullable=False),
        *(
            sa.Column(name, sa.DateTime(timezone=True), nullable=False)
            for name in ("start_at", "end_at", "busy_from_at", "busy_until_at")
        ),
        sa.Column("from_room_id", sa.Integer(), nullable=False),
        sa.Column("from_start_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("from_end_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("from_total_fen", sa.Integer(), nullable=False),
        sa.Column("total_fen", sa.Integer(), nullable=False),
        sa.Column("fee_fen", sa.Integer(), nullable=False),
        sa.Column("amount_fen", sa.Integer(), nullable=False),
        sa.Column(
            "lines",
            sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql"),
            nullable=False,
        ),
        sa.Column("actor_kind", sa.String(length=16), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.Column("actor_name", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.CheckConstraint("start_at < end_at", name=op.f("ck_order_changes_span_order")),
        sa.CheckConstraint("total_fen >= 0 AND fee_fen >= 0", name=op.f("ck_order_changes_amounts_range")),
        sa.CheckConstraint(
            "status <> 'pending' OR (amount_fen > 0 AND expires_at IS NOT NULL)",
            name=op.f("ck_order_changes_pending_is_owed"),
        ),
        *(
            sa.ForeignKeyConstraint(
                [f"{name}_id"], [target], name=op.f(f"fk_order_changes_{name}_id"), ondelete="RESTRICT"
            )
            for name, target in (
                ("order", "orders.id"),
                ("store", "stores.id"),
                ("room", "rooms.id"),
                ("from_room", "rooms.id"),
            )
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_changes")),
    )
    for name in ("order_id", "store_id"):
        op.create_index(f"ix_order_changes_{name}", "order_changes", [name])
    op.create_index(
        "uq_order_changes_one_pending",
        "order_changes",
        ["order_id"],
        unique=True,
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_order_changes_expiry",
        "order_changes",
        ["expires_at"],
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )


def choice(*values: str, name: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


def downgrade() -> None:
    for name, _, _, _ in POLICY_COLUMNS:
        op.execute(f"ALTER TABLE booking_policies DROP COLUMN {name}")
    op.execute("ALTER TABLE bookings DROP COLUMN overtime_from_at")
    # Holds of changes mean nothing without their change; left behind they would keep rooms shut.
    op.execute("DELETE FROM bookings WHERE change_id IS NOT NULL")
    for table in ("payments", "bookings"):
        op.drop_index(f"ix_{table}_change_id", table_name=table)
        op.execute(f"ALTER TABLE {table} DROP COLUMN change_id")
    op.drop_table("order_changes")
