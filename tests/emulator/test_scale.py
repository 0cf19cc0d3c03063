"""Hundreds of paper machines: pages that name every node once, and calls without an error.

A sample of ``make bench-emulator``, which does the same with ten times as many.
"""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from alibabacloud_cs20151215 import models
from alibabacloud_cs20151215.client import Client

from emulator.app import Handle, running
from emulator.clock import Clock
from emulator.collecting import survivors_kept
from emulator.kube.errors import KubeError
from emulator.kube.selectors import Selection
from emulator.kube.store import KubeStore
from emulator.machines.paper_network import FIRST_HOST, LAST_HOST, SSH_PORT, PaperNetwork, listening
from emulator.settings import Settings
from local.bench import building, figures, load
from local.bench.building import Built
from local.bench.mix import MIX
from tests.emulator.world import World

POOLS, NODES = 20, 10
PAGE = 7  # divides neither a pool nor the cluster
INSTANT = Settings(
    instance_boot_s=0,
    instance_stop_s=0,
    kubelet_registration_s=0,
    task_step_s=0,
    paper_kubelet_package_s=0,
    paper_image_s=0,
    max_nodes=(POOLS + 1) * NODES,
    max_node_pools=POOLS + 1,
)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    with running(tmp_path_factory.mktemp("cloud"), settings=INSTANT, seed="empty") as handle:
        yield handle


@pytest.fixture(scope="module")
def built(big: Handle) -> Built:
    return building.build(big.facts, POOLS, NODES, within_s=60)


@pytest.mark.slow
def test_two_hundred_nodes_in_twenty_pools_become_ready(big: Handle, built: Built) -> None:
    assert len(set(built.pools)) == POOLS
    assert len(set(built.instances)) == POOLS * NODES
    nodes = list(building.all_nodes(building.client(big.facts), big.facts))
    addresses = {address for node in nodes for address in node.ip_address}
    assert len(addresses) == POOLS * NODES


@pytest.mark.slow
def test_two_hundred_calls_of_the_benchmark_are_all_right(big: Handle, built: Built) -> None:
    plan = {"target": target(big, built, NODES), "rate": 200, "seconds": 1}
    result = asyncio.run(load.main({**plan, "new_connections": False}))
    assert result["first_errors"] == []
    assert result["calls"] == 200
    assert len(result["latencies_s"]) == len(MIX), "a call of the mix was never made"
    assert figures.summary(result)["errors"] == 0


@pytest.mark.slow
def test_a_wrong_answer_of_the_benchmark_is_an_error_of_it(big: Handle, built: Built) -> None:
    plan = {"target": target(big, built, NODES + 1), "rate": 100, "seconds": 0.5}
    summary = figures.summary(asyncio.run(load.main({**plan, "new_connections": True})))
    assert 0 < summary["errors"] < summary["calls"]
    result = {"rate": {"asked": 10**6, **summary}, "throughput": {**summary, "errors": 0}}
    errors, rate = figures.problems(result)
    assert "wrong answers" in errors
    assert "fewer than" in rate


@pytest.mark.slow
def test_readers_of_pages_meet_no_error_while_others_write(big: Handle, built: Built) -> None:
    """Four clients read all pages again and again while one more pool comes and goes."""
    cs, cluster = building.client(big.facts), big.facts["cluster_id"]
    there = set(built.instances)
    with ThreadPoolExecutor(4) as readers:
        seen = [readers.submit(all_ids, big) for _ in range(8)]
        pool_id, task_id = building.order(cs, big.facts, "one-more", NODES)
        big.run_until(lambda: ended(cs, task_id))
        assert len(all_ids(big)) == len(there) + NODES
        seen += [readers.submit(all_ids, big) for _ in range(8)]
        request = models.DeleteClusterNodepoolRequest(force=True)
        deletion = cs.delete_cluster_nodepool(cluster, pool_id, request).body.task_id
        big.run_until(lambda: ended(cs, deletion))
    for ids in (each.result() for each in seen):
        assert len(ids) == len(set(ids)), "a node was named twice"
        assert there <= set(ids), "a node that stayed was not named"
    assert set(all_ids(big)) == there


def target(big: Handle, built: Built, nodes: int) -> dict[str, Any]:
    there = {name: getattr(built, name) for name in ("pools", "tasks", "instances")}
    return {**there, "facts": big.facts, "nodes_of_pool": nodes}


def ended(cs: Client, task_id: str) -> bool:
    return bool(cs.describe_task_info(task_id).body.state == "success")


def all_ids(big: Handle) -> list[str]:
    return [node.instance_id for node in building.all_nodes(building.client(big.facts), big.facts)]


# -- pages, call by call, in a cloud without machines


def page(world: World, number: int) -> list[str]:
    path = f"/clusters/{world.cluster}/nodes"
    body = world.ack("DescribeClusterNodes", path, pageNumber=number, pageSize=PAGE)
    return [node["instance_id"] for node in body["nodes"]]


async def test_pages_name_every_node_once_while_nodes_are_added_to_every_pool(
    world: World,
) -> None:
    pools = [await world.pool(f"pool-{number}", desired_size=4) for number in range(5)]
    before = {node["instance_id"] for pool in pools for node in world.nodes(pool)}
    seen: list[str] = []
    number = 1
    while ids := page(world, number):
        seen += ids
        number += 1
        if number - 2 < len(pools):  # the first pool first: its nodes would be of the first page
            world.modify(pools[number - 2], desired_size=6)
            await world.settle()
    assert len(seen) == len(set(seen)) > len(before)
    assert set(seen[: len(before)]) == before, "what was there first is not named first"


async def test_pages_name_every_node_that_stays_while_the_newest_go(world: World) -> None:
    pools = [await world.pool(f"pool-{number}", desired_size=4) for number in range(5)]
    nodes = [{node["instance_id"] for node in world.nodes(pool)} for pool in pools]
    first = page(world, 1)
    world.modify(pools[-1], desired_size=0)
    await world.settle()
    seen = first + page(world, 2) + page(world, 3)
    assert page(world, 4) == []
    assert len(seen) == len(set(seen))
    assert set(seen) == set().union(*nodes[:-1])


async def test_total_count_tells_a_reader_that_nodes_went_between_two_pages(world: World) -> None:
    """Pages are counted, here as there: one that goes moves those behind it up by one place."""
    pool_id = await world.pool(desired_size=PAGE + 1)
    path = f"/clusters/{world.cluster}/nodes"
    first = page(world, 1)
    totals = [world.ack("DescribeClusterNodes", path)["page"]["total_count"]]
    body = {"instance_ids": json.dumps(first[:1]), "release_node": "true"}
    world.ack("RemoveNodePoolNodes", f"{world.pools()}/{pool_id}/nodes", **body)
    await world.settle()
    totals.append(world.ack("DescribeClusterNodes", path)["page"]["total_count"])
    assert page(world, 2) == []
    assert totals == [PAGE + 1, PAGE]


@pytest.mark.parametrize("name", ["instanceIds", "nodeNames", "nodeIps"])
async def test_all_is_the_name_of_no_node(world: World, name: str) -> None:
    await world.pool(desired_size=1)
    path = f"/clusters/{world.cluster}/nodes"
    assert world.ack("DescribeClusterNodes", path, **{name: "all"})["nodes"] == []
    assert len(world.ack("DescribeClusterNodes", path, state="all")["nodes"]) == 1


# -- watches


async def test_renewed_leases_push_out_no_change_of_another_kind() -> None:
    store = KubeStore(Clock(), history=4)
    start = store.version
    store.create("namespaces", {"metadata": {"name": "kept"}})
    for number in range(6):
        store.create("leases", {"metadata": {"name": f"lease-{number}"}}, "kube-node-lease")
    with store.subscribe("namespaces", Selection(), start) as changes:
        kind, namespace = await anext(changes)
    assert (kind, namespace["metadata"]["name"]) == ("ADDED", "kept")
    with pytest.raises(KubeError) as gone:
        store.subscribe("leases", Selection(), start)
    assert gone.value.code == 410


# -- the collector of cycles


def test_what_survived_a_full_collection_is_not_looked_at_again() -> None:
    with survivors_kept():
        gc.collect()
        kept = gc.get_freeze_count()
        assert kept > 10_000
        survivor = [[number] for number in range(1000)]
        gc.collect()
        assert gc.get_freeze_count() > kept + len(survivor) / 2
        cycle: list[object] = []
        cycle.append(cycle)
        del cycle
        assert gc.collect() > 0, "young cycles are no longer found"
    assert gc.get_freeze_count() == 0


# -- addresses


@pytest.fixture
def network() -> Iterator[PaperNetwork]:
    network = PaperNetwork()
    network.open()
    yield network
    network.close()


def test_machines_beyond_one_network_get_addresses_of_another(network: PaperNetwork) -> None:
    number = LAST_HOST - FIRST_HOST + 1
    addresses = [network.reserve(f"i-{place}") for place in range(number)]
    assert len(set(addresses)) == number
    assert len({address.rpartition(".")[0] for address in addresses}) == 2
    assert addresses[0].rpartition(".")[0] == network.gateway_ip.rpartition(".")[0]


def test_an_address_that_is_given_back_is_the_next_to_be_given(network: PaperNetwork) -> None:
    first, second = network.reserve("i-1"), network.reserve("i-2")
    assert network.reserve("i-1") == first
    network.give_back("i-1")
    assert network.reserve("i-3") == first
    assert network.reserve("i-2") == second


def test_two_emulators_share_no_network(network: PaperNetwork) -> None:
    other = PaperNetwork()
    other.open()
    try:
        assert other.gateway_ip != network.gateway_ip
        with pytest.raises(OSError, match="in use"):
            listening(network.gateway_ip, SSH_PORT)
    finally:
        other.close()
