"""Payloads as pydantic models in JSON, by one converter for the whole process.

The SDK makes a converter for every task and for every context it has: each starts with an empty cache of types, and what
is made anew some twelve times a step shows in what a step costs. Ours has no state and looks at no context.
"""

from collections.abc import Sequence
from typing import Any, Final

from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import PayloadConverter

from holdfast.runtime.encryption import is_encrypted

_PYDANTIC: Final = PydanticPayloadConverter()


class WithoutKeys(RuntimeError):
    """A payload is encrypted, and this process has no keys. Set HOLDFAST_TEMPORAL__ENCRYPTION_KEYS as it was.

    No error of our tree: those end a run, and this one has to wait until the keys are back.
    """

    def __init__(self) -> None:
        super().__init__((self.__doc__ or "").partition("\n")[0])


class ProcessPayloadConverter(PayloadConverter):
    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        return _PYDANTIC.to_payloads(values)

    def from_payloads(
        self, payloads: Sequence[Payload], type_hints: list[type[Any]] | None = None
    ) -> list[Any]:
        try:
            return _PYDANTIC.from_payloads(payloads, type_hints)
        except KeyError as error:  # an encoding that nobody here knows
            if any(is_encrypted(payload) for payload in payloads):
                raise WithoutKeys from error
            raise
