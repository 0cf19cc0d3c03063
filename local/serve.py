"""The local cloud and Airflow as one program: started by ``make up`` and ``make demo``.

Ends, with everything it started, on SIGTERM, on SIGINT, when one of its components ends, and
with ``--with-stdin`` when its standard input is closed, that is when its starter has gone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
import zlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from local import airflow_home
from local.cloud_files import connections, write_targets
from local.database import close_unfinished
from local.layout import ROOT, Layout, write_private
from local.processes import as_root, free_port
from local.reap import reap
from local.rest import AirflowApi, ApiError
from local.secret_files import USER, Secrets, load_secrets
from local.supervisor import CLOUD, Component, ComponentError, Supervisor, last_lines

PORTS = range(28000, 32000)  # below those that Linux gives to outgoing connections
MIGRATE_WITHIN_S = 180
CLOUD_WITHIN_S = 900  # the first start generates images and packages
AIRFLOW_WITHIN_S = 180
DAGS = (
    "export_image_list",
    "build_preloaded_disk",
    "roll_out_node_pool",
    "measure_ready_latency",
    "nightly_preload",
)
_BIN = ROOT / ".venv/bin"


class LocalRun:
    """What ``python -m local.serve`` does, step by step."""

    def __init__(
        self,
        supervisor: Supervisor,
        machines: str,
        samples: int,
        settings: Sequence[str] = (),
        *,
        airflow: Sequence[str] = (),
        restarts: bool = False,
    ) -> None:
        self.layout = layout = supervisor.layout
        self.supervisor = supervisor
        self.machines = machines
        self.samples = samples
        self.settings = settings
        self.airflow = airflow
        self.restarts = restarts
        self.secrets: Secrets = load_secrets(layout)
        self.ports = airflow_home.Ports(
            api=free_port(preferred_port(layout.home)), logs=free_port()
        )
        self.environment = airflow_home.environment(layout, supervisor.token)
        self.url = f"http://127.0.0.1:{self.ports.api}"

    async def start(self) -> None:
        """Bring everything up.

        :raises ComponentError: naming what failed to start.
        """
        config = airflow_home.write_airflow_config(
            self.layout, self.secrets, self.ports, changes=self.airflow
        )
        self.supervisor.note(step="starting the local cloud and Airflow's database")
        cloud = await self._start_cloud()
        facts, _ = await asyncio.gather(self._cloud_facts(cloud), self._start_airflow(config))
        write_private(self.layout.cloud, json.dumps(facts, indent=1) + "\n")
        write_targets(self.layout.targets, facts, self.samples)
        self.supervisor.note(step="waiting for Airflow")
        api = AirflowApi(self.url, USER, self.secrets.password)
        try:
            await self._until("Airflow", AIRFLOW_WITHIN_S, lambda: _healthy(api))
            # Another program may have taken the port first, and have answered for ours.
            self.supervisor.check()
            api.put_connections(connections(facts))
            self.supervisor.note(step="waiting for the DAGs to be parsed")
            await self._until("the DAGs", AIRFLOW_WITHIN_S, lambda: _parsed(api))
            for dag_id in DAGS:
                api.unpause(dag_id)
        except ApiError as error:
            raise ComponentError(str(error)) from error
        finally:
            api.close()
        # Last, since nothing waits for it: logs of tasks that still run, by HTTP on loopback.
        # Airflow's own would listen on all interfaces, whatever it is told.
        await self._start_airflow_part(
            "task-logs",
            [
                str(_BIN / "uvicorn"),
                "airflow.utils.serve_logs.log_server:get_app",
                *("--factory", "--host", "127.0.0.1", "--port", str(self.ports.logs)),
            ],
        )
        self.supervisor.note(phase="ready", step="", ui=self.url, machines=self.machines)

    async def _start_cloud(self) -> asyncio.subprocess.Process:
        argv = [str(_BIN / "python"), "-m", "emulator", "--port", "0", "--seed", "demo"]
        argv += ["--machines", self.machines, "--state", str(self.layout.emulator(self.machines))]
        argv += [word for assignment in self.settings for word in ("--set", assignment)]
        if self.machines == "real":
            argv = as_root(argv, self.environment)
        return await self.supervisor.start(
            Component(CLOUD, argv, self.environment, reads_stdout=True)
        )

    async def _cloud_facts(self, cloud: asyncio.subprocess.Process) -> dict[str, Any]:
        log = self.supervisor.log_of(CLOUD)
        assert cloud.stdout is not None  # noqa: S101  # it was started with a pipe
        try:
            line = await asyncio.wait_for(cloud.stdout.readline(), CLOUD_WITHIN_S)
            facts: dict[str, Any] = json.loads(line)
            # Nothing more is expected there; whatever comes must not fill the pipe.
            self._drain = asyncio.create_task(cloud.stdout.read())
        except (TimeoutError, ValueError):
            raise ComponentError(
                f"the local cloud did not get ready; the end of {log}:\n{last_lines(log)}"
            ) from None
        return facts

    async def _start_airflow(self, config: Path) -> None:
        await self._migrate(config)
        api_server = ["api-server", "--host", "127.0.0.1", "--port", str(self.ports.api)]
        await self._start_airflow_part("api-server", [str(_BIN / "airflow"), *api_server])
        for name, *options in (
            ("scheduler", "--skip-serve-logs"),
            ("dag-processor",),
            ("triggerer", "--skip-serve-logs"),
        ):
            await self._start_airflow_part(name, [str(_BIN / "airflow"), name, *options])

    async def _migrate(self, config: Path) -> None:
        """Bring the database to this Airflow's schema, unless that was done before."""
        stamp = config.with_name("migrated")
        # requirements.txt pins Airflow and its providers, which bring the migrations.
        wanted = f"{(ROOT / 'requirements.txt').stat().st_mtime_ns}"
        database = config.with_name("airflow.db")
        if database.exists() and stamp.exists() and stamp.read_text() == wanted:
            close_unfinished(database)
            return
        argv = [str(_BIN / "airflow"), "db", "migrate"]
        migrate = Component("db-migrate", argv, self.environment, umask=0o077)
        await self.supervisor.run(migrate, within_s=MIGRATE_WITHIN_S)
        close_unfinished(database)
        stamp.write_text(wanted)

    async def _start_airflow_part(self, name: str, argv: list[str]) -> None:
        component = Component(name, argv, self.environment, umask=0o077, restarts=self.restarts)
        await self.supervisor.start(component)

    async def _until(self, what: str, within_s: float, done: Callable[[], str]) -> None:
        """Poll until ``done`` has nothing left to say.

        :raises ComponentError: with its last word, when the time is over or a component ended.
        """
        deadline = time.monotonic() + within_s
        while missing := await asyncio.to_thread(done):
            self.supervisor.check()
            if time.monotonic() > deadline:
                raise ComponentError(
                    f"{what} did not get ready within {within_s:.0f} s: {missing}; "
                    f"logs are in {self.layout.logs}"
                )
            await asyncio.sleep(0.3)


def preferred_port(home: Path) -> int:
    """Return the same port for the same folder each time, and for two checkouts two."""
    return PORTS[zlib.crc32(str(home).encode()) % len(PORTS)]


def _healthy(api: AirflowApi) -> str:
    wanted = ("metadatabase", "scheduler", "dag_processor", "triggerer")
    health = api.health()
    if not health:
        return "the API server does not answer"
    missing = [f"{name} is {health.get(name)}" for name in wanted if health.get(name) != "healthy"]
    return ", ".join(missing)


def _parsed(api: AirflowApi) -> str:
    if missing := sorted(set(DAGS) - api.dag_ids()):
        if errors := api.import_errors():
            raise ComponentError("DAG files do not import:\n" + "\n".join(errors))
        return f"not parsed yet: {', '.join(missing)}"
    return ""


async def serve(supervisor: Supervisor, options: argparse.Namespace) -> None:
    """Run until told to stop.

    :raises ComponentError: when a component ends by itself or does not get ready.
    """
    async with supervisor:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, supervisor.stopping.set)
        if options.with_stdin:
            loop.add_reader(sys.stdin, _stop_at_end_of_input, supervisor)
        run = LocalRun(
            supervisor,
            options.machines,
            options.samples,
            options.set,
            airflow=options.airflow,
            restarts=options.restart,
        )
        started = asyncio.create_task(run.start())
        await _first(started, supervisor.until_stopped())
        if not supervisor.stopping.is_set():
            await supervisor.until_stopped()


async def _first(started: asyncio.Task[None], stopped: Awaitable[None]) -> None:
    """Wait for the start to end, or for a signal to end it."""
    stop = asyncio.ensure_future(stopped)
    try:
        await asyncio.wait([started, stop], return_when="FIRST_COMPLETED")
        for task in (started, stop):
            if task.done():
                task.result()
    finally:
        for task in (started, stop):
            task.cancel()
        await asyncio.gather(started, stop, return_exceptions=True)


def _stop_at_end_of_input(supervisor: Supervisor) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin)
        supervisor.stopping.set()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.serve", description=__doc__)
    parser.add_argument("--machines", choices=["paper", "real"], required=True)
    parser.add_argument("--samples", type=int, default=3, help="nodes measured in each arm")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--airflow", action="append", default=[], metavar="SECTION.OPTION=VALUE")
    parser.add_argument(
        "--restart", action="store_true", help="start parts of Airflow again that end"
    )
    parser.add_argument("--with-stdin", action="store_true", help="end when stdin is closed")
    options = parser.parse_args()
    layout = Layout.default()
    layout.make()
    supervisor = Supervisor(layout)
    try:
        asyncio.run(serve(supervisor, options))
    except ComponentError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        # In order or not: nothing may be left of the machines.
        for line in reap(layout):
            print(line)
        supervisor.note(reaped=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
