"""Whatever is sent is answered or refused, and what is refused changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator import ack, ecs
from emulator.errors import ApiError
from emulator.params import leaves
from tests.emulator.world import World

FUZZ = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
WORDS = ("", "0", "1", "-1", "true", "None", "[]", '["x"]', "{}", "cn-hangzhou", "x" * 300, "é\x00")
VALUES = st.sampled_from(WORDS) | st.text(max_size=40) | st.integers().map(str)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


def flat_names(action: str) -> st.SearchStrategy[str]:
    """Return names that the action's model has, with list indexes, and some that it has not."""
    known = sorted(leaves(ecs.MODEL.fields(action)))
    numbered = [name.replace(".", ".1.", 1) for name in known if "." in name]
    return st.sampled_from([*known, *numbered, *(f"{name}.1" for name in known), "Nonsense"])


def bodies() -> st.SearchStrategy[Any]:
    """Return values for the parts of a body: any JSON, and objects with the API's own names."""
    fields = ack.MODEL.fields("CreateClusterNodePool")
    names = [name for part in fields.values() if isinstance(part, dict) for name in part]
    return JSON | st.dictionaries(st.sampled_from(sorted(names)), JSON, max_size=4)


def counts(world: World) -> list[int]:
    cloud = world.cloud
    kinds = (cloud.instances, cloud.disks, cloud.snapshots, cloud.key_pairs, cloud.node_pools)
    return [len(kind) for kind in kinds]


def answered_or_refused(world: World, call: Callable[[], Any]) -> None:
    before = counts(world)
    try:
        call()
    except ApiError as error:
        if not 400 <= error.status < 500 or counts(world) != before:
            raise AssertionError(f"{error}: {before} became {counts(world)}") from error


@pytest.mark.slow
@pytest.mark.parametrize("action", sorted(ecs.ACTIONS))
async def test_ecs_answers_or_refuses(world: World, action: str) -> None:
    order = {name.replace("__", "."): str(value) for name, value in world.order().items()}

    @FUZZ
    @given(st.dictionaries(flat_names(action), VALUES, max_size=6), st.booleans())
    def check(params: dict[str, str], from_valid: bool) -> None:
        flat = (order if from_valid and action == "RunInstances" else {}) | params
        answered_or_refused(world, lambda: ecs.perform(world.cloud, action, flat))

    check()
    await world.settle()


@pytest.mark.slow
@pytest.mark.parametrize("action", sorted(ack.ACTIONS))
async def test_ack_answers_or_refuses(world: World, action: str) -> None:
    model = ack.MODEL.calls[action]
    pool_id = await world.pool(desired_size=1)
    path = model["path"].format(cluster_id=world.cluster, nodepool_id=pool_id, task_id="T-x")
    names = st.sampled_from(sorted({*model["body"], "scaling_group", "nonsense"}))
    query = st.dictionaries(st.sampled_from(sorted({*model["query"], "x"})), VALUES, max_size=3)

    @FUZZ
    @given(st.dictionaries(names, bodies(), max_size=4), query)
    def check(body: dict[str, Any], query: dict[str, str]) -> None:
        content = json.dumps(body).encode() if body else b""
        answered_or_refused(
            world, lambda: world.ack_raw(action, model["method"], path, content, **query)
        )

    check()
    await world.settle()
