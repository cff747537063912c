"""Scripts of the house: bootstrap, checks, supervision and the runs of the test command."""
