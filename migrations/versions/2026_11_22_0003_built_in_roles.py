"""Create the two roles that the framework takes for granted when it creates permissions."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NAMES = ("Owner", "Public")
roles = sa.table("ab_role", sa.column("id", sa.Integer), sa.column("name", sa.String))


def upgrade() -> None:
    op.bulk_insert(roles, [{"name": name} for name in NAMES])


def downgrade() -> None:
    op.execute(roles.delete().where(roles.c.name.in_(NAMES)))
