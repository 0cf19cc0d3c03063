"""Modules that take seconds to import, brought in without holding up a triggerer."""

from __future__ import annotations

import asyncio
from importlib import import_module

READY: set[str] = set()
"""What was imported to its end; ``sys.modules`` has those that another thread is still at, too."""


async def load(*names: str) -> None:
    """Import modules in a thread: all waits of a triggerer stand for as long as its loop does."""
    missing = [name for name in names if name not in READY]
    if missing:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, lambda: [import_module(name) for name in missing])
        READY.update(missing)
