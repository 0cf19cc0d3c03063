"""Preloaded data disks for ACK nodes: operators, hooks, one trigger, and the domain behind them."""

from __future__ import annotations

__version__ = "0.1.0"
