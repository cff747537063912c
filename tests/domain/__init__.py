"""Tests of the plain rules: no database, no network, no wall clock."""
