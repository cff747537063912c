"""Tests of the worker, the scheduler and the jobs."""
