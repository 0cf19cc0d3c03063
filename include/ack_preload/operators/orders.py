"""Have the cloud make one thing, with one token and the same words on every try.

What a task asks for is kept in its state store, which outlives tries, workers and clears: a try
that starts after midnight, or with another expiry, still asks in the words of the first. ECS
knows the token and answers with what it made; with other words it would refuse.

A new *generation*, so a new token, begins when the old one leads nowhere: the task was cleared on
purpose, the thing failed, or it is gone (a spot instance taken back, an expired one released).
``max_tries`` alone would not do. Airflow raises it on a clear, from the tries so far and the
task's ``retries``; but not when a running task is cleared, when the DAG cannot be found just then,
or when ``retries`` was lowered in between by as many tries as there were.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, cast

from ack_preload.domain.errors import CloudError, ResourceFailedError
from ack_preload.domain.tags import EARLIEST_RELEASE, Ownership
from ack_preload.hooks.ecs import EcsHook
from ack_preload.operators.base import CloudOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

ORDER = "order"
"""Key of the task's state store."""
OTHER_WORDS = "IdempotentParameterMismatch"
ASKED = "asked"
"""XCom: the id that this try was given, and that is not listed yet."""
LOOK_EVERY_S = 5.0
ON_THE_WAY = timedelta(minutes=1)


class EcsOperator(CloudOperator):
    @cached_property
    def hook(self) -> EcsHook:
        return EcsHook(self.conn_id, account=self.account)


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for.

    :ivar attempt: what a deliberate clear changes, see :meth:`CloudOperator.client_token`.
    :ivar expires: of the thing; the only word that would else depend on the time of the try.
    :ivar sent: when it was last asked for, or answered; "" before the first time.
    :ivar answer: the id that the cloud gave.
    :ivar is_over: what was made failed, or the cloud takes the token for something else.
    """

    attempt: int
    generation: int
    expires: str
    sent: str = ""
    answer: str = ""
    is_over: bool = False


class OrderingOperator(EcsOperator):
    """Ask the cloud for one thing of this run, however many tries it takes.

    :ivar needs: codes by which the cloud says that it does not know what this one is made of.
    :ivar makers: ids of the tasks of this run that made that, maybe just now.
    """

    needs: frozenset[str] = frozenset()
    makers: Sequence[str] = ()

    @abstractmethod
    def alive(self, context: Context) -> Sequence[str]:
        """Return the ids of what this run has made already and can go on with."""

    @abstractmethod
    def is_listed(self, resource_id: str, *, is_alive: bool) -> bool:
        """Tell whether the cloud lists it.

        :param is_alive: in a state that can be gone on with.
        """

    @abstractmethod
    def ask(self, context: Context, owner: Ownership, salt: str) -> str:
        """Send the call that makes it, and return its id.

        :param salt: to be a part of the client token.
        """

    def obtain(self, context: Context, target: Mapping[str, Any]) -> str:
        """Return the id of the one thing: of an earlier try, or new."""
        self.about_to_create(context)
        if alive := sorted(self.alive(context)):
            self.log.info("%s of an earlier try found", ", ".join(alive))
            return alive[0]
        order = self._order(context, target)
        is_repeated = bool(order.sent)
        if self._is_shown_now(context, order):
            return order.answer
        self._note_each_sending(context, order)
        owner = replace(
            self.ownership(context, target), expires=datetime.fromisoformat(order.expires)
        )
        try:
            answer = self.ask(context, owner, str(order.generation))
        except CloudError as exc:
            if exc.code == OTHER_WORDS:
                # Somebody with our name asked first, and may have been given one: another version
                # of us, or a run of this id that was deleted, with its store.
                over = replace(order, sent=_now().isoformat(), answer="", is_over=True)
                self._keep(context, over)
                if self.is_first_time(context, OTHER_WORDS):
                    self.look_again(_now() + self._visible_within, "asked for in other words")
            if exc.code in self.needs:
                self._wait_for_needs(context)
            raise
        order = replace(order, sent=_now().isoformat(), answer=answer)
        self._keep(context, order)
        if is_repeated and not self.is_listed(answer, is_alive=True):
            # Not shown yet, or made by an earlier try and gone since.
            self.look_again(_now() + self._visible_within)
        if not self.is_listed(answer, is_alive=False):
            # Not shown yet, or made by a deleted run of this id and gone since.
            context["ti"].xcom_push(key=ASKED, value=answer)
            self._look_soon(order)
        return answer

    def _is_shown_now(self, context: Context, order: Order) -> bool:
        """Tell whether what this very try was given is listed; look again while it may be."""
        ti = context["ti"]
        asked = ti.xcom_pull(task_ids=ti.task_id, key=ASKED, map_indexes=ti.map_index)
        if not order.answer or order.answer != asked:
            return False
        if not self.is_listed(order.answer, is_alive=False):
            self._look_soon(order)
        return True

    def _look_soon(self, order: Order) -> NoReturn:
        """Look every few seconds until it is listed, or should have been."""
        every = timedelta(seconds=self.account.poll_every_s or LOOK_EVERY_S)
        settled = datetime.fromisoformat(order.sent) + self._visible_within
        self.look_again(min(settled, _now() + every))

    def read_made(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Read the verdict on what was made; what failed is never asked for again."""
        try:
            return self.read(event)
        except ResourceFailedError:
            kept = self._kept(context)
            if kept is not None and kept.answer in ("", str(event["id"])):
                self._keep(context, replace(kept, is_over=True))
            raise

    def _order(self, context: Context, target: Mapping[str, Any]) -> Order:
        """Return what to ask for, now that nothing alive is listed."""
        attempt, kept = context["ti"].max_tries, self._kept(context)
        if kept is not None and kept.attempt == attempt and self._may_be_sent(kept):
            return kept
        has_failed = kept is not None and kept.is_over and bool(kept.answer)
        if kept is not None and not has_failed and not self._is_settled(kept):
            self.look_again(datetime.fromisoformat(kept.sent) + self._visible_within)
        return Order(
            attempt=attempt,
            generation=kept.generation + 1 if kept else 0,
            expires=self.expires(context, target).isoformat(),
        )

    def _may_be_sent(self, kept: Order) -> bool:
        is_gone = bool(kept.answer) and self._is_settled(kept)
        is_too_late = datetime.fromisoformat(kept.expires) < _now() + EARLIEST_RELEASE + ON_THE_WAY
        return not (kept.is_over or is_gone or is_too_late)

    def _is_settled(self, kept: Order) -> bool:
        """Tell whether what was asked for would be listed by now."""
        if not kept.sent:
            return True
        return datetime.fromisoformat(kept.sent) + self._visible_within <= _now()

    def _wait_for_needs(self, context: Context) -> None:
        """Look again soon, while what is not found may be on its way to be known everywhere."""
        others = [each for each in self.makers if each != self.task_id]
        if until := self.unsettled_until(context, others):
            every = timedelta(seconds=self.account.poll_every_s or LOOK_EVERY_S)
            self.look_again(min(until, _now() + every))

    def _note_each_sending(self, context: Context, order: Order) -> None:
        note = self.hook.before_create

        def before() -> None:
            self._keep(context, replace(order, sent=_now().isoformat()))
            note()

        self.hook.before_create = before

    @property
    def _visible_within(self) -> timedelta:
        return timedelta(seconds=self.account.visible_within_s)

    def _kept(self, context: Context) -> Order | None:
        found = context["task_state_store"].get(ORDER)
        return Order(**cast("dict[str, Any]", found)) if found else None

    def _keep(self, context: Context, order: Order) -> None:
        context["task_state_store"].set(ORDER, asdict(order))


def _now() -> datetime:
    return datetime.now(UTC)
