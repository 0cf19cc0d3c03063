"""Hooks: one cloud call a method, plain values out."""
