"""Elastic Compute Service, 2014-05-26."""
