"""What every operator here shares: idempotency tokens, deferring, reading the verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import BaseOperator

from ack_preload.domain.disks import required
from ack_preload.domain.errors import (
    CloudError,
    InvalidInputError,
    ResourceFailedError,
    WaitTimeoutError,
)
from ack_preload.domain.tags import Ownership, expiry, is_of_run, run_tag, token
from ack_preload.domain.waits import WAITS, Verdict
from ack_preload.hooks.account import DEFAULT_CONN_ID, Account
from ack_preload.hooks.cloud import CloudHook
from ack_preload.hooks.history import SHARE, installation_of
from ack_preload.triggers.state import SETTLING_LOOKS, SETTLING_S, StateTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

DEFAULT_LIFETIME_H = 12
"""How long a resource of a run may live: a slow build with a full first snapshot, twice over."""


BEGINNING = "read_inputs"
"""The task that a run of our DAGs begins with; it says for which installation."""
LISTED_LATE = "the cloud may list late what it has made"
CREATING = "creating"
"""XCom of a task that makes something that costs money: the moment before it asks the cloud."""


FIRST_LOOK = "first_look"
"""XCom of a teardown: when it looked first, where nobody noted when something was made."""
NEVER_BEGAN = frozenset({None, "skipped", "upstream_failed", "removed", "success"})
"""States of a task that has no open end: it made nothing, or noted when it did."""


class CloudOperator(BaseOperator):
    """Start one cloud operation, then defer until its wait gives a verdict."""

    template_fields: Sequence[str] = ("conn_id",)

    def __init__(self, *, conn_id: str = DEFAULT_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id

    @cached_property
    def account(self) -> Account:
        return Account.get(self.conn_id)

    @cached_property
    def installation(self) -> str:
        """Which Airflow this is; what another one made on the same account is left alone."""
        return installation_of(self.account)

    def pre_execute(self, context: Any) -> None:
        """Refuse to work for another installation than the one that this run began as.

        It would not find what the run made, and take all of it for gone.
        """
        super().pre_execute(context)
        begun = context["ti"].xcom_pull(task_ids=BEGINNING, key="installation")
        if begun and begun != self.installation:
            raise InvalidInputError(
                f"this run began as installation {begun}, but this worker is {self.installation}. "
                f"{SHARE}, or set the extra installation of {self.conn_id} to {begun}; then clear "
                "this task"
            )

    def client_token(self, context: Context, salt: str = "") -> str:
        """Return one token for all tries of a task instance.

        ``max_tries`` is what a deliberate clear changes and a retry, a restart or a lost worker
        does not. So a cleared task makes a resource of its own, and does not get back the one
        that failed or was deleted for as long as the cloud remembers the token.
        """
        ti = context["ti"]
        identity = (ti.dag_id, ti.run_id, ti.task_id, ti.map_index)
        return token(self.installation, *identity, ti.max_tries, salt)

    def run_tag(self, context: Context) -> str:
        """Return the value of the run tag on everything that this DAG run makes."""
        return run_tag(context["ti"].dag_id, context["ti"].run_id)

    def search(self, context: Context) -> dict[str, str]:
        """Return the tags by which everything that this DAG run makes is found."""
        return Ownership.search(self.run_tag(context), self.installation)

    def is_of_run(self, context: Context, tags: Mapping[str, str]) -> bool:
        """Tell whether this DAG run of this installation made what carries ``tags``."""
        return is_of_run(tags, self.run_tag(context), self.installation)

    def expires(self, context: Context, target: Mapping[str, Any]) -> datetime:
        """Return when the resources of this run expire; the same on every try."""
        run = context["dag_run"]
        started = run.start_date or run.logical_date or run.run_after
        limits = target.get("limits") or {}
        lifetime = timedelta(hours=limits.get("expire_after_h") or DEFAULT_LIFETIME_H)
        return expiry(started, lifetime, datetime.now(UTC))

    def ownership(
        self, context: Context, target: Mapping[str, Any], *, keep: bool = False
    ) -> Ownership:
        """Return whose the resources of this run are; the same on every try.

        :param keep: for what outlives the run on purpose: no expiry, so never swept.
        """
        return Ownership(
            target=str(required("target", target, "name")),
            run=self.run_tag(context),
            expires=None if keep else self.expires(context, target),
            installation=self.installation,
        )

    # -- what was just made may not be shown yet

    def about_to_create(self, context: Context) -> None:
        """Note the moment, for the teardown of what the cloud is now asked to make.

        To be called before anything else in :meth:`execute`: the note of an earlier try is
        deleted by Airflow when the next one starts, and what that one made may still not be shown.
        It is noted again each time that a call which creates something is sent.
        """
        ti = context["ti"]

        def note() -> None:
            ti.xcom_push(key=CREATING, value=datetime.now(UTC).isoformat())

        note()
        hook = getattr(self, "hook", None)
        if isinstance(hook, CloudHook):
            hook.before_create = note

    def unsettled_until(self, context: Context, makers: Sequence[str]) -> datetime | None:
        """Return until when the cloud may not show what ``makers`` made; ``None`` if it would.

        :param makers: ids of the tasks of this run that create what is looked for.
        """
        ti = context["ti"]
        found = ti.xcom_pull(task_ids=list(makers), key=CREATING) if makers else None
        noted = [datetime.fromisoformat(each) for each in found or () if each]
        if makers and not noted and self._has_begun(context, makers):
            # Its try was ended before its first note, or as the next try began; but an earlier
            # one, or the process that does not know yet that it is over, may have made something.
            noted.append(self._first_look(context))
        if not noted:
            return None
        settled = max(noted) + timedelta(seconds=self.account.visible_within_s)
        return settled if settled > datetime.now(UTC) else None

    def _has_begun(self, context: Context, makers: Sequence[str]) -> bool:
        ti = context["ti"]
        found = ti.get_task_states(ti.dag_id, task_ids=list(makers), run_ids=[ti.run_id])
        return not set((found.get(ti.run_id) or {}).values()) <= NEVER_BEGAN

    def _first_look(self, context: Context) -> datetime:
        """Return when this try of a teardown looked for the first time."""
        ti = context["ti"]
        first = ti.xcom_pull(task_ids=ti.task_id, key=FIRST_LOOK, map_indexes=ti.map_index)
        if first is None:
            first = datetime.now(UTC).isoformat()
            ti.xcom_push(key=FIRST_LOOK, value=first)
        return datetime.fromisoformat(first)

    def is_first_time(self, context: Context, what: str) -> bool:
        """Tell whether this try has not come here before; deferring does not end a try."""
        ti = context["ti"]
        if ti.xcom_pull(task_ids=ti.task_id, key=what, map_indexes=ti.map_index):
            return False
        ti.xcom_push(key=what, value=True)
        return True

    def look_again(self, at: datetime, why: str = LISTED_LATE) -> NoReturn:
        """Defer until ``at``, and begin again from :meth:`execute`."""
        # Not at once: see SETTLING_S.
        pause = min(SETTLING_S, SETTLING_LOOKS * (self.account.poll_every_s or SETTLING_S))
        earliest = datetime.now(UTC) + timedelta(seconds=pause)
        self.log.info("Looking again at %s: %s", at, why)
        self.defer(trigger=DateTimeTrigger(moment=max(at, earliest)), method_name="looked_late")

    def looked_late(self, context: Context, event: Any) -> Any:
        """Begin again: what the cloud was asked for is listed by now."""
        return self.execute(context)

    def wait_for(
        self,
        wait: str,
        subject: Mapping[str, Any],
        method_name: str = "resume",
        within: timedelta | None = None,
    ) -> NoReturn:
        """Defer until ``subject`` satisfies ``wait``; ``method_name`` then gets the event."""
        deadline = datetime.now(UTC) + (within or WAITS[wait].within)
        self.defer(
            trigger=StateTrigger(
                wait=wait,
                subject=dict(subject),
                conn_id=self.conn_id,
                deadline=deadline.isoformat(),
                every_s=self.account.poll_every_s,
                visible_within_s=self.account.visible_within_s,
            ),
            method_name=method_name,
        )

    def read(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return the detail of a wait that is done, or raise what its verdict means."""
        detail: dict[str, Any] = dict(event.get("detail") or {})
        what = f"{event['id']} is {event['state']}"
        match Verdict(event["verdict"]):
            case Verdict.DONE:
                return detail
            case Verdict.FAILED:
                raise ResourceFailedError(
                    f"{what}: {detail['error']}" if "error" in detail else what
                )
            case Verdict.REFUSED:
                raise CloudError(
                    detail["code"],
                    f"{event['id']}: {detail['message']}",
                    request_id=detail["request_id"],
                )
        raise WaitTimeoutError(f"{what} at the deadline; raise it, or look why it is slow")


def as_mapping(field: str, value: Mapping[str, Any] | str) -> dict[str, Any]:
    """Return a templated mapping: a dict as given, or the JSON that a template rendered.

    :raises InvalidInputError: naming the field, for anything else.
    """
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, Mapping):
        raise InvalidInputError(f"{field} is {value!r}; pass a mapping or its JSON")
    return dict(found)
