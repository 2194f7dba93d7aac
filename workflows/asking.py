"""Requests name the tools of a run by their digest; whoever does not find them by it is sent them."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from temporalio.exceptions import FailureError

from holdfast.errors import CatalogueUnknown
from holdfast.runtime.failures import cause_of
from schemas.stages import CheckRequest, NextRequest, OutlookRequest, PlanRequest
from schemas.tools import Catalogue

Asking = TypeVar("Asking", PlanRequest, NextRequest, CheckRequest, OutlookRequest)
Told = TypeVar("Told")


async def asked(ask: Callable[[Asking], Awaitable[Told]], request: Asking, catalogue: Catalogue) -> Told:
    try:
        return await ask(request)
    except FailureError as error:
        if cause_of(error).code != CatalogueUnknown.code:
            raise
    whole = {"catalogue": catalogue, "catalogue_digest": None}
    return await ask(request.model_copy(update=whole))
