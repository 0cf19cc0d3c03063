"""Open the history store behind the connection ``ack_preload_store``, or the default file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from ack_preload.domain.errors import InvalidInputError
from ack_preload.hooks.account import Account
from ack_preload.store import Run, Store

if TYPE_CHECKING:
    from airflow.sdk import Connection, Context

STORE_CONN_ID = "ack_preload_store"
SHARE = f"Give all workers one history (connection {STORE_CONN_ID})"
DRIVERS = {
    "postgres": "postgresql+psycopg2",
    "postgresql": "postgresql+psycopg2",
    "sqlite": "sqlite",
}


def open_store(conn_id: str = STORE_CONN_ID) -> Store:
    """Return the store; without the connection it is ``$AIRFLOW_HOME/ack_preload.db``."""
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return Store(f"sqlite:///{_airflow_home() / 'ack_preload.db'}")
    return Store(store_url(connection))


def begin_installation(account: Account) -> str:
    """Return which Airflow this is, for the task that a run begins with: a new history gets an id.

    No other task may invent one. On a worker that does not share the history, a teardown would
    look for what that other installation made, find nothing, and leave all that is paid for.
    """
    return account.installation or open_store().installation()


def installation_of(account: Account) -> str:
    """Return which Airflow this is: as the connection says, else as the history keeps it.

    :raises InvalidInputError: when neither knows.
    """
    if found := account.installation or open_store().known_installation():
        return found
    raise InvalidInputError(
        f"the history of this worker knows of no installation. {SHARE}, or set the extra "
        f"installation of {account.conn_id}; then clear this task"
    )


def store_url(connection: Connection) -> str:
    """Map an Airflow connection onto a SQLAlchemy URL.

    :raises InvalidInputError: for a connection type that is not a database we keep history in.
    """
    from sqlalchemy import URL  # not at DAG parse

    driver = DRIVERS.get(connection.conn_type or "")
    if driver is None:
        known = ", ".join(sorted(DRIVERS))
        raise InvalidInputError(
            f"connection {connection.conn_id}: conn_type {connection.conn_type!r} cannot hold "
            f"the history; use one of {known}"
        )
    if driver == "sqlite":
        return f"sqlite:///{connection.host or connection.schema}"
    url = URL.create(
        driver,
        username=connection.login,
        password=connection.password,
        host=connection.host,
        port=connection.port,
        database=connection.schema,
        query={key: str(value) for key, value in connection.extra_dejson.items()},
    )
    return url.render_as_string(hide_password=False)


def run_of(context: Context | dict[str, Any]) -> Run:
    """Return the DAG run of a task, with the nightly run that it is a part of."""
    ti = context["ti"]
    chain = (context.get("params") or {}).get("chain") or ""
    return Run(dag_id=ti.dag_id, run_id=ti.run_id, chain=str(chain))


def _airflow_home() -> Path:
    return Path(os.environ.get("AIRFLOW_HOME") or Path.home() / "airflow").absolute()
