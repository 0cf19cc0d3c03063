"""Airflow's REST API as the demo uses it.

https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx


class ApiError(Exception):
    """Airflow answered with an error, or not at all."""


class AirflowApi:
    """A session with the API server; logs in on first use."""

    def __init__(self, url: str, user: str, password: str, *, timeout_s: float = 120) -> None:
        self._login = {"username": user, "password": password}
        self._client = httpx.Client(base_url=url, timeout=timeout_s, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> dict[str, Any]:
        """Send one request to ``/api/v2`` and return its JSON.

        :raises ApiError: with method, path, status and what the server said.
        """
        if "Authorization" not in self._client.headers:
            token = self._send("POST", "/auth/token", self._login, {})["access_token"]
            self._client.headers["Authorization"] = f"Bearer {token}"
        return self._send(method, f"/api/v2{path}", body, query)

    def health(self) -> dict[str, str]:
        """Return the state of each component, or nothing while the server does not answer."""
        try:
            answer = self._client.get("/api/v2/monitor/health", timeout=5)
            answer.raise_for_status()
            parts: dict[str, dict[str, Any]] = answer.json()
        except (httpx.HTTPError, json.JSONDecodeError):
            return {}
        return {name: str(part.get("status")) for name, part in parts.items()}

    def put_connections(self, connections: list[dict[str, Any]]) -> None:
        """Create the connections, or overwrite those that exist."""
        action = {"action": "create", "action_on_existence": "overwrite", "entities": connections}
        answer = self.call("PATCH", "/connections", {"actions": [action]})
        if errors := answer.get("create", {}).get("errors"):
            raise ApiError(f"connections were not written: {errors}")

    def dag_ids(self) -> set[str]:
        return {dag["dag_id"] for dag in self.call("GET", "/dags", limit=100)["dags"]}

    def import_errors(self) -> list[str]:
        found = self.call("GET", "/importErrors", limit=20)["import_errors"]
        return [f"{error['filename']}: {error['stack_trace']}" for error in found]

    def unpause(self, dag_id: str) -> None:
        self.call("PATCH", f"/dags/{dag_id}", {"is_paused": False}, update_mask="is_paused")

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Start a run and return its id."""
        body = {"conf": conf, "logical_date": None}
        return str(self.call("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        return self.call("GET", f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}")

    def runs_since(self, dag_id: str, moment: str) -> list[dict[str, Any]]:
        path = f"/dags/{dag_id}/dagRuns"
        answer = self.call("GET", path, run_after_gte=moment, order_by="run_after", limit=50)
        runs: list[dict[str, Any]] = answer["dag_runs"]
        return runs

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        found: list[dict[str, Any]] = self.call("GET", path, limit=100)["task_instances"]
        return found

    def _send(self, method: str, path: str, body: Any, query: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = self._client.request(method, path, json=body, params=query)
        except httpx.HTTPError as error:
            raise ApiError(f"{method} {path}: no answer from Airflow: {error}") from error
        if answer.is_error:
            raise ApiError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        result: dict[str, Any] = answer.json() if answer.content else {}
        return result
