"""The key pair of a run: its public half in the account while the build instance lives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ack_preload.domain.tags import refuse_foreign
from ack_preload.hooks.run_key import run_key
from ack_preload.operators.base import CloudOperator, as_mapping
from ack_preload.operators.build_instance import EcsOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class ImportKeyPairOperator(EcsOperator):
    """Import the public half of this run's key and return the name of the key pair.

    The private half is derived where it is used, from the account's secret and the run: it is
    neither stored nor passed on. A second try finds the pair of the first.

    :param key_pair_name: 2 to 128 characters: letters, digits, ``:``, ``_`` and ``-``.
    :param target: the target as a mapping, or its JSON.
    """

    template_fields: Sequence[str] = ("key_pair_name", "target", *CloudOperator.template_fields)

    def __init__(
        self, *, key_pair_name: str, target: Mapping[str, Any] | str, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.key_pair_name = key_pair_name
        self.target = target

    def execute(self, context: Context) -> str:
        owner = self.ownership(context, as_mapping("target", self.target))
        ti = context["ti"]
        key = run_key(self.account, ti.dag_id, ti.run_id)
        self.hook.import_key_pair(self.key_pair_name, key.public, owner.tags())
        self.log.info("Key pair %s imported", self.key_pair_name)
        return self.key_pair_name


class DeleteKeyPairOperator(EcsOperator):
    """Delete every key pair of this run; return their names.

    :param key_pair_name: a further one, made by another run of ours; may be empty.
    """

    template_fields: Sequence[str] = ("key_pair_name", *CloudOperator.template_fields)

    def __init__(self, *, key_pair_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.key_pair_name = key_pair_name

    def execute(self, context: Context) -> list[str]:
        doomed = set(self.hook.key_pairs(self.search(context)))
        if self.key_pair_name and (tags := self.hook.key_pair(self.key_pair_name)) is not None:
            refuse_foreign(f"key pair {self.key_pair_name}", tags, self.installation)
            doomed.add(self.key_pair_name)
        for name in sorted(doomed):
            self.hook.delete_key_pair(name)
            self.log.info("Key pair %s deleted", name)
        return sorted(doomed)
