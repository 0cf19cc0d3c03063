"""The history: one ``put_`` and the look-ups of each record."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from ack_preload.domain.images import ImageLock
from ack_preload.store import tables
from ack_preload.store.database import open_engine
from ack_preload.store.records import (
    BuildRecord,
    ComparisonRecord,
    InstallationRecord,
    LockRecord,
    RolloutRecord,
    Run,
    SampleRecord,
    SnapshotRecord,
)

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Engine, Row, Table

Record = TypeVar(
    "Record",
    LockRecord,
    BuildRecord,
    SnapshotRecord,
    RolloutRecord,
    SampleRecord,
    ComparisonRecord,
    InstallationRecord,
)

TABLES: Mapping[type[Any], Table] = {
    LockRecord: tables.IMAGE_LOCKS,
    BuildRecord: tables.BUILDS,
    SnapshotRecord: tables.SNAPSHOTS,
    RolloutRecord: tables.ROLLOUTS,
    SampleRecord: tables.SAMPLES,
    ComparisonRecord: tables.COMPARISONS,
    InstallationRecord: tables.INSTALLATION,
}


INSTALLATION_BYTES = 6  # two Airflows of one account by chance the same: 1 in 10^14


class Store:
    """The history behind one SQLAlchemy URL, such as ``sqlite:////var/lib/preload.db``.

    Building one does no I/O; the first call opens and migrates. Every ``put_`` may be repeated:
    the same run (or snapshot) replaces its own row, so that a second try adds nothing.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def engine(self) -> Engine:
        return open_engine(self._url)

    # -- which Airflow this is

    def installation(self) -> str:
        """Return the id of this installation, made at random on the first call."""
        if found := self.known_installation():
            return found
        record = InstallationRecord(installation=secrets.token_hex(INSTALLATION_BYTES))
        with suppress(IntegrityError), self.engine.begin() as connection:
            connection.execute(tables.INSTALLATION.insert().values(**asdict(record)))
            return record.installation
        return self.installation()  # another process was faster: it is the same for all

    def known_installation(self) -> str | None:
        """Return the id of this installation; ``None`` before it was made."""
        found = self._newest(InstallationRecord)
        return found.installation if found else None

    # -- image locks

    def put_lock(self, lock: ImageLock, image_list: str, *, target: str, run: Run) -> LockRecord:
        """Keep a lock and the text of its ``image_list.txt``, as exported by ``run``."""
        record = LockRecord(
            dag_id=run.dag_id,
            run_id=run.run_id,
            chain=run.chain,
            target=target,
            digest=lock.digest,
            content=lock.to_json(),
            image_list=image_list,
            images=len(lock.images),
        )
        self._put(record)
        return record

    def lock_record(self, digest: str, *, target: str | None = None) -> LockRecord | None:
        """Return the newest export with that digest; several targets may share one lock."""
        where = [tables.IMAGE_LOCKS.c.digest == digest]
        if target is not None:
            where.append(tables.IMAGE_LOCKS.c.target == target)
        return self._newest(LockRecord, *where)

    def lock(self, digest: str) -> ImageLock | None:
        from ack_preload.domain.images import ImageLock  # noqa: PLC0415

        record = self.lock_record(digest)
        return ImageLock.from_json(record.content) if record else None

    def latest_lock(self, target: str) -> LockRecord | None:
        return self._newest(LockRecord, tables.IMAGE_LOCKS.c.target == target)

    def lock_for_chain(self, target: str, chain: str) -> LockRecord | None:
        """Return what the export of this target in one ``nightly_preload`` run made."""
        return self._newest(LockRecord, *_in_chain(tables.IMAGE_LOCKS, target, chain))

    # -- builds and snapshots

    def put_build(self, record: BuildRecord) -> None:
        self._put(record)

    def build_for_run(self, run: Run) -> BuildRecord | None:
        return self._newest(BuildRecord, *_of_run(tables.BUILDS, run))

    def put_snapshot(self, record: SnapshotRecord) -> None:
        self._put(record)

    def snapshot(self, snapshot_id: str) -> SnapshotRecord | None:
        return self._newest(SnapshotRecord, tables.SNAPSHOTS.c.snapshot_id == snapshot_id)

    def snapshots(self, target: str) -> list[SnapshotRecord]:
        """Return every snapshot of a target, newest first, deleted ones included."""
        return self._all(SnapshotRecord, tables.SNAPSHOTS.c.target == target)

    def latest_snapshot(self, target: str) -> SnapshotRecord | None:
        return self._newest(SnapshotRecord, tables.SNAPSHOTS.c.target == target)

    def snapshot_for_run(self, run: Run) -> SnapshotRecord | None:
        return self._newest(SnapshotRecord, *_of_run(tables.SNAPSHOTS, run))

    def snapshot_for_chain(self, target: str, chain: str) -> SnapshotRecord | None:
        return self._newest(SnapshotRecord, *_in_chain(tables.SNAPSHOTS, target, chain))

    # -- rollouts

    def put_rollout(self, record: RolloutRecord) -> None:
        self._put(record)

    def latest_rollout(self, target: str) -> RolloutRecord | None:
        return self._newest(RolloutRecord, tables.ROLLOUTS.c.target == target)

    def rollout_for_run(self, run: Run) -> RolloutRecord | None:
        return self._newest(RolloutRecord, *_of_run(tables.ROLLOUTS, run))

    def has_rollout_of(self, node_pool_id: str) -> bool:
        """Tell whether a rollout of this node pool was ever recorded."""
        return (
            self._newest(RolloutRecord, tables.ROLLOUTS.c.node_pool_id == node_pool_id) is not None
        )

    def rollout_for_chain(self, target: str, chain: str) -> RolloutRecord | None:
        return self._newest(RolloutRecord, *_in_chain(tables.ROLLOUTS, target, chain))

    # -- measurements

    def put_sample(self, record: SampleRecord) -> None:
        self._put(record)

    def samples(self, run: Run) -> list[SampleRecord]:
        """Return the samples of one run, by number, baseline before preloaded."""
        found = self._all(SampleRecord, *_of_run(tables.SAMPLES, run))
        return sorted(found, key=lambda sample: (sample.number, sample.arm))

    def put_comparison(self, record: ComparisonRecord) -> None:
        self._put(record)

    def latest_comparison(self, target: str) -> ComparisonRecord | None:
        return self._newest(ComparisonRecord, tables.COMPARISONS.c.target == target)

    def comparison_for_chain(self, target: str, chain: str) -> ComparisonRecord | None:
        return self._newest(ComparisonRecord, *_in_chain(tables.COMPARISONS, target, chain))

    # -- rows

    def _put(self, record: Record) -> None:
        table = TABLES[type(record)]
        values = asdict(record)
        try:
            with self.engine.begin() as connection:
                _upsert(connection, table, values)
        except IntegrityError:  # another try put its row between our look and our insert
            with self.engine.begin() as connection:
                _upsert(connection, table, values)

    def _newest(self, kind: type[Record], *where: ColumnElement[bool]) -> Record | None:
        found = self._all(kind, *where, limit=1)
        return found[0] if found else None

    def _all(
        self, kind: type[Record], *where: ColumnElement[bool], limit: int | None = None
    ) -> list[Record]:
        table = TABLES[kind]
        query = select(table).where(*where).order_by(table.c.created_at.desc()).limit(limit)
        with self.engine.connect().execution_options(reading=True) as connection:
            return [_record(kind, row) for row in connection.execute(query)]


def _of_run(table: Table, run: Run) -> tuple[ColumnElement[bool], ...]:
    return table.c.dag_id == run.dag_id, table.c.run_id == run.run_id


def _in_chain(table: Table, target: str, chain: str) -> tuple[ColumnElement[bool], ...]:
    if not chain:
        raise ValueError("chain is empty; pass the run id of a nightly_preload run")
    return table.c.target == target, table.c.chain == chain


def _upsert(connection: Connection, table: Table, values: Mapping[str, Any]) -> None:
    this = [column == values[column.name] for column in table.primary_key]
    changed = connection.execute(table.update().where(*this).values(**values)).rowcount
    if not changed:
        connection.execute(table.insert().values(**values))


def _record(kind: type[Record], row: Row[Any]) -> Record:
    mapping = row._mapping
    return kind(**{each.name: mapping[each.name] for each in fields(kind)})
