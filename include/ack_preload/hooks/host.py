"""Where a machine is and how it is known: plain values, which a trigger can carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Host:
    """One machine.

    :ivar address: as the workers reach it over SSH.
    :ivar dag_id: with ``run_id``, whose key opens it; both empty for a live node.
    :ivar host_key: as ``known_hosts`` has it, ``ssh-ed25519 AAAA...``.
    :ivar instance_id: as Cloud Assistant reaches it.
    """

    address: str
    dag_id: str = ""
    run_id: str = ""
    host_key: str = ""
    instance_id: str = ""

    @property
    def is_of_run(self) -> bool:
        return bool(self.run_id)

    @property
    def name(self) -> str:
        return self.address or self.instance_id

    def as_dict(self) -> dict[str, str]:
        return asdict(self)

    @classmethod
    def from_mapping(cls, value: Mapping[str, Any]) -> Host:
        """Read what a trigger carries; one of an older version lacks fields, or has others."""
        return cls(**{each.name: str(value.get(each.name) or "") for each in fields(cls)})
