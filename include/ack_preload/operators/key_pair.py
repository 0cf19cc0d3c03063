"""The key pair of a run: its public half in the account while the build instance lives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ack_preload.domain.errors import CloudUnavailableError
from ack_preload.hooks.calls import takes_minutes
from ack_preload.hooks.ecs_keys import TAKEN
from ack_preload.hooks.run_key import run_key
from ack_preload.operators.base import CloudOperator, as_mapping
from ack_preload.operators.orders import EcsOperator
from ack_preload.operators.teardown import TeardownOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


TAKEN_UNSEEN = "name_is_taken_and_not_listed"
WAITS_UNTIL = "waits_for_instance_until"
ATTACHED_EVERY_S = 10.0
ATTACHED_FOR = timedelta(minutes=5)
"""Its instance is deleted before it, so this is for a cloud that is slow to notice."""


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
        self.about_to_create(context)
        owner = self.ownership(context, as_mapping("target", self.target))
        ti = context["ti"]
        key = run_key(self.account, ti.dag_id, ti.run_id)
        try:
            self.hook.import_key_pair(self.key_pair_name, key.public, owner.tags())
        except CloudUnavailableError as exc:
            # The name is taken and nothing of that name is listed: it may be ours, of just now.
            if not exc.code.startswith(TAKEN) or not self.is_first_time(context, TAKEN_UNSEEN):
                raise
            self.look_again(datetime.now(UTC) + timedelta(seconds=self.account.visible_within_s))
        self.log.info("Key pair %s imported", self.key_pair_name)
        return self.key_pair_name


class DeleteKeyPairOperator(TeardownOperator):
    """Delete every key pair of this run; return their names.

    One that an instance still uses is waited for.

    :param key_pair_name: a further one, made by another run of this installation; may be empty.
    :param makers: ids of the tasks of this run that import key pairs.
    """

    template_fields: Sequence[str] = ("key_pair_name", *CloudOperator.template_fields)

    def __init__(
        self, *, key_pair_name: str | None = None, makers: Sequence[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.key_pair_name = key_pair_name
        self.makers = makers

    def execute(self, context: Context) -> list[str]:
        found = self.hook.key_pairs(self.search(context))
        if self.key_pair_name and (tags := self.hook.key_pair(self.key_pair_name)) is not None:
            found[self.key_pair_name] = tags
        try:
            doomed = self.delete_each("key pair", found, self.hook.delete_key_pair)
        except CloudUnavailableError as exc:
            if takes_minutes("DeleteKeyPairs", exc) and self._may_wait(context):
                every = self.account.poll_every_s or ATTACHED_EVERY_S
                soon = datetime.now(UTC) + timedelta(seconds=every)
                self.look_again(soon, "an instance still uses the key pair")
            raise
        return self.end(context, doomed)

    def _may_wait(self, context: Context) -> bool:
        """Tell whether this try may wait on for the instance that uses the key pair."""
        ti = context["ti"]
        until = ti.xcom_pull(task_ids=ti.task_id, key=WAITS_UNTIL)
        if until is None:
            until = (datetime.now(UTC) + ATTACHED_FOR).isoformat()
            ti.xcom_push(key=WAITS_UNTIL, value=until)
        return datetime.now(UTC) < datetime.fromisoformat(until)
