"""A local cloud in a thread of this process, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from emulator.fault_control import check_action
from emulator.faults import Fault
from emulator.lifetime import Emulator, Options
from emulator.metering.account import account
from emulator.settings import Settings

REAL_WAIT_S = 30.0
STEPS_OF_LOOP = 50  # a background job that a moved clock wakes is a few steps away


class Handle:
    """A running local cloud. Its ``cloud`` lives on another thread: read it, do not change it."""

    def __init__(self, emulator: Emulator, loop: asyncio.AbstractEventLoop) -> None:
        self.facts = emulator.facts
        self.cloud = emulator.cloud
        self.faults = emulator.faults  # safe from any thread
        self.state_dir = emulator.options.state_dir
        self._loop = loop

    def advance(self, seconds: float) -> None:
        """Move the cloud's clock, and return once what that woke up has run."""

        async def move() -> None:
            self.cloud.clock.advance(timedelta(seconds=seconds))
            for _ in range(STEPS_OF_LOOP):
                await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(move(), self._loop).result()

    @contextlib.contextmanager
    def fault(self, fault: Fault, *, must_strike: bool = True) -> Iterator[None]:
        """Arm a fault for a block of a test.

        :raises AssertionError: when it never struck: the block then proves nothing.
        """
        check_action(fault)
        fault_id = self.faults.add(fault)
        try:
            yield
            (armed,) = (each for each in self.faults.armed() if each.fault_id == fault_id)
            if must_strike and not armed.struck:
                raise AssertionError(f"{fault!r} never struck; it saw {armed.seen} occasions")
        finally:
            self.faults.remove(fault_id)

    def meter(self, *by: str) -> dict[str, Any]:
        """Return what ``GET /_control/meter`` says, by the keys of these tags."""

        async def read() -> dict[str, Any]:
            return account(self.cloud.meter.lines(), self.cloud.meter.now(), by)

        return asyncio.run_coroutine_threadsafe(read(), self._loop).result()

    def run_until(
        self, condition: Callable[[], bool], *, step_s: float = 1.0, within_s: float = 3600.0
    ) -> None:
        """Move the clock by steps until a condition holds.

        :raises TimeoutError: when it does not within so much of the cloud's time, or within
            half a minute of ours: paper machines do real work too.
        """
        passed, started = 0.0, time.monotonic()
        while not condition():
            if passed > within_s or time.monotonic() - started > REAL_WAIT_S:
                raise TimeoutError(f"not so after {passed} s of the cloud's time")
            self.advance(step_s)
            passed += step_s


class _Background:
    """The thread, and what the two sides tell each other."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._handle: Handle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="emulator", daemon=True)

    def start(self) -> Handle:
        self._thread.start()
        self._started.wait()
        self._raise()
        if self._handle is None:
            raise RuntimeError("the local cloud ended while it started; see its log")
        return self._handle

    def stop(self) -> None:
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._asked.set)
        self._thread.join()
        self._raise()

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as exc:  # raised again where it is waited for
            self._failure = exc
        finally:
            self._started.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        emulator = Emulator(self._options)
        try:
            await emulator.start()
            self._handle = Handle(emulator, self._loop)
            self._started.set()
            await self._asked.wait()
        finally:
            await emulator.stop()


@contextlib.contextmanager
def running(
    state_dir: Path,
    *,
    settings: Settings | None = None,
    machines: str = "paper",
    seed: str = "demo",
    port: int = 0,
) -> Iterator[Handle]:
    """Run a local cloud for as long as the context is open.

    :raises MachineError: when its machines could not be made, and as its parts do.
    """
    background = _Background(Options(state_dir, machines, seed, port, settings or Settings()))
    handle = background.start()
    try:
        yield handle
    finally:
        background.stop()
