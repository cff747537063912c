"""Index only the bookings that hold room for a change.

Nearly every booking belongs to none, and SQLite, which keeps no statistics, took that index for "of no change":
it read the whole table for the limits of one customer.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

NAME = "ix_bookings_change_id"
OF_A_CHANGE = sa.text("change_id IS NOT NULL")


def upgrade() -> None:
    op.drop_index(NAME, table_name="bookings")
    op.create_index(NAME, "bookings", ["change_id"], sqlite_where=OF_A_CHANGE, postgresql_where=OF_A_CHANGE)


def downgrade() -> None:
    op.drop_index(NAME, table_name="bookings")
    op.create_index(NAME, "bookings", ["change_id"])
