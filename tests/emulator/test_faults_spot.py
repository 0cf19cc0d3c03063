"""Spot instances that are taken back, and a reclaim that is called off, by the official SDKs."""

from __future__ import annotations

import pytest

from emulator.ecs.spot import LOOK_EVERY_S
from emulator.faults import SpotReclaim
from tests.emulator.clients import Clients
from tests.emulator.test_faults_resources import (
    Watched,
    arm,
    clients,
    order,
    snapshot,
    snapshot_of,
    timed_cloud,
)

__all__ = ["clients", "timed_cloud"]
pytestmark = pytest.mark.slow


def locks(spot: Watched) -> list[str]:
    return [each.lock_reason for each in spot.shown().operation_locks.lock_reason]


def test_a_spot_instance_is_announced_and_taken_back_with_its_disks(clients: Clients) -> None:
    arm(clients, SpotReclaim(target="spot-*", after_s=600, notice_s=300))
    spot = order(clients, instance_name="spot-1", spot_strategy="SpotAsPriceGo")
    spot.until("Running")
    snapshot_id = snapshot_of(clients, spot.disk().disk_id)
    clients.handle.run_until(lambda: snapshot(clients, snapshot_id).status == "accomplished")
    clients.handle.advance(100)
    assert spot.shown().operation_locks.lock_reason == []
    clients.handle.advance(150)
    assert [each.lock_reason for each in spot.shown().operation_locks.lock_reason] == ["Recycling"]
    clients.handle.run_until(lambda: spot.status() == "gone", step_s=50)
    assert snapshot(clients, snapshot_id).status == "accomplished"
    assert not clients.handle.cloud.disks


def test_a_snapshot_of_a_spot_instance_that_is_taken_back_fails(clients: Clients) -> None:
    arm(clients, SpotReclaim(after_s=30, notice_s=0))
    spot = order(clients, spot_strategy="SpotAsPriceGo")
    spot.until("Running")
    snapshot_id = snapshot_of(clients, spot.disk().disk_id)
    spot.until("gone")
    assert snapshot(clients, snapshot_id).status == "failed"


def test_only_spot_instances_are_taken_back(clients: Clients) -> None:
    arm(clients, SpotReclaim(times=0))
    steady = [order(clients), order(clients, spot_strategy="NoSpot")]
    spot = order(clients, spot_strategy="SpotWithPriceLimit", spot_price_limit=1.0)
    spot.until("gone")
    for instance in steady:
        instance.until("Running")
        instance.stays("Running")
        instance.delete()


@pytest.mark.parametrize("times", [0, 1], ids=["until removed", "spent"])
@pytest.mark.parametrize(
    ("passed_s", "shown"),
    [pytest.param(100, [], id="before the notice"), pytest.param(400, ["Recycling"], id="after")],
)
def test_a_reclaim_is_called_off_by_removing_its_fault(
    clients: Clients, times: int, passed_s: float, shown: list[str]
) -> None:
    fault_id = arm(clients, SpotReclaim(after_s=600, notice_s=300, times=times))
    spot = order(clients, spot_strategy="SpotAsPriceGo")
    spot.until("Running")
    clients.handle.advance(passed_s)
    assert locks(spot) == shown
    clients.handle.faults.remove(fault_id)
    clients.handle.advance(LOOK_EVERY_S)
    assert locks(spot) == []
    spot.stays("Running")
    assert locks(spot) == []
    arm(clients, SpotReclaim(after_s=0))  # another one takes it
    spot.until("gone")


def test_a_reclaim_that_is_called_off_in_the_last_moment_takes_nothing(clients: Clients) -> None:
    fault_id = arm(clients, SpotReclaim(after_s=600))
    spot = order(clients, spot_strategy="SpotAsPriceGo")
    spot.until("Running")
    clients.handle.advance(550)
    clients.handle.faults.remove(fault_id)
    spot.stays("Running")  # the clock goes past the end in one step
    assert locks(spot) == []
    spot.delete()
