"""Secrets that a night on a real Airflow works with, and all that somebody may read of it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ack_preload.hooks.account import Account
from ack_preload.hooks.ack import AckHook
from ack_preload.hooks.run_key import run_key
from local.cloud_files import connections
from local.secret_files import load_secrets
from tests.dags.airflow_world import World
from tests.process_watch import ProcessWatch, looking
from tests.secrets_search import Marker, Place, columns, files

BUILD = "build_preloaded_disk"
REGISTRY_CONN_ID = "team_registry"
SMALL = 1 << 20
"""Bytes of a machine's file that are kept; scripts, logs and keys are far smaller."""


@dataclass
class Planted:
    """The secrets of this world, and what was seen of its processes and machines meanwhile."""

    world: World
    ssh_seed: str = field(default_factory=lambda: f"seed-{secrets.token_urlsafe(24)}", repr=False)
    machine_files: dict[str, set[bytes]] = field(default_factory=dict)
    _known: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.processes = ProcessWatch(str(self.world.stack.layout.home))

    def plant(self) -> None:
        """Give the account a seed of its own, and the target an image behind a login."""
        facts = self.world.facts
        account, machines = connections(facts)
        account["extra"] = json.dumps({**json.loads(account["extra"]), "ssh_secret": self.ssh_seed})
        registry = {
            "connection_id": REGISTRY_CONN_ID,
            "conn_type": "generic",
            "host": facts["private_registry"],
            "login": facts["registry_username"],
            "password": facts["registry_password"],
        }
        self.world.api.put_connections([account, machines, registry])
        path = self.world.stack.layout.targets
        whole = yaml.safe_load(path.read_text())
        (target,) = whole["targets"]
        target["workload_images"].append(facts["private_image"])
        target["registry_conn_ids"] = [REGISTRY_CONN_ID]
        path.write_text(yaml.safe_dump(whole))

    # -- the secrets

    def markers(self, build_run: str) -> list[Marker]:
        """Return every secret of a night whose build is that run."""
        facts = self.world.facts
        account = Account("any", "any", ssh_seed=self.ssh_seed)
        nodes = Path(facts["ssh_private_key_file"]).read_text()
        registry = f"{facts['registry_username']}:{facts['registry_password']}"
        airflow = load_secrets(self.world.stack.layout)
        return [
            Marker.of("Fernet key", airflow.fernet_key),
            Marker.of("JWT secret", airflow.jwt_secret),
            Marker.of("password of the UI", airflow.password),
            Marker.of("AccessKey secret", facts["access_key_secret"]),
            Marker.of("registry password", facts["registry_password"]),
            Marker.of("registry authorization", registry),
            Marker.of("SSH secret", self.ssh_seed),
            Marker.of_key("key of the build", run_key(account, BUILD, build_run).private),
            Marker.of_key("key of the nodes", nodes),
            Marker.of("token of the kubeconfig", self._kubeconfig_token()),
        ]

    def _kubeconfig_token(self) -> str:
        facts = self.world.facts
        account = Account(
            "any",
            facts["region_id"],
            facts["access_key_id"],
            facts["access_key_secret"],
            cs_endpoint=facts["cs_endpoint"],
            protocol="http",
        )
        text = AckHook("any", account=account).kubeconfig(facts["cluster_id"])
        token: str = yaml.safe_load(text)["users"][0]["user"]["token"]
        return token

    # -- what could be read while it ran

    def watched(self) -> contextlib.AbstractContextManager[None]:
        """Look at processes and machines until the block ends."""
        return looking(self.processes.look, self._look_at_machines)

    def _look_at_machines(self) -> None:
        """Keep what is on the system disks of machines, which are gone with them."""
        machines = self.world.stack.layout.emulator("paper") / "paper" / "machines"
        for where, _, names in os.walk(machines):
            for name in names:
                path = Path(where, name)
                with contextlib.suppress(OSError):
                    self._keep(path, path.lstat())

    def _keep(self, path: Path, status: os.stat_result) -> None:
        state = (status.st_mtime_ns, status.st_size)
        is_new = self._known.get(str(path)) != state
        if is_new and stat.S_ISREG(status.st_mode) and status.st_size < SMALL:
            self._known[str(path)] = state
            self.machine_files.setdefault(str(path), set()).add(path.read_bytes())

    # -- all that somebody may read

    def places(self) -> Iterator[Place]:
        layout, api = self.world.stack.layout, self.world.api
        state = layout.emulator("paper")
        yield from files("Airflow's log", layout.airflow / "logs")
        yield from files("component's log", layout.logs)
        yield from columns("metadata database", layout.airflow / "airflow.db")
        yield from columns("history", layout.airflow / "ack_preload.db")
        yield from files("request log", state / "requests.jsonl")
        yield from files("disk", state / "paper" / "disks")
        yield from files("snapshot", state / "paper" / "snapshots")
        yield from self.processes.places()
        for path, seen in self.machine_files.items():
            yield Place("machine", path, lambda seen=seen: list(seen))  # type: ignore[misc]  # bound now
        for each in self.world.resources():
            yield Place.of_text("tags", f"{each['kind']} {each['id']}", json.dumps(each))
        for path in self._answers():
            yield Place.of_text("REST", path, json.dumps(api.call("GET", path)))
        # All the rest of the folder, and the databases once more as the files that they are.
        yield from files("file", layout.home)

    def _answers(self) -> Iterator[str]:
        yield "/connections"
        for found in self.world.api.call("GET", "/connections")["connections"]:
            yield f"/connections/{found['connection_id']}"
        yield f"/dags/{BUILD}/dagRuns/~/taskInstances/~/xcomEntries"
