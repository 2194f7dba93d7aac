"""The egress proxy: the only way out of a sandbox, one per call, in the worker's own event loop."""
