"""Alembic environment: the application's engine, our own metadata, types written without the application."""

from logging.config import fileConfig

import sqlalchemy as sa
from alembic import context
from flask import current_app

config = context.config
fileConfig(config.config_file_name, disable_existing_loggers=False)
migrate = current_app.extensions["migrate"]


def render_item(kind, item, autogen_context):
    """Write our column types as what they are stored as: migrations must outlive the code."""
    if kind == "type" and isinstance(item, sa.TypeDecorator):
        impl = item.impl_instance
        if isinstance(impl, sa.DateTime):
            return f"sa.DateTime(timezone={impl.timezone})"
        return "sa.Text()"
    if kind == "type" and isinstance(item, sa.JSON):
        autogen_context.imports.add("from sqlalchemy.dialects.postgresql import JSONB")
        return "sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), 'postgresql')"
    return False


def skip_empty(_context, _revision, directives):
    """Write no migration when the models and the database agree."""
    if getattr(config.cmd_opts, "autogenerate", False) and directives[0].upgrade_ops.is_empty():
        directives[:] = []


def run() -> None:
    """Migrate the application's database; only online, because triggers ask which engine it is."""
    with migrate.db.engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=migrate.db.metadata,
            render_item=render_item,
            process_revision_directives=skip_empty,
            **migrate.configure_args,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
