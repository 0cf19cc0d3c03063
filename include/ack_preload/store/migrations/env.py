"""What Alembic runs: migrate over the connection that ``database.migrate`` opened."""

from __future__ import annotations

from alembic import context

from ack_preload.store.database import VERSION_TABLE
from ack_preload.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite cannot alter most of a table in place
)
with context.begin_transaction():
    context.run_migrations()
