"""Let payments come through Alipay, UnionPay and the counter.

SQLite cannot change a check of a table, and rebuilding `payments` would have to rebuild the tables that point to
it. What its documentation gives for a check that no stored row can break is done instead: the text of the check is
changed in the schema.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BEFORE = ("wechat_jsapi", "wechat_native")
AFTER = (*BEFORE, "alipay", "alipay_qr", "unionpay", "counter_cash", "counter_pos")
NAME = "ck_payments_channel"


def rule(values: tuple[str, ...]) -> str:
    return f"channel IN ({', '.join(repr(value) for value in values)})"


def change(before: tuple[str, ...], after: tuple[str, ...]) -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        op.drop_constraint(op.f(NAME), "payments", type_="check")
        op.create_check_constraint(op.f(NAME), "payments", rule(after))
        return
    table = {"name": "payments"}
    text = connection.execute(
        sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name"), table
    ).scalar_one()
    assert text.count(rule(before)) == 1, "the check of payments.channel is not the one that was created"
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema=ON")
    connection.execute(
        sa.text("UPDATE sqlite_master SET sql = :sql WHERE type = 'table' AND name = :name"),
        table | {"sql": text.replace(rule(before), rule(after))},
    )
    connection.exec_driver_sql(f"PRAGMA schema_version={version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema=RESET")


def upgrade() -> None:
    change(BEFORE, AFTER)


def downgrade() -> None:
    # PostgreSQL would look at every row, the changed text of SQLite at none: both refuse what they cannot keep.
    payments = sa.table("payments", sa.column("channel", sa.String))
    query = sa.select(sa.func.count()).select_from(payments).where(payments.c.channel.not_in(BEFORE))
    count = op.get_bind().execute(query).scalar_one()
    if count:
        raise RuntimeError(f"{count} payments came in other ways than by WeChat Pay; they cannot be kept.")
    change(AFTER, BEFORE)
