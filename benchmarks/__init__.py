"""Measures the product beside bare SQL, bare Flask and stock Flask-AppBuilder, as ratios inside one run."""
