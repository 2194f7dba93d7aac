"""Which models there are, as the settings of this process say. The keys are with the llm workers; so are the calls."""

import asyncio

from api.services import Services
from holdfast.adapters.llm.settings import settings_from
from schemas.models import ModelSettings


async def configured(held: Services) -> ModelSettings:
    """The models file, or the variables, with the prices that were set while running."""
    settings = await asyncio.to_thread(settings_from, held.settings.models)
    return settings.model_copy(update={"prices": {**settings.prices, **await held.spend.prices()}})
