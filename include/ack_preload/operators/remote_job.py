"""A script on a machine that outlives connections and workers: started, awaited, read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from ack_preload.domain.errors import (
    InvalidInputError,
    PreloadError,
    RemoteJobError,
    ResourceFailedError,
)
from ack_preload.domain.tags import token
from ack_preload.domain.waits import WAITS, Verdict
from ack_preload.hooks.account import ASSISTANT
from ack_preload.hooks.machine import Host, Machine, machine
from ack_preload.hooks.ssh_calls import script_text
from ack_preload.operators.base import CloudOperator
from ack_preload.triggers.remote_job import RemoteJobTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

WAIT = "remote_job"
REFUSALS = frozenset({2, 3, 4})
"""Exit codes by which every script says that another try would end the same way."""
STOPPED = 143
"""The exit code of a job that its owner stopped."""
MOST_STOPS = 3
"""So often a try starts what was stopped again: a machine may send the same signal by itself."""
SHORT = 12
ASSISTANT_EVERY_S = 15.0
"""A look by Cloud Assistant is a command of its own, and an account has so many a day."""


class RemoteJobOperator(CloudOperator):
    """Run one script of ``ack_preload/remote`` on the build instance; return what it reports.

    The script runs detached, under a name that is the same for every try of the task: a try that
    finds it running waits for it, one that finds it done takes its result, and one that finds it
    failed starts it again. It is never started twice at a time.

    :param address: of the machine, as the workers reach it.
    :param instance_id: of the machine, for Cloud Assistant.
    :param host_key: what the machine must identify itself by over SSH; from
        ``PrepareDiskOperator``.
    :param within_m: minutes from now to the deadline; default: that of the wait ``remote_job``.
    """

    script: str
    template_fields: Sequence[str] = (
        "address",
        "instance_id",
        "host_key",
        *CloudOperator.template_fields,
    )

    def __init__(
        self,
        *,
        address: str,
        instance_id: str = "",
        host_key: str = "",
        within_m: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.address = address
        self.instance_id = instance_id
        self.host_key = host_key
        self.within_m = within_m
        self._subject: dict[str, Any] | None = None

    # -- what a subclass says

    def arguments(self, context: Context) -> Sequence[str]:
        return ()

    def stdin(self, context: Context) -> bytes:
        return b""

    def secret(self, context: Context) -> bytes:
        """Return what the script reads from descriptor 3: never in a file of the machine."""
        return b""

    def report(self, context: Context, reported: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the task's result, from the JSON lines that the script wrote to stdout."""
        return reported[-1] if reported else {}

    # -- how it goes

    def execute(self, context: Context) -> dict[str, Any]:
        self._begin(context)

    def _begin(self, context: Context) -> NoReturn:
        if not self.address:
            raise InvalidInputError("address is empty; pass the private_ip of the build instance")
        ti = context["ti"]
        host = Host(self.address, ti.dag_id, ti.run_id, self.host_key, self.instance_id)
        identity = (ti.dag_id, ti.run_id, ti.task_id, ti.map_index)
        job = f"{self.script.removesuffix('.sh')}-{self.client_token(context)[:SHORT]}"
        subject = {
            "job": job,
            "owner": token(*identity, ti.try_number),
            "task_id": ti.task_id,
            "map_index": ti.map_index,
            **host.as_dict(),
        }
        self._subject = subject
        self._start(subject, context)
        self._await(subject)

    def _machine(self, subject: Mapping[str, Any]) -> Machine:
        return machine(Host.from_mapping(subject), self.conn_id)

    def _start(self, subject: Mapping[str, Any], context: Context) -> None:
        arguments, stdin = self.arguments(context), self.stdin(context)
        secret = self.secret(context)
        command = "start_secret" if secret else "start"
        sent = script_text(self.script) + b"\0" + stdin
        digest = hashlib.sha256(sent).hexdigest()
        result = self._machine(subject).run_script(
            "job.sh",
            *(command, subject["job"], subject["owner"], digest, self.script, *arguments),
            stdin=sent,
            secret=secret,
        )
        word = result.checked().stdout.strip()
        self.log.info("%s on %s: %s as %s", self.script, self.address, word, subject["job"])

    def _await(self, subject: Mapping[str, Any]) -> NoReturn:
        within = timedelta(minutes=self.within_m) if self.within_m else WAITS[WAIT].within
        self.defer(
            trigger=RemoteJobTrigger(
                wait=WAIT,
                subject=dict(subject),
                conn_id=self.conn_id,
                deadline=(datetime.now(UTC) + within).isoformat(),
                every_s=self._every_s(),
                visible_within_s=self.account.visible_within_s,
            ),
            method_name="resume",
        )

    def _every_s(self) -> float | None:
        own = self.account.poll_every_s
        return ASSISTANT_EVERY_S if own is None and self.account.transport == ASSISTANT else own

    def resume(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        subject = event["subject"]
        self._subject = subject
        detail = event.get("detail") or {}
        if Verdict(event["verdict"]) is Verdict.FAILED:
            stops = int(subject.get("stops", 0))
            if detail.get("exit_code") == STOPPED and stops < MOST_STOPS:
                # A triggerer that was taken for dead stopped it, but this try is alive.
                self.log.warning("%s was stopped; starting it again", subject["job"])
                self._subject = subject = {**subject, "stops": stops + 1}
                self._start(subject, context)
                self._await(subject)
            raise self._failure(event, detail)
        self.read(event)
        there = self._machine(subject)
        reported = there.run_script("job.sh", "result", subject["job"]).checked().stdout
        return self.report(context, self._lines(reported))

    def _lines(self, reported: str) -> list[dict[str, Any]]:
        try:
            return [json.loads(line) for line in reported.splitlines()]
        except ValueError as exc:
            raise RemoteJobError(
                f"{self.script} on {self.address} reported {reported[-200:]!r}, which is not JSON "
                "lines; clear the task to run it again"
            ) from exc

    def _failure(self, event: Mapping[str, Any], detail: Mapping[str, Any]) -> PreloadError:
        code = detail.get("exit_code")
        how = f"exit code {code}" if code is not None else str(event["state"])
        said = detail.get("error") or "it said nothing"
        message = f"{self.script} on {self.address} ended with {how}: {said}"
        return ResourceFailedError(message) if code in REFUSALS else RemoteJobError(message)

    def on_kill(self) -> None:
        """Stop the script when the task is killed between starting it and waiting for it."""
        if self._subject is None:
            return
        job, owner = self._subject["job"], self._subject["owner"]
        try:
            self._machine(self._subject).run_script("job.sh", "stop", job, owner).checked()
        except PreloadError as exc:  # the teardown releases the machine, and its work with it
            self.log.warning("%s on %s not stopped: %s", job, self.address, exc)
