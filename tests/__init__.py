"""Tests of the product; folders mirror app/."""
