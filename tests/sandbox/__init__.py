"""The sandbox, driven over loopback by the real client libraries."""
