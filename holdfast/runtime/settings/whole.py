"""All sections as one model, and where their values come from."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from holdfast.runtime.environment import PREFIX, WellKnownVariables
from holdfast.runtime.settings.doors import ApiSettings, AuthSettings
from holdfast.runtime.settings.knowledge import KnowledgeSettings
from holdfast.runtime.settings.models import ModelSettings
from holdfast.runtime.settings.retention import RetentionSettings
from holdfast.runtime.settings.servers import DatabaseSettings, StackSettings, TemporalSettings
from holdfast.runtime.settings.telemetry import TelemetrySettings
from holdfast.runtime.settings.tools import SandboxSettings, ToolSettings
from holdfast.runtime.settings.workers import WorkerSettings


class Settings(BaseSettings):
    """All settings of one process. Build it with `holdfast.runtime.configuration.load`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", env_ignore_empty=True
    )

    profile: Literal["dev", "prod"] = Field("dev", description="`prod` refuses insecure defaults.")
    data_dir: Path = Field(Path(".holdfast"), description="Data, logs and state of the embedded stack.")
    stack: StackSettings = StackSettings()
    database: DatabaseSettings = DatabaseSettings()
    temporal: TemporalSettings = TemporalSettings()
    api: ApiSettings = ApiSettings()
    auth: AuthSettings = AuthSettings()
    workers: WorkerSettings = WorkerSettings()
    sandbox: SandboxSettings = SandboxSettings()
    tools: ToolSettings = ToolSettings()
    models: ModelSettings = ModelSettings()
    knowledge: KnowledgeSettings = KnowledgeSettings()
    retention: RetentionSettings = RetentionSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- configuration.load reads the file
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What our own variables do not say, the variables everybody knows do."""
        return init_settings, env_settings, WellKnownVariables(settings_cls)
