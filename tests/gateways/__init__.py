"""Tests of the adapters against real servers on the loopback."""
