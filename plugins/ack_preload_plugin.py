"""The Airflow plugin: links from a task to what it made, in the ECS and ACK consoles."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from ack_preload.operators.links import CONSOLE_LINKS


class AckPreloadPlugin(AirflowPlugin):
    name = "ack_preload"
    operator_extra_links = list(CONSOLE_LINKS)
