"""A ClientToken whose answer never came, or is still to come, by the official SDK."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from darabonba.exceptions import UnretryableException
from Tea.exceptions import TeaException

from emulator.app import Handle
from emulator.faults import EmptyBody, Fault, ResetAfter, ResetBefore, ServerError, Slow
from tests.emulator.clients import Clients, answered, clients_of

pytestmark = pytest.mark.slow


@pytest.fixture
def clients(quiet_cloud: Handle) -> Iterator[Clients]:
    yield clients_of(quiet_cloud)
    quiet_cloud.faults.clear()


@pytest.mark.parametrize(
    ("fault", "had_effect"),
    [
        (ResetAfter(target="RunInstances"), True),
        (EmptyBody(target="RunInstances"), True),
        (ServerError(target="RunInstances", after=True), True),
        (ServerError(target="RunInstances"), False),
        (ResetBefore(target="RunInstances"), False),
    ],
    ids=["reset after", "empty body", "error after", "error before", "reset before"],
)
def test_a_repetition_finds_what_the_lost_call_made(
    clients: Clients, fault: Fault, had_effect: bool
) -> None:
    before = set(clients.handle.cloud.instances)
    token = f"{fault.kind}-{had_effect}"
    clients.handle.faults.add(fault)
    with pytest.raises((TeaException, UnretryableException)):
        clients.order(client_token=token)
    made = set(clients.handle.cloud.instances) - before
    assert len(made) == had_effect
    found = clients.order(client_token=token)
    assert set(clients.handle.cloud.instances) - before == {found}
    assert made <= {found}


def test_a_call_whose_answer_is_slow_is_in_flight(clients: Clients) -> None:
    before = set(clients.handle.cloud.instances)
    clients.handle.faults.add(Slow(target="RunInstances", seconds=1))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(clients.order, client_token="slow")
        while set(clients.handle.cloud.instances) == before:
            pass  # its effect is at once; only its answer is slow
        with answered("IdempotentProcessing", 403):
            clients.order(client_token="slow")
    assert clients.order(client_token="slow") == first.result()
