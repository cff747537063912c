"""Servers killed, hung or missing in the middle of the work."""
