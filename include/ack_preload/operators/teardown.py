"""What the teardowns of ECS resources share: all that is listed goes, then a last look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ack_preload.domain.errors import PreloadError
from ack_preload.domain.tags import refuse_foreign
from ack_preload.operators.orders import EcsOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

GONE = "gone"
"""XCom of a teardown that looks again: what it has deleted in this try."""


class TeardownOperator(EcsOperator):
    """Delete what the run made; may be run again at any time.

    :ivar makers: ids of the tasks of this run that make what is deleted here.
    """

    makers: Sequence[str] = ()

    def delete_each(
        self, kind: str, found: Mapping[str, Mapping[str, str]], delete: Callable[[str], object]
    ) -> list[str]:
        """Ask for the end of each that is of this installation; return the ids.

        :param found: ids, or names, and tags.
        :raises PreloadError: the first refusal, ours or the cloud's, after all were asked for.
        """
        agreed: list[str] = []
        refusals: list[PreloadError] = []
        for each in sorted(found):
            try:
                refuse_foreign(f"{kind} {each}", found[each], self.installation)
                delete(each)
            except PreloadError as exc:
                self.log.warning("%s %s cannot go: %s", kind, each, exc)
                exc.add_note(f"{kind} {each}")
                refusals.append(exc)
            else:
                self.log.info("%s %s told to go", kind, each)
                agreed.append(each)
        if refusals:
            raise refusals[0]
        return agreed

    def end(self, context: Context, gone: Sequence[str]) -> list[str]:
        """Return all that this try deleted; first look again while more may come to light."""
        ti = context["ti"]
        before = ti.xcom_pull(task_ids=ti.task_id, key=GONE, map_indexes=ti.map_index) or []
        every = list(dict.fromkeys([*before, *gone]))
        if until := self.unsettled_until(context, self.makers):
            ti.xcom_push(key=GONE, value=every)
            self.look_again(until)
        return every
