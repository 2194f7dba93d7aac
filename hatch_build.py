"""Puts the example runbooks beside the package in a wheel. An editable install finds them in the checkout."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ExamplesInWheel(BuildHookInterface):
    """Written into pyproject.toml, they would be copied into the site-packages of an editable install too."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            build_data["force_include"]["examples/runbooks"] = "holdfast/examples/runbooks"
