"""Give customers a segment, for discounts that only some of them get."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE customers ADD COLUMN segment VARCHAR(32)")


def downgrade() -> None:
    op.execute("ALTER TABLE customers DROP COLUMN segment")
