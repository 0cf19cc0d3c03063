"""What can go wrong with the content of the local cloud."""

from __future__ import annotations


class ContentError(Exception):
    """The images or packages cannot be generated or served."""
