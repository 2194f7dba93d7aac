"""A typed client of the HTTP API. What the API refuses is raised as the error of `holdfast.errors` that it was."""

from holdfast.client.client import Holdfast
from schemas.events import ModelDelta, RunEvent
from schemas.pages import Page

__all__ = ["Holdfast", "ModelDelta", "Page", "RunEvent"]
