"""Many at once for one thing, over HTTP and in services, with controls that have to fail."""
