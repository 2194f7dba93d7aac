"""What is logged, and where traces go."""

from typing import Literal

from pydantic import Field

from holdfast.runtime.settings.fields import HttpUrl, Section


class TelemetrySettings(Section):
    """Logs and traces."""

    otlp_endpoint: HttpUrl | None = Field(
        None,
        description="Where traces go. `OTEL_EXPORTER_OTLP_ENDPOINT` means the same. No tracing without it.",
    )
    log_format: Literal["auto", "json", "pretty"] = Field(
        "auto", description="`auto` is pretty in a terminal."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least that is logged."
    )
