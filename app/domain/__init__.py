"""Plain Python rules of the product: no database, no network, no framework."""
