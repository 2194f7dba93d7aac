"""Whose work a stage does."""

from schemas.base import Name, Payload, RunId


class RunScope(Payload):
    """Whose work this is. Every stage carries it; logs, traces and rows are bound to it."""

    tenant: Name
    run_id: RunId
    agent: Name
    environment: Name
