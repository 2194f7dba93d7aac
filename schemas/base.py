"""The base classes of every contract: what a payload is, and what a request is.

A payload crosses Temporal or Postgres: frozen, and deaf to fields it does not know, so that an old worker reads
what a newer one wrote. A request comes from a person or a program outside: an unknown field is an error.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints


class Payload(BaseModel):
    """Crosses a durable boundary. Grows only by fields that have a default."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_bytes="base64", val_json_bytes="base64")


class Request(BaseModel):
    """Comes from outside. What is not understood is refused, never dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")


JsonObject = dict[str, Any]
"""A JSON object whose shape is a tool's, a user's or a model's own; never one of ours."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$")]
"""A name people give to agents, tools, tenants, environments, policies: lower case, dots, dashes."""

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
"""SHA-256 over canonical JSON, or over the bytes of an artifact."""
