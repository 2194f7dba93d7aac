"""What settings are made of: a frozen section, and types that name what is wrong with a value."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import NoDecode


def _listed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)  # a ValueError here is told as one of this setting
    return [word.strip() for word in value.split(",") if word.strip()]


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
"""Written with commas between, as people expect; a JSON list is understood too."""


def _of_postgres(value: Any) -> Any:
    url = value.get_secret_value() if isinstance(value, SecretStr) else value
    if isinstance(url, str) and not url.startswith(("postgresql://", "postgres://")):
        raise ValueError("must be a URL such as postgresql://user:password@host:5432/database")
    return value


def _of_http(value: Any) -> Any:
    if isinstance(value, str) and not value.startswith(("http://", "https://")):
        raise ValueError("must be a URL with http:// or https://")
    return value


PostgresUrl = Annotated[SecretStr, BeforeValidator(_of_postgres)]
HttpUrl = Annotated[str, BeforeValidator(_of_http)]
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
Days = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
