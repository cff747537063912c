"""Schemas that validate requests, shape answers and make the OpenAPI document."""
