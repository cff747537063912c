"""Tests of the scripts and of the development entry."""
