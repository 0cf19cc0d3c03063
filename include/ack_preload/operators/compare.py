"""Compare the arms of a measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from ack_preload.domain.comparison import BASELINE, PRELOADED, Arm, Comparison
from ack_preload.domain.errors import ResourceFailedError
from ack_preload.hooks.history import open_store, run_of
from ack_preload.operators.base import as_mapping
from ack_preload.store import ComparisonRecord, SampleRecord

if TYPE_CHECKING:
    from airflow.sdk import Context


class CompareOperator(BaseOperator):
    """Compare the samples of this run, keep the comparison, and return it in short.

    :param target: as ``ReadInputsOperator`` returns it.
    :param snapshot_id: what the preloaded arm was made from.
    :raises ResourceFailedError: after keeping it, when a node never got Ready.
    """

    template_fields: Sequence[str] = ("target", "snapshot_id")

    def __init__(self, *, target: Mapping[str, Any] | str, snapshot_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.snapshot_id = snapshot_id

    def execute(self, context: Context) -> dict[str, Any]:
        run, store = run_of(context), open_store()
        samples = store.samples(run)
        comparison = compare(samples)
        store.put_comparison(
            ComparisonRecord(
                dag_id=run.dag_id,
                run_id=run.run_id,
                chain=run.chain,
                target=str(as_mapping("target", self.target)["name"]),
                snapshot_id=self.snapshot_id,
                speedup=comparison.speedup,
                content=comparison.to_dict(),
            )
        )
        self.log.info("%s", comparison)
        lost = [sample for sample in samples if sample.never_ready]
        if lost:
            raise ResourceFailedError(
                f"{len(lost)} of {len(samples)} nodes never got Ready, {lost[0].arm} node "
                f"{lost[0].instance_id or lost[0].number} first ({lost[0].note}); the comparison "
                "is kept and counts them"
            )
        return {
            "n": min(comparison.baseline.n, comparison.preloaded.n),
            "baseline_median_s": comparison.baseline.ready.median,
            "preloaded_median_s": comparison.preloaded.ready.median,
            "speedup": comparison.speedup,
            "workload_speedup": comparison.workload_speedup,
            "caveats": list(comparison.caveats),
        }


def compare(samples: Sequence[SampleRecord]) -> Comparison:
    """Return the comparison of recorded samples, with notes on how they were taken."""
    notes = [f"{_named(sample)}: {sample.note}" for sample in samples if sample.note]
    if pair := overlapping(samples):
        notes.append(f"{_named(pair[0])} and {_named(pair[1])} ran at the same time")
    return Comparison(
        baseline=_arm(BASELINE, samples),
        preloaded=_arm(PRELOADED, samples),
        notes=tuple(notes),
    )


def overlapping(samples: Sequence[SampleRecord]) -> tuple[SampleRecord, SampleRecord] | None:
    """Return two samples that shared the network, as a retried one may with its successor."""
    spans = sorted(
        (
            (datetime.fromisoformat(began), datetime.fromisoformat(ended), number)
            for number, sample in enumerate(samples)
            if all(span := sample.moments.get("span") or ["", ""])
            for began, ended in [span]
        ),
    )
    for (_, ended, first), (began, _, second) in pairwise(spans):
        if began < ended:
            return samples[first], samples[second]
    return None


def _arm(name: str, samples: Sequence[SampleRecord]) -> Arm:
    own = [sample for sample in samples if sample.arm == name]
    ready = [sample for sample in own if not sample.never_ready]
    return Arm(
        name=name,
        ready_latency_s=_known(sample.ready_latency_s for sample in ready),
        never_ready=len(own) - len(ready),
        workload_start_s=_known(sample.workload_start_s for sample in ready),
        pulled_bytes=tuple(sample.pulled_bytes for sample in ready),
    )


def _known(values: Any) -> tuple[float, ...]:
    return tuple(value for value in values if value is not None)


def _named(sample: SampleRecord) -> str:
    return f"{sample.arm} node {sample.number}"
