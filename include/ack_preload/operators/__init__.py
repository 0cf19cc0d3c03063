"""Operators: start one thing, wait for it, return its id."""
