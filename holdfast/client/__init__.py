"""A typed client of the HTTP API. What the API refuses is raised as the error of `holdfast.errors` that it was."""

from holdfast.client.client import Holdfast
from schemas.pages import Page

__all__ = ["Holdfast", "Page"]
