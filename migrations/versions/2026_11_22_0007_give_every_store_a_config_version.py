"""Give every store a config version, which the database itself renews whenever anything that configures it changes.

The version is a random number, never a counter: one that was rolled back must not come again for something
else. A migration that rebuilds one of these tables on SQLite (batch mode) drops its triggers and has to call
`create_triggers` for it again.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Table and the column that names its store; rows of the other tables count for every store.
TABLES = {
    "stores": "id",
    "rooms": "store_id",
    "room_blocks": "store_id",
    "opening_hours": "store_id",
    "booking_policies": "store_id",
    "booking_sessions": "store_id",
    "price_rules": "store_id",
    "discount_rules": "store_id",
    "calendar_days": "store_id",
    "room_types": None,
}
# What else changes in these rows is not configuration: the version itself, and the lock of a room's time.
UPDATED_COLUMNS = {
    "stores": "name, city, address, lat, lng, time_zone, phone, introduction, wifi, transport, logo_url,"
    " is_active",
    "rooms": "store_id, room_type_id, name, area_m2, capacity, decor_style, description, cleaning_minutes,"
    " position, is_active",
}

# An empty store means all of them. They are locked in the order of their ids, so that two changes of the whole
# chain never wait for each other in a circle.
POSTGRES_FUNCTION = """
CREATE FUNCTION renew_config_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before integer := to_jsonb(OLD) ->> TG_ARGV[0];
    after integer := to_jsonb(NEW) ->> TG_ARGV[0];
BEGIN
    UPDATE stores SET config_version = (random() * 9007199254740991)::bigint
    WHERE id IN (
        SELECT id FROM stores
        WHERE (TG_OP <> 'INSERT' AND (before IS NULL OR id = before))
           OR (TG_OP <> 'DELETE' AND (after IS NULL OR id = after))
        ORDER BY id FOR NO KEY UPDATE
    );
    RETURN NULL;
END $$
"""


def create_triggers(table: str) -> None:
    changed = f"UPDATE OF {UPDATED_COLUMNS[table]}" if table in UPDATED_COLUMNS else "UPDATE"
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE TRIGGER renew_config AFTER INSERT OR {changed} OR DELETE ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION renew_config_version('{TABLES[table] or ''}')"
        )
        return
    for name, event, rows in (
        ("insert", "INSERT", ("NEW",)),
        ("update", changed, ("OLD", "NEW")),
        ("delete", "DELETE", ("OLD",)),
    ):
        op.execute(
            f"CREATE TRIGGER renew_config_{table}_{name} AFTER {event} ON {table} BEGIN"
            f" UPDATE stores SET config_version = random() WHERE {concerned_stores(table, rows)}; END"
        )


def concerned_stores(table: str, rows: tuple[str, ...]) -> str:
    column = TABLES[table]
    return " OR ".join(f"{row}.{column} IS NULL OR id = {row}.{column}" for row in rows) if column else "TRUE"


def upgrade() -> None:
    op.execute("ALTER TABLE stores ADD COLUMN config_version BIGINT NOT NULL DEFAULT 0")
    if op.get_bind().dialect.name == "postgresql":
        op.execute(POSTGRES_FUNCTION)
    for table in TABLES:
        create_triggers(table)


def downgrade() -> None:
    is_postgres = op.get_bind().dialect.name == "postgresql"
    for table in TABLES:
        if is_postgres:
            op.execute(f"DROP TRIGGER renew_config ON {table}")
        else:
            for name in ("insert", "update", "delete"):
                op.execute(f"DROP TRIGGER renew_config_{table}_{name}")
    if is_postgres:
        op.execute("DROP FUNCTION renew_config_version()")
    op.execute("ALTER TABLE stores DROP COLUMN config_version")
