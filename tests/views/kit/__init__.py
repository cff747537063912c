"""Tests of the kit under the generated screens, on a small application of their own."""
