"""Every setting of Holdfast: frozen, built once per entry point, its sections passed downward.

Names in the environment are `HOLDFAST_<SECTION>__<FIELD>`. docs/configuration.md and .env.example are written from
these models, so a description here is what people read.
"""

from holdfast.runtime.settings.doors import ApiSettings, AuthSettings
from holdfast.runtime.settings.knowledge import KnowledgeSettings
from holdfast.runtime.settings.models import ModelSettings
from holdfast.runtime.settings.retention import RetentionSettings
from holdfast.runtime.settings.servers import DatabaseSettings, StackSettings, TemporalSettings
from holdfast.runtime.settings.telemetry import TelemetrySettings
from holdfast.runtime.settings.tools import Ceiling, SandboxSettings, ToolSettings
from holdfast.runtime.settings.whole import Settings
from holdfast.runtime.settings.workers import Queue, WorkerSettings

__all__ = [
    "ApiSettings",
    "AuthSettings",
    "Ceiling",
    "DatabaseSettings",
    "KnowledgeSettings",
    "ModelSettings",
    "Queue",
    "RetentionSettings",
    "SandboxSettings",
    "Settings",
    "StackSettings",
    "TelemetrySettings",
    "TemporalSettings",
    "ToolSettings",
    "WorkerSettings",
]
