"""Migrations form one line from an empty database to the present."""

from __future__ import annotations

import re

from alembic.config import Config
from alembic.script import ScriptDirectory

from tests.architecture.sources import ROOT


def migrations() -> ScriptDirectory:
    """Read the migrations without a database."""
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    return ScriptDirectory.from_config(config)


def test_there_is_one_head_and_one_base() -> None:
    scripts = migrations()

    assert (len(scripts.get_heads()), len(scripts.get_bases())) == (1, 1)


def test_every_migration_is_dated_and_can_be_taken_back() -> None:
    for script in migrations().walk_revisions():
        assert re.match(r"\d{4}_\d{2}_\d{2}_", script.path.rpartition("/")[2]), script.path
        assert callable(getattr(script.module, "downgrade", None)), script.path
