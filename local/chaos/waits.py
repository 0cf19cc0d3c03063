"""Kill the triggerer while hundreds of tasks are deferred, and count what that costs.

``python -m local.chaos.waits [--waits 500]``, with its home in ``ACK_PRELOAD_LOCAL``: prints one
JSON object. Exit code 1 when a wait was lost, a call was made twice, or somebody looked too late:
more than ``--intervals`` poll intervals after the start, and twice that until all were looked at.

Everything is the real thing but the cloud: scheduler, API server, task processes, and a triggerer
that is killed with SIGKILL and started again by the supervisor.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ack_preload.domain.waits import WAITS
from local.chaos.kills import pid_of_component, strike
from local.chaos.many_disks import disks_of_running, order_instances, take_snapshot
from local.chaos.metadata import Metadata
from local.chaos.neighbours import Account
from local.cloud_files import connections
from local.layout import Layout
from local.stack import Stack, start_stack

DAG_ID, TASK_IDS, CONN_ID = "wait_for_many", ("make_snapshot", "watch_snapshot"), "chaos_waits"
POLL_EVERY_S = WAITS["snapshot_accomplished"].every.total_seconds()
IN_WORKERS = 0.08
"""The part of the tasks that also make calls of their own, in two processes each."""
WITHIN_S = 600.0
HEALTHY_S = 6
DAGS = Path(__file__).with_name("waits_dag")
LOCAL_BUNDLE = "airflow.dag_processing.bundles.local.LocalDagBundle"
BUNDLES = [
    {"name": "dags-folder", "classpath": LOCAL_BUNDLE, "kwargs": {}},
    {"name": "chaos", "classpath": LOCAL_BUNDLE, "kwargs": {"path": str(DAGS)}},
]
AIRFLOW = (
    # The dead triggerer is known to be dead before the new one has started.
    "triggerer.job_heartbeat_sec=1",
    f"triggerer.triggerer_health_check_threshold={HEALTHY_S}",
    "core.executor=local.chaos.preloaded.PreloadedExecutor",
    "core.parallelism=6",
    "dag_processor.refresh_interval=5",
    f"dag_processor.dag_bundle_config_list={json.dumps(BUNDLES)}",
)
LOOK, OK = "DescribeSnapshots", 200
TRIGGERER = """
SELECT start_date FROM job
WHERE job_type = 'TriggererJob' AND start_date > ? ORDER BY start_date LIMIT 1
"""

Say = Callable[[str], None]


class WaitsError(Exception):
    """The waits did not get as far as this needs them."""


class Waits:
    """Many deferred tasks on a running local Airflow."""

    def __init__(self, stack: Stack, count: int, say: Say) -> None:
        self.count = count
        self._stack = stack
        self._say = say
        self._account = Account(stack.facts)
        self._database = stack.layout.airflow / "airflow.db"
        self._metadata = Metadata(self._database)
        self._log = stack.layout.emulator("paper") / "requests.jsonl"

    def run(self) -> dict[str, Any]:
        """Return the figures, see :func:`run_waits`."""
        api, began = self._stack.api(), time.monotonic()
        order_instances(self._account, DAG_ID, self.count)
        self._until("instances to run", lambda: len(self._disks()) == self.count)
        disks = self._disks()
        own = disks[: max(1, round(self.count * IN_WORKERS))]
        stuck = self._account.arm({"kind": "stuck", "resource": "snapshot", "times": 0})
        watched = [take_snapshot(self._account, DAG_ID, disk) for disk in disks[len(own) :]]
        self._log_begins = self._log.stat().st_size
        api.put_connections([self._connection()])
        self._until("the DAG to be parsed", lambda: DAG_ID in api.dag_ids() or api.import_errors())
        if errors := api.import_errors():
            raise WaitsError("\n".join(errors))
        api.unpause(DAG_ID)
        run_id = api.trigger(DAG_ID, {"disks": own, "snapshots": watched})
        self._until(f"{self.count} tasks to be deferred", lambda: self._in("deferred"))
        self._until("all of them to be looked at", lambda: self._seen_since(""))
        killed = self._kill_triggerer()
        started: list[str] = []
        self._until("another triggerer", lambda: started or self._note_start(started, killed))
        self._until("all to be looked at again", lambda: self._seen_since(killed))
        looks = list(self._looks(killed))
        first, last = complete(looks, 1), complete(looks, self.count)
        self._account.disarm(stuck)
        self._until("the run to end", lambda: api.run(DAG_ID, run_id)["state"] != "running")
        return {
            "waits": self.count,
            "with_calls": len(own),
            "lost": self.count - self._number("success"),
            "duplicate_calls": self._duplicates(),
            "first_poll_after_s": round(seconds_between(started[0], first), 1),
            "last_poll_after_s": round(seconds_between(started[0], last), 1),
            "poll_interval_s": POLL_EVERY_S,
            "polls": len(looks),
            "started_after_s": round(seconds_between(killed, started[0]), 1),
            "seconds": round(time.monotonic() - began, 1),
        }

    def _disks(self) -> list[str]:
        return disks_of_running(self._account, DAG_ID, self.count)

    def _connection(self) -> dict[str, Any]:
        """Return the run's own connection with another name and the pace of a real account."""
        (own,) = (
            each for each in connections(self._stack.facts) if each["conn_type"] == "alibaba_cloud"
        )
        extra = json.loads(own["extra"]) | {
            "poll_every_s": None,
            "calls_per_s": 10,
            "installation": "waits",
        }
        return own | {"connection_id": CONN_ID, "extra": json.dumps(extra)}

    def _kill_triggerer(self) -> str:
        pid, killed = pid_of_component(self._stack.state["components"], "triggerer"), now()
        if not strike(pid):
            raise WaitsError("there was no triggerer to kill")
        self._say(f"triggerer {pid} killed with {self.count} tasks deferred")
        return killed

    def _note_start(self, started: list[str], killed: str) -> bool:
        """Note when the triggerer started that came after that moment, once there is one."""
        with closing(sqlite3.connect(self._database, timeout=60)) as connection:
            found = connection.execute(TRIGGERER, (killed.replace("T", " "),)).fetchone() or ()
        started += [f"{each.replace(' ', 'T')}Z" for each in found]
        return bool(started)

    def _in(self, state: str) -> bool:
        """Tell whether all tasks are in a state.

        :raises WaitsError: when one failed: nothing good can come of the rest.
        """
        if failed := self._number("failed"):
            raise WaitsError(f"{failed} tasks failed; see the logs of Airflow")
        return self._number(state) == self.count

    def _number(self, state: str) -> int:
        rows = self._metadata.rows()
        return sum(row.task_id in TASK_IDS and row.state == state for row in rows)

    def _looks(self, since: str) -> Iterator[dict[str, Any]]:
        return (
            entry for entry in self._calls() if entry["action"] == LOOK and entry["time"] > since
        )

    def _seen_since(self, moment: str) -> str:
        """Return when each snapshot had been looked at after that moment; "" for not yet."""
        return complete(self._looks(moment), self.count)

    def _calls(self) -> Iterator[dict[str, Any]]:
        with self._log.open("rb") as file:
            file.seek(self._log_begins)
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def _duplicates(self) -> int:
        """Count the calls of tasks that changed what another had changed already."""
        made = Counter(
            (entry["action"], entry["query"].get("ClientToken") or entry["query"]["ResourceId.1"])
            for entry in self._calls()
            if entry["action"] in ("CreateSnapshot", "TagResources")
        )
        of_disks = Counter(
            entry["query"]["DiskId"]
            for entry in self._calls()
            if entry["action"] == "CreateSnapshot"
        )
        return sum(number - 1 for counted in (made, of_disks) for number in counted.values())

    def _until(self, what: str, met: Callable[[], object]) -> None:
        self._say(f"waiting for {what}")
        deadline = time.monotonic() + WITHIN_S
        while not met():
            if time.monotonic() > deadline or not self._stack.alive():
                raise WaitsError(f"waited for {what} in vain; see {self._stack.layout.logs}")
            time.sleep(0.25)


def now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def seconds_between(first: str, last: str) -> float:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def complete(looks: Iterable[Mapping[str, Any]], count: int) -> str:
    """Return the time of the answered look by which so many had been looked at, or nothing."""
    seen: set[str] = set()
    for entry in looks:
        seen.update(json.loads(entry["query"]["SnapshotIds"]) if entry["status"] == OK else ())
        if len(seen) >= count:
            return str(entry["time"])
    return ""


def run_waits(layout: Layout, *, waits: int = 500, say: Say = lambda _: None) -> dict[str, Any]:
    """Start a local Airflow, defer so many tasks, kill its triggerer, and let all of it end.

    ``with_calls``: how many of the tasks also make a snapshot before they wait, and tag it after.
    ``lost``: tasks that did not end well. ``duplicate_calls``: those that change something and were
    sent twice. ``first_poll_after_s`` and ``last_poll_after_s``: from when the new triggerer says
    that it started, before it loads anything, to its first look, and to the one by which each wait
    had been looked at, after so many ``polls``. ``started_after_s`` counts from the kill.

    :raises WaitsError: when it does not get that far.
    """
    options = ["--restart", *(word for change in AIRFLOW for word in ("--airflow", change))]
    stack = start_stack(layout, "paper", samples=1, stay=False, options=options)
    try:
        stack.wait_ready(say)
        return Waits(stack, waits, say).run()
    finally:
        stack.stop()


def is_good(figures: dict[str, Any], intervals: float = 1.0) -> bool:
    """Tell whether nothing was lost, doubled or late.

    :param intervals: so many poll intervals until the first look, and as many again to the last.
    """
    most = intervals * figures["poll_interval_s"]
    is_first_in_time = figures["first_poll_after_s"] <= most
    is_last_in_time = figures["last_poll_after_s"] <= 2 * most
    is_whole = not figures["lost"] and not figures["duplicate_calls"]
    return is_whole and is_first_in_time and is_last_in_time


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.chaos.waits", description=__doc__)
    parser.add_argument("--waits", type=int, default=500)
    parser.add_argument("--intervals", type=float, default=1.0, help="to the first look, at most")
    options = parser.parse_args(arguments)
    say: Say = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731
    figures = run_waits(Layout.default(), waits=options.waits, say=say)
    print(json.dumps({**figures, "allowed_intervals": options.intervals}))
    return 0 if is_good(figures, options.intervals) else 1


if __name__ == "__main__":
    raise SystemExit(main())
