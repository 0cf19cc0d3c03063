"""Open the history: one engine a URL, migrated to the newest schema on first use."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, make_url, text
from sqlalchemy.pool import NullPool

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

MIGRATIONS = Path(__file__).parent / "migrations"
# Not Alembic's default, which Airflow uses: both may live in one database.
VERSION_TABLE = "ack_preload_version"
# Tasks on LocalExecutor write from several processes; SQLite lets one write at a time.
BUSY_TIMEOUT_S = 30
# Any number, the same in every process: PostgreSQL's lock around the migration.
ADVISORY_LOCK = 4_201_915

_migrated: set[str] = set()
_migrating = threading.Lock()


def open_engine(url: str) -> Engine:
    """Return an engine whose schema is the newest.

    Connections are not pooled: a task opens the history once or twice, and a fork must not
    share one.
    """
    engine = create_engine(url, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        _tune_sqlite(engine)
    key = make_url(url).render_as_string(hide_password=True)
    with _migrating:
        if key not in _migrated or not _file_exists(engine):
            migrate(engine)
            _migrated.add(key)
    return engine


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest revision; processes that start together take turns."""
    from alembic import command  # noqa: PLC0415  # 0.2 s that only the first opening needs

    if engine.dialect.name == "sqlite" and (database := engine.url.database):
        Path(database).parent.mkdir(parents=True, exist_ok=True)
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
        command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: Connection) -> Any:
    from alembic.config import Config  # noqa: PLC0415  # as above

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def _file_exists(engine: Engine) -> bool:
    """Tell whether a SQLite file that was migrated before is still there."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return True
    return Path(engine.url.database).exists()


def _tune_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        # Transactions are begun below; Python's own way leaves DDL outside of them.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # IMMEDIATE waits for the write lock up front; a transaction that reads first and then
        # writes would fail at once when another one wrote in between.
        reading = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
