"""Measure created -> Ready and the start of a workload Pod, one node at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from ack_preload.domain.comparison import BASELINE, PRELOADED
from ack_preload.domain.errors import InvalidInputError, ResourceFailedError, WaitTimeoutError
from ack_preload.domain.tags import token
from ack_preload.domain.waits import Verdict
from ack_preload.domain.workload import workload_pod
from ack_preload.hooks.history import open_store, run_of
from ack_preload.hooks.kube import KubeHook
from ack_preload.operators.base import CloudOperator, as_mapping
from ack_preload.operators.pool_changes import AckOperator
from ack_preload.operators.sample import Sample
from ack_preload.triggers.kube import UNREACHABLE

if TYPE_CHECKING:
    from airflow.sdk import Context

MOST_SAMPLES = 20
SO_FAR = "so_far"  # XCom of the sample in progress: it outlives each deferral
# What the trigger says when no look succeeded: then nothing is known of the node.
BLIND = ("unknown", UNREACHABLE)


class PlanSamplesOperator(CloudOperator):
    """Return the samples in the order in which they are taken: A, B, A, B.

    Interleaved, so that the time of day and the load of the cloud hit both arms alike.

    :param samples: nodes in each arm, 1 to 20; 0 takes the target's own number.
    """

    template_fields: Sequence[str] = ("target", "samples", "baseline_pool", "preloaded_pool")

    def __init__(
        self,
        *,
        target: Mapping[str, Any] | str,
        samples: int | str,
        baseline_pool: str,
        preloaded_pool: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.samples = samples
        self.baseline_pool = baseline_pool
        self.preloaded_pool = preloaded_pool

    def execute(self, context: Context) -> list[dict[str, Any]]:
        target = as_mapping("target", self.target)
        samples = int(self.samples) or int(target["measure"]["samples"])
        if not 1 <= samples <= MOST_SAMPLES:
            raise InvalidInputError(f"samples is {samples}; use 1 to {MOST_SAMPLES}")
        pools = {BASELINE: self.baseline_pool, PRELOADED: self.preloaded_pool}
        return [
            {"arm": arm, "number": number, "node_pool_id": pool}
            for number in range(samples)
            for arm, pool in pools.items()
        ]


class MeasureSampleOperator(AckOperator):
    """Take one sample: one new node, its way to Ready, one workload Pod, and away with both.

    A node that does not get Ready in time is a result (``never_ready``), not an error: it is
    recorded and removed, and the next sample runs. What keeps us from knowing is an error: a
    Kubernetes API that gives no answer, or a Pod that cannot start.

    A sample is taken once. A later try that finds it recorded only empties the pool; one that was
    cleared takes it anew.

    :param target: as ``ReadInputsOperator`` returns it.
    :param sample: ``{"arm", "number", "node_pool_id"}``; the pool is used by no one else.
    """

    template_fields: Sequence[str] = ("target", "sample", "conn_id")

    def __init__(
        self, *, target: Mapping[str, Any] | str, sample: Mapping[str, Any] | str, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.sample = sample

    def execute(self, context: Context) -> None:
        """Check that the pool is empty and that Kubernetes answers, before a node is paid for."""
        self._read_fields()
        name = self._pod_name(context)

        async def clean(kube: KubeHook) -> None:
            self.log.info("Kubernetes %s answers", await kube.version())
            await kube.delete_pod(self.namespace, name)

        KubeHook.ask(self.conn_id, self.cluster_id, clean)
        pool = self.hook.node_pool(self.cluster_id, self.pool_id)
        if pool is None:
            raise ResourceFailedError(f"node pool {self.pool_id} is gone; run the DAG again")
        if taken := self._taken(context):
            self.log.info("%s sample %s was taken by an earlier try", self.arm, self.number)
            self._keep(context, taken)
            self._settle()
        if pool.desired_size or pool.total_nodes:
            self.log.info("Node pool %s holds nodes of an earlier try", self.pool_id)
            self._empty_pool("node_pool_is_empty")
        self._create_node(context)

    def node_pool_is_empty(self, context: Context, event: Mapping[str, Any]) -> None:
        self._read_fields()
        self.read(event)
        self._create_node(context)

    def _create_node(self, context: Context) -> NoReturn:
        began = datetime.now(UTC)
        self._ask_for_nodes(1)
        sample = Sample(self.arm, self.number, began=began, requested=datetime.now(UTC))
        self._keep(context, sample)
        self.log.info("%s node %s requested in %s", self.arm, self.number, self.pool_id)
        within = timedelta(seconds=self.measure["ready_within_s"])
        self.wait_for("node_ready", self._pool(), "node_is_ready", within=within)

    def node_is_ready(self, context: Context, event: Mapping[str, Any]) -> None:
        self._read_fields()
        sample, detail = self._kept(context), event.get("detail") or {}
        match Verdict(event["verdict"]):
            case Verdict.DONE:
                self._start_workload(context, sample.with_node(detail))
            case Verdict.PENDING if not str(event["state"]).startswith(BLIND):
                within = self.measure["ready_within_s"]
                why = f"{event['state']} after {within} s"
                self._give_up(context, sample.without_node(why, detail))
            case Verdict.FAILED if event["state"] != "unwatchable":
                self._give_up(context, sample.without_node(str(event["state"]), detail))
            case Verdict.PENDING:
                raise WaitTimeoutError(
                    f"node of pool {self.pool_id} is unknown at the deadline: "
                    f"{detail.get('error', event['state'])}"
                )
            case _:
                self.read(event)

    def _give_up(self, context: Context, sample: Sample) -> NoReturn:
        self.log.warning("%s node %s never got Ready: %s", self.arm, self.number, sample.note)
        self._record(context, sample.taken_in(context["ti"].max_tries))
        self._settle()

    def _start_workload(self, context: Context, sample: Sample) -> NoReturn:
        self.log.info("Created -> Ready: %s", sample.timeline.ready_latency)
        pod = workload_pod(self._pod_name(context), self.pool_id, self.fields)
        KubeHook.ask(
            self.conn_id, self.cluster_id, lambda kube: kube.create_pod(self.namespace, pod)
        )
        self._keep(context, sample)
        subject = {
            "cluster_id": self.cluster_id,
            "namespace": self.namespace,
            "pod": pod["metadata"]["name"],
        }
        within = timedelta(seconds=self.measure["running_within_s"])
        self.wait_for("pod_running", subject, "workload_runs", within=within)

    def workload_runs(self, context: Context, event: Mapping[str, Any]) -> NoReturn:
        self._read_fields()
        sample, detail = self._kept(context), event.get("detail") or {}
        name, node = self._pod_name(context), sample.node_name
        done = Verdict(event["verdict"]) is Verdict.DONE
        if done:
            sample = sample.with_workload(detail)

        async def look_and_clean(kube: KubeHook) -> Sample:
            pulled = await kube.events_of_node(node, "Pulled")
            ready = await kube.events_of_node(node, "NodeReady")
            await kube.delete_pod(self.namespace, name)
            return sample.with_events(pulled, ready)

        sample = KubeHook.ask(self.conn_id, self.cluster_id, look_and_clean)
        if not done:
            why = detail.get("error") or detail.get("why") or ""
            sample = sample.noted(f"Pod {name} is {event['state']}: {why}")
            self._record(context, sample)
            raise ResourceFailedError(
                f"Pod {name} on node {node} is {event['state']} and does not run: {why}; "
                f"check {self.measure['workload_image']} and the registry's answer"
            )
        self.log.info("Workload: %s; pulled %s bytes", sample.workload_text, sample.pulled_bytes)
        self._record(context, sample.taken_in(context["ti"].max_tries))
        self._settle()

    def _settle(self) -> NoReturn:
        """Let ACK finish what it does: while the pool scales it refuses the next change."""
        self.wait_for("node_pool_active", self._pool(), "node_pool_is_settled")

    def node_pool_is_settled(self, context: Context, event: Mapping[str, Any]) -> NoReturn:
        self._read_fields()
        self.read(event)
        self._empty_pool("node_is_gone", again="node_pool_is_free")

    def node_pool_is_free(self, context: Context, event: Mapping[str, Any]) -> NoReturn:
        """Empty the pool once it takes changes again: the sample itself is taken."""
        self._read_fields()
        self.settled(event)
        self._empty_pool("node_is_gone", again="node_pool_is_free")

    def _empty_pool(self, method_name: str, again: str = "begin_again") -> NoReturn:
        self._ask_for_nodes(0, again)
        self.wait_for("nodes_gone", {**self._pool(), "count": 0}, method_name)

    def node_is_gone(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        self._read_fields()
        self.read(event)
        sample = self._kept(context).ended_at(datetime.now(UTC))
        self._record(context, sample)
        return sample.summary()

    def _ask_for_nodes(self, count: int, again: str = "begin_again") -> None:
        """Set the size of the pool; one that is busy is waited for, and then ``again`` goes on."""
        pool = self.cluster_id, self.pool_id
        self.change(*pool, lambda: self.hook.set_desired_size(*pool, count), again)

    # -- what the fields say, and the sample between two deferrals

    def _read_fields(self) -> None:
        self.fields = as_mapping("target", self.target)
        chosen = as_mapping("sample", self.sample)
        self.arm, self.number = str(chosen["arm"]), int(chosen["number"])
        self.pool_id = str(chosen["node_pool_id"])
        self.cluster_id = str(self.fields["cluster_id"])
        self.measure = self.fields["measure"]
        self.namespace = self.measure["namespace"]

    def _pool(self) -> dict[str, Any]:
        return {"cluster_id": self.cluster_id, "node_pool_id": self.pool_id}

    def _pod_name(self, context: Context) -> str:
        """Return a name that every try has in common: the next one deletes what this one left."""
        ti = context["ti"]
        run = (self.installation, ti.dag_id, ti.run_id)
        return f"ack-preload-{token(*run, self.arm, self.number)[:16]}"

    def _keep(self, context: Context, sample: Sample) -> None:
        context["ti"].xcom_push(key=SO_FAR, value=sample.to_dict())

    def _kept(self, context: Context) -> Sample:
        ti = context["ti"]
        found = ti.xcom_pull(task_ids=ti.task_id, key=SO_FAR, map_indexes=ti.map_index)
        return Sample.from_dict(found)

    def _taken(self, context: Context) -> Sample | None:
        """Return the sample as an earlier try of this task recorded it whole."""
        mine = self.arm, self.number
        found = [s for s in open_store().samples(run_of(context)) if (s.arm, s.number) == mine]
        sample = Sample.from_record(found[0]) if found else None
        return sample if sample and sample.taken == context["ti"].max_tries else None

    def _record(self, context: Context, sample: Sample) -> None:
        self._keep(context, sample)
        record = sample.record(run_of(context), self.fields["name"], self.pool_id)
        open_store().put_sample(record)
