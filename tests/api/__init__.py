"""The JSON interface as its clients see it."""
