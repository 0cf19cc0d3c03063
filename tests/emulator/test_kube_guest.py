"""The pure parts of what runs in a machine: texts, statuses, tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from emulator.guest.crictl_table import age, human_size, image_rows, sort_key, table
from emulator.guest.node_objects import NodeFacts, node_conditions, node_object
from emulator.guest.objects import event_object, go_duration, must_pull, node_reference, pulled_text
from emulator.guest.pod_config import container_config, sandbox_config
from emulator.guest.pod_status import RUNNING, TERMINATED, ContainerState, phase_of, pod_status
from emulator.kube.tables import human_duration

NOW = datetime(2026, 1, 1, 12, 0, 0, 987654, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0004, "0s"),
        (0.0875, "87ms"),
        (1.2345, "1.234s"),
        (2.5, "2.5s"),
        (10, "10s"),
        (62.5, "1m2.5s"),
        (3600, "1h0m0s"),
    ],
)
def test_spans_read_as_go_prints_them(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-0.5, "0s"),
        (119, "119s"),
        (120, "2m"),
        (187, "3m7s"),
        (720, "12m"),
        (3 * 3600 + 120, "3h2m"),
        (30 * 3600, "30h"),
        (50 * 3600, "2d2h"),
        (10 * 86400, "10d"),
        (3 * 365 * 86400, "3y"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_ages_read_as_kubectl_prints_them(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_the_pulled_message_is_the_kubelets() -> None:
    assert pulled_text("r/a:1", 1.2345, 678) == (
        'Successfully pulled image "r/a:1" in 1.234s (1.234s including waiting).'
        " Image size: 678 bytes."
    )


@pytest.mark.parametrize(
    ("policy", "present", "pulls"),
    [
        ("Always", True, True),
        ("IfNotPresent", True, False),
        ("IfNotPresent", False, True),
        ("Never", False, False),
    ],
)
def test_the_pull_policy_decides(policy: str, *, present: bool, pulls: bool) -> None:
    assert must_pull(policy, present=present) is pulls


def test_events_of_one_moment_have_names_of_their_own() -> None:
    events = [event_object(node_reference("n"), "Normal", "A", "", now=NOW) for _ in range(5)]
    assert len({event["metadata"]["name"] for event in events}) == 5


def test_a_node_has_its_pool_its_provider_and_its_address() -> None:
    facts = NodeFacts("cn-hangzhou.198.18.0.11", "i-7", "np1", "1.32.1-aliyun.1", "1.6.20")
    node = node_object(facts, node_conditions("", NOW))
    assert node["spec"]["providerID"] == "cn-hangzhou.i-7"
    assert node["metadata"]["labels"]["alibabacloud.com/nodepool-id"] == "np1"
    assert node["status"]["addresses"][0] == {"type": "InternalIP", "address": "198.18.0.11"}
    assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.32.1-aliyun.1"


def ready_of(conditions: list[dict[str, Any]]) -> dict[str, Any]:
    return next(each for each in conditions if each["type"] == "Ready")


def test_a_condition_keeps_the_time_of_its_transition_until_it_turns() -> None:
    first = node_conditions("no images", NOW)
    later = node_conditions("no images", NOW + timedelta(seconds=5), first)
    turned = node_conditions("", NOW + timedelta(seconds=9), later)
    assert ready_of(later)["lastTransitionTime"] == "2026-01-01T12:00:00Z"
    assert ready_of(later)["lastHeartbeatTime"] == "2026-01-01T12:00:05Z"
    assert ready_of(turned)["lastTransitionTime"] == "2026-01-01T12:00:09Z"


def state(kind: str, code: int = 0, *, ended_before: bool = False) -> ContainerState:
    end = {"exitCode": code} if ended_before else None
    return ContainerState("c", "r/a:1", kind, exit_code=code, last_end=end)


@pytest.mark.parametrize(
    ("policy", "states", "phase"),
    [
        ("Always", [state("waiting")], "Pending"),
        ("Always", [state(RUNNING)], "Running"),
        ("Always", [state(TERMINATED, 1)], "Running"),
        ("Always", [state("waiting", 1, ended_before=True)], "Running"),
        ("Never", [state(TERMINATED, 0)], "Succeeded"),
        ("Never", [state(TERMINATED, 0), state(TERMINATED, 3)], "Failed"),
        ("Never", [state(TERMINATED, 3), state(RUNNING)], "Running"),
        ("OnFailure", [state(TERMINATED, 3)], "Running"),
        ("OnFailure", [state(TERMINATED, 0)], "Succeeded"),
    ],
)
def test_the_phase_of_a_pod(policy: str, states: list[ContainerState], phase: str) -> None:
    assert phase_of(policy, states) == phase


def test_the_status_of_a_running_pod() -> None:
    pod = {"spec": {"restartPolicy": "Always"}, "status": {}}
    container = ContainerState("c", "r/a:1", RUNNING, started_at="2026-01-01T12:00:00Z")
    status = pod_status(pod, [container], ip="198.18.0.11", start="s", now=NOW)
    conditions = {each["type"]: each["status"] for each in status["conditions"]}
    assert set(conditions.values()) == {"True"}
    assert status["containerStatuses"][0]["state"] == {
        "running": {"startedAt": "2026-01-01T12:00:00Z"}
    }
    assert (status["phase"], status["hostIP"]) == ("Running", "198.18.0.11")


def test_a_pods_spec_in_the_words_of_cri() -> None:
    pod: dict[str, Any] = {
        "metadata": {"name": "work", "namespace": "default", "uid": "u"},
        "spec": {
            "containers": [
                {
                    "name": "main",
                    "image": "r/a:1",
                    "command": ["sleep"],
                    "env": [{"name": "A", "value": "b"}],
                    "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}},
                    "securityContext": {"runAsUser": 7, "allowPrivilegeEscalation": False},
                }
            ]
        },
        "status": {"qosClass": "Burstable"},
    }
    sandbox = sandbox_config(pod, 0)
    assert sandbox.linux.cgroup_parent == "/kubepods/burstable"
    assert sandbox.linux.security_context.namespace_options.network == 2  # the node's own
    config = container_config(pod, pod["spec"]["containers"][0], "sha256:1", 3)
    assert config.image.image == "sha256:1"
    assert config.log_path == "main/3.log"
    assert config.linux.resources.cpu_quota == 50_000
    assert config.linux.resources.memory_limit_in_bytes == 2**30
    assert config.linux.security_context.run_as_user.value == 7
    assert config.linux.security_context.no_new_privs


def image(tags: list[str], digests: list[str], size: int = 716491, name: str = "1") -> Any:
    identifier = "sha256:" + name * 64
    return SimpleNamespace(id=identifier, repo_tags=tags, repo_digests=digests, size=size)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (683, "683B"),
        (716491, "716kB"),
        (1095190, "1.1MB"),
        (5547677, "5.55MB"),
        (12_345_678_901, "12.3GB"),
    ],
)
def test_sizes_read_as_crictl_prints_them(size: int, text: str) -> None:
    assert human_size(size) == text


@pytest.mark.parametrize(
    ("tags", "digests", "rows"),
    [
        (["r:5000/a:1"], ["r:5000/a@sha256:2"], [("r:5000/a", "1")]),
        (["r/a:1", "r/b:2"], [], [("r/a", "1"), ("r/b", "2")]),
        ([], ["r/a@sha256:2"], [("r/a", "<none>")]),
        ([], [], [("<none>", "<none>")]),
        (["<none>:<none>"], ["r/a@sha256:2"], [("r/a", "<none>")]),
    ],
    ids=["one tag", "two tags", "no tag", "nothing", "dangling"],
)
def test_an_image_has_a_row_for_each_tag(
    tags: list[str], digests: list[str], rows: list[tuple[str, str]]
) -> None:
    shown = image_rows(image(tags, digests), digests=False, whole=False)
    assert shown == [(*row, "1" * 13, "716kB") for row in rows]


def test_whole_ids_keep_the_name_of_their_algorithm() -> None:
    [row] = image_rows(image(["r/a:1"], []), digests=False, whole=True)
    assert row[2] == "sha256:" + "1" * 64


def test_columns_are_twenty_wide_or_three_more_than_their_longest_cell() -> None:
    rows = [("IMAGE", "TAG", "SIZE"), ("r" * 30, "1", "2kB")]
    assert table(rows) == (
        "IMAGE" + " " * 28 + "TAG" + " " * 17 + "SIZE\n" + "r" * 30 + "   1" + " " * 19 + "2kB\n"
    )


def test_images_are_sorted_by_tag_then_digest() -> None:
    images = [image([], ["b@sha256:1"]), image(["c:1"], []), image(["a:1"], [])]
    ordered = sorted(images, key=sort_key)
    assert [(each.repo_tags or each.repo_digests)[0] for each in ordered] == [
        "a:1",
        "b@sha256:1",
        "c:1",
    ]


def test_an_age_of_nothing_is_less_than_a_second() -> None:
    now_ns = int(datetime.now(UTC).timestamp() * 1e9)
    assert age(now_ns + 10**9) == "Less than a second ago"
    assert age(now_ns - 150 * 10**9) == "2 minutes ago"
