"""The base classes of every contract: what a payload is, and what a request is.

A payload crosses Temporal or Postgres: frozen, and deaf to fields it does not know, so that an old worker reads
what a newer one wrote. A request comes from a person or a program outside: an unknown field is an error, all the
way down.
"""

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, StringConstraints


class Payload(BaseModel):
    """Crosses a durable boundary. Grows only by fields that have a default."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Request(BaseModel):
    """Comes from outside. What is not understood is refused, never dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def strictly(model: type[BaseModel]) -> BeforeValidator:
    """Makes a payload inside a request refuse unknown fields too, so that a typing error is never dropped."""

    def refuse_unknown(value: Any) -> Any:
        return model.model_validate(value, extra="forbid") if isinstance(value, dict) else value

    return BeforeValidator(refuse_unknown, json_schema_input_type=model)


def _written_out(value: Any) -> Any:
    """`2030` would be half an hour after midnight in 1970."""
    if isinstance(value, int | float) or (isinstance(value, str) and "-" not in value.lstrip("-")):
        raise ValueError("a time is written out, as in 2030-01-01T12:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_written_out)]
"""A time with its zone, as people write it: no bare number is taken for one."""

JsonObject = dict[str, Any]
"""A JSON object whose shape is a tool's, a user's or a model's own; never one of ours."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$")]
"""A name people give to agents, tools, tenants, environments, policies: lower case, digits, dots, dashes."""

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
"""SHA-256 over canonical JSON, or over the bytes of an artifact."""

StepId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""The name of a step inside its plan; references use it."""

RunId = Annotated[str, StringConstraints(pattern=r"^run_[0-9a-z]{20,40}$")]
"""The id of a run, and of its Temporal workflow."""

ApprovalId = Annotated[str, StringConstraints(pattern=r"^apr_[0-9a-z]{20,40}$")]

Labels = dict[Name, Annotated[str, StringConstraints(max_length=256)]]
