"""Create the owner's calendar and the discount rules.

Empty `store_id` means the whole chain, in both tables.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "calendar_days",
        sa.Column("store_id", sa.Integer(), nullable=True),
        sa.Column("on_date", sa.Date(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "weekday",
                "weekend",
                "holiday",
                name="kind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_calendar_days_store_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendar_days")),
        sa.UniqueConstraint("store_id", "on_date", name=op.f("uq_calendar_days_store_id_on_date")),
    )
    op.create_index(
        "uq_calendar_days_chain",
        "calendar_days",
        ["on_date"],
        unique=True,
        sqlite_where=sa.text("store_id IS NULL"),
        postgresql_where=sa.text("store_id IS NULL"),
    )
    op.create_table(
        "discount_rules",
        sa.Column("store_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("off_percent", sa.Integer(), nullable=True),
        sa.Column("off_fen", sa.Integer(), nullable=True),
        sa.Column(
            "scope",
            sa.Enum(
                "store",
                "room_type",
                "room",
                name="scope",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("room_type_id", sa.Integer(), nullable=True),
        sa.Column("room_id", sa.Integer(), nullable=True),
        sa.Column(
            "day_kind",
            sa.Enum(
                "any",
                "weekday",
                "weekend",
                "holiday",
                name="day_kind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "weekdays",
            sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql"),
            nullable=True,
        ),
        sa.Column("band_start_minute", sa.Integer(), nullable=False),
        sa.Column("band_end_minute", sa.Integer(), nullable=False),
        sa.Column("valid_from_on", sa.Date(), nullable=True),
        sa.Column("valid_until_on", sa.Date(), nullable=True),
        sa.Column("first_order_only", sa.Boolean(), nullable=False),
        sa.Column("segment", sa.String(length=32), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "(scope = 'room') = (room_id IS NOT NULL) AND (scope = 'room_type') = (room_type_id IS NOT NULL)",
            name=op.f("ck_discount_rules_scope_target"),
        ),
        sa.CheckConstraint(
            "room_id IS NULL OR store_id IS NOT NULL", name=op.f("ck_discount_rules_room_needs_store")
        ),
        sa.CheckConstraint(
            "(off_percent IS NULL) <> (off_fen IS NULL)", name=op.f("ck_discount_rules_one_amount")
        ),
        sa.CheckConstraint(
            "band_end_minute >= 0 AND band_end_minute <= 1440", name=op.f("ck_discount_rules_band_end_range")
        ),
        sa.CheckConstraint(
            "band_start_minute >= 0 AND band_start_minute < 1440",
            name=op.f("ck_discount_rules_band_start_range"),
        ),
        sa.CheckConstraint(
            "off_fen IS NULL OR (off_fen >= 1 AND off_fen <= 10000000)",
            name=op.f("ck_discount_rules_fen_range"),
        ),
        sa.CheckConstraint(
            "off_percent IS NULL OR (off_percent >= 1 AND off_percent <= 100)",
            name=op.f("ck_discount_rules_percent_range"),
        ),
        sa.CheckConstraint(
            "valid_from_on IS NULL OR valid_until_on IS NULL OR valid_from_on <= valid_until_on",
            name=op.f("ck_discount_rules_validity_order"),
        ),
        sa.ForeignKeyConstraint(
            ["room_id"], ["rooms.id"], name=op.f("fk_discount_rules_room_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["room_type_id"],
            ["room_types.id"],
            name=op.f("fk_discount_rules_room_type_id"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_discount_rules_store_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discount_rules")),
    )
    for name in ("room_id", "room_type_id", "store_id"):
        op.create_index(f"ix_discount_rules_{name}", "discount_rules", [name])


def downgrade() -> None:
    op.drop_table("discount_rules")
    op.drop_table("calendar_days")
