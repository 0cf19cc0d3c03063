"""Measures how much the local cloud bears: ``make bench-emulator``, see docs/scale.md."""
