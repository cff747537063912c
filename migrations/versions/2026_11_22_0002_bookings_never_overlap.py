"""Keep live bookings of a room disjoint, buffers included, whoever writes.

PostgreSQL refuses with an exclusion constraint. SQLite has none, so triggers compare with the first occupying
booking that ends later: existing ones are disjoint, hence one index step is enough. A migration that rebuilds the
table on SQLite (batch mode) drops the triggers and has to call `create_triggers` again.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NAME = "ex_bookings_room_overlap"
OCCUPYING = "('held', 'reserved', 'in_use', 'ended')"

EXCLUSION = f"""
ALTER TABLE bookings ADD CONSTRAINT {NAME}
EXCLUDE USING gist (room_id WITH =, tstzrange(busy_from_at, busy_until_at, '[)') WITH &&)
WHERE (state IN {OCCUPYING})
"""

# Instants are compared as text, so every writer must use the one fixed-width form.
CLASH = f"""
NEW.state IN {OCCUPYING} AND (
    length(NEW.busy_from_at) <> 26 OR length(NEW.busy_until_at) <> 26 OR (
        SELECT other.busy_from_at FROM bookings AS other
        WHERE other.room_id = NEW.room_id AND other.state IN {OCCUPYING}
          AND other.busy_until_at > NEW.busy_from_at AND other.id IS NOT NEW.id
        ORDER BY other.busy_until_at LIMIT 1
    ) < NEW.busy_until_at
)
"""


def create_triggers() -> None:
    for name, moment in (
        (f"{NAME}_insert", "BEFORE INSERT"),
        (
            f"{NAME}_update",
            "BEFORE UPDATE OF room_id, state, busy_from_at, busy_until_at",
        ),
    ):
        op.execute(
            f"CREATE TRIGGER {name} {moment} ON bookings WHEN {CLASH} "
            f"BEGIN SELECT RAISE(ABORT, '{NAME}'); END"
        )


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
        op.execute(EXCLUSION)
    else:
        create_triggers()


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE bookings DROP CONSTRAINT {NAME}")
    else:
        for name in (f"{NAME}_insert", f"{NAME}_update"):
            op.execute(f"DROP TRIGGER {name}")
