"""Payloads as pydantic models in JSON, by one converter for the whole process.

The SDK makes a converter for every task and for every context it has: each starts with an empty cache of types, and what
is made anew some twelve times a step shows in what a step costs. Ours has no state and looks at no context.
"""

from collections.abc import Sequence
from typing import Any, Final, get_args

from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import PayloadConverter

from holdfast.runtime.encryption import is_encrypted
from schemas.commands import Unread

_PYDANTIC: Final = PydanticPayloadConverter()

_NOT_KEPT: Final = b"binary/not-kept"


class Unreadable(RuntimeError):
    """What a payload stands for is not to be had: Temporal drops such a signal, rejects such an update, and waits else.

    No error of our tree: those end a run, and this one has to wait until the keys, or the database, are back.
    """


def not_kept(why: str) -> Payload:
    """In place of a payload that is not where its claim says. Only who reads it is told, and why."""
    return Payload(metadata={"encoding": _NOT_KEPT}, data=why.encode())


class ProcessPayloadConverter(PayloadConverter):
    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        return _PYDANTIC.to_payloads(values)

    def from_payloads(
        self, payloads: Sequence[Payload], type_hints: list[type[Any]] | None = None
    ) -> list[Any]:
        try:
            return _PYDANTIC.from_payloads(payloads, type_hints)
        except KeyError as error:  # an encoding that nobody here knows
            why = next(filter(None, map(_why_not, payloads)), "")
            if not why:
                raise
            if type_hints and Unread in get_args(type_hints[0]):
                return [Unread(unread=why)]
            raise Unreadable(why) from error


def _why_not(payload: Payload) -> str:
    if is_encrypted(payload):
        return (
            "A payload is encrypted, and does not open here. Set HOLDFAST_TEMPORAL__ENCRYPTION_KEYS as it was; "
            "a key keeps its id, and a payload that was forged opens with none."
        )
    return payload.data.decode() if payload.metadata.get("encoding") == _NOT_KEPT else ""
