"""What the hooks of ECS and ACK share: one account, one client, one way to send a call."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar, Self, TypeVar, cast

from airflow.sdk import BaseHook

from ack_preload.hooks.account import CONN_TYPE, DEFAULT_CONN_ID, Account
from ack_preload.hooks.calls import BUDGET_S, send
from ack_preload.hooks.retry_table import CALLS, READ

T = TypeVar("T")


class CloudHook(BaseHook):
    """Building one costs nothing: connection and client are made on first use.

    In a trigger make it with :meth:`aopen`, which reads the connection without blocking the
    event loop; then only its ``async`` methods are to be called.
    """

    conn_name_attr: ClassVar[str] = "conn_id"
    default_conn_name: ClassVar[str] = DEFAULT_CONN_ID
    conn_type: ClassVar[str] = CONN_TYPE
    hook_name: ClassVar[str] = "Alibaba Cloud"
    page_size: ClassVar[int] = 100  # the most that one call lists

    def __init__(self, conn_id: str = DEFAULT_CONN_ID, *, account: Account | None = None) -> None:
        super().__init__()
        self.conn_id = conn_id
        self._account = account
        self.before_create: Callable[[], None] = lambda: None
        """Called before each time that something is asked for that costs money."""
        self.budget_s = BUDGET_S
        """Longest time that one call may be repeated for."""

    @classmethod
    async def aopen(cls, conn_id: str = DEFAULT_CONN_ID) -> Self:
        """Read the connection without blocking and return the hook."""
        return cls(conn_id, account=await Account.aget(conn_id))

    @cached_property
    def account(self) -> Account:
        return self._account or Account.get(self.conn_id)

    def _send(self, action: str, request: Callable[[], T], *, is_young: bool = False) -> T | None:
        """Send a call; ``None`` when the cloud says that it is so already.

        :param is_young: what it is about was just made: "not found" is then "not yet".
        """
        call = CALLS.get(action, READ)
        return send(
            action,
            request,
            pace_s=self.account.poll_every_s or 1.0,
            budget_s=self.budget_s,
            is_young=is_young,
            before=self.before_create if call.creates else lambda: None,
        )

    def _read(self, action: str, request: Callable[[], T]) -> T:
        """Send a call that always has an answer: none of its errors means "already so"."""
        return cast("T", self._send(action, request))


def plain(body: Any) -> dict[str, Any]:
    """Return an SDK body as the plain dict that came over the wire."""
    found: dict[str, Any] = body.to_map()
    return found
