"""Brings the database to the newest migration; waits a while for a server that is only just starting."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from control import db

MIGRATIONS = Path(__file__).parents[2] / "migrations"
WAIT_S = 60
"""A server that replays its log after a power cut."""
AGAIN_S = 0.5


class UpgradeSettings(Struct, frozen=True):
    owner_database_url: str


class CannotMigrate(Exception):
    """The message says what is missing."""


def upgrade(url: str) -> None:
    """Not inside a running loop: Alembic's environment has its own."""
    if not MIGRATIONS.is_dir():
        raise CannotMigrate(f"there are no migrations in {MIGRATIONS}")
    asyncio.run(_until_up(url))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    command.upgrade(config, "head")


async def _until_up(url: str) -> None:
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    async with engine.connect() as connection:
                        await connection.execute(text("SELECT 1"))
                    return
                except Exception as failure:
                    if not db.is_away(failure):
                        raise CannotMigrate(f"the database refuses: {failure}") from None
                await asyncio.sleep(AGAIN_S)
    except TimeoutError:
        raise CannotMigrate(f"the database did not answer within {WAIT_S} s") from None
    finally:
        await engine.dispose()
