"""Settings say in one line what is wrong, and prod refuses what is insecure."""

from pathlib import Path

import pytest

from holdfast.errors import Misconfigured
from holdfast.runtime.configuration import all_settings, load
from holdfast.runtime.environment import MODEL_KEYS, without_secrets
from holdfast.runtime.settings import Settings

NO_FILE = Path("/nonexistent/.env")
PROD = {
    "HOLDFAST_PROFILE": "prod",
    "DATABASE_URL": "postgresql://app:long-and-random@db/holdfast",
    "TEMPORAL_ADDRESS": "temporal:7233",
    "HOLDFAST_TEMPORAL__ENCRYPTION_KEYS": "a:YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=",
}


def loaded(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load(NO_FILE)


def test_an_empty_environment_is_enough_for_dev(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch)
    assert settings.profile == "dev"
    assert settings.auth.enabled
    assert settings.database.url is None


def test_known_variables_are_read_and_ours_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, DATABASE_URL="postgresql://theirs/x", HOLDFAST_DATABASE__POOL_MAX="3")
    assert settings.database.url is not None
    assert settings.database.url.get_secret_value() == "postgresql://theirs/x"
    assert settings.database.pool_max == 3
    ours = loaded(monkeypatch, HOLDFAST_DATABASE__URL="postgresql://ours/x").database.url
    assert ours is not None
    assert ours.get_secret_value() == "postgresql://ours/x"


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, HOLDFAST_API__CORS_ORIGINS="https://a.example, https://b.example")
    assert settings.api.cors_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HOLDFAST_API__PORT", "http", "HOLDFAST_API__PORT: Input should be a valid integer"),
        ("HOLDFAST_API__PROT", "1", "Did you mean HOLDFAST_API__PORT"),
        ("HOLDFAST_PROFILE", "production", "HOLDFAST_PROFILE: Input should be 'dev' or 'prod'"),
        ("HOLDFAST_MODELS__ROUTES", "{", "HOLDFAST_MODELS__ROUTES cannot be read"),
        ("HOLDFAST_MODELS__ROUTES", "judge=gpt", "HOLDFAST_MODELS__ROUTES cannot be read"),
        ("HOLDFAST_AUTH__OIDC_ISSUER", "id.example", "HOLDFAST_AUTH__OIDC_ISSUER: must be a URL"),
        (
            "HOLDFAST_DATABASE__PORT",
            "80",
            "HOLDFAST_DATABASE__PORT: Input should be greater than or equal to 1024",
        ),
        ("DATABASE_URL", "http://sk-hidden@db/x", "DATABASE_URL: must be a URL such as postgresql://"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "OTEL_EXPORTER_OTLP_ENDPOINT: must be a URL"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    with pytest.raises(Misconfigured) as caught:
        loaded(monkeypatch, **{name: value})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "sk-hidden" not in str(caught.value)


def test_a_wrong_secret_is_not_repeated_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Misconfigured) as caught:
        loaded(monkeypatch, HOLDFAST_MODELS__API_KEYS__OPENAI__X="sk-hidden", HOLDFAST_API__PORT="sk-hidden")
    assert "sk-hidden" not in str(caught.value)


def test_prod_lists_everything_it_refuses_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Misconfigured) as caught:
        loaded(
            monkeypatch,
            HOLDFAST_PROFILE="prod",
            DATABASE_URL="postgresql://app:postgres@db/holdfast",
            HOLDFAST_AUTH__ENABLED="false",
            HOLDFAST_API__CORS_ORIGINS="*",
            HOLDFAST_SANDBOX__ACCEPT_DEGRADED="memory",
        )
    for refused in ("DATABASE_URL", "TEMPORAL_ADDRESS", "ENCRYPTION_KEYS", "AUTH", "CORS", "SANDBOX"):
        assert refused in str(caught.value)


def test_prod_accepts_a_sound_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(monkeypatch, **PROD).profile == "prod"


def test_variables_of_an_env_file_count_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_text("HOLDFAST_API__PORT=1234\nHOLDFAST_API__HOST=0.0.0.0\n")
    monkeypatch.setenv("HOLDFAST_API__PORT", "4321")
    monkeypatch.setenv("HOLDFAST_API__HOST", "")
    monkeypatch.delenv("HOLDFAST_API__HOST")
    settings = load(file)
    monkeypatch.delenv("HOLDFAST_API__HOST")
    assert (settings.api.host, settings.api.port) == ("0.0.0.0", 4321)  # noqa: S104 -- read, not bound


def test_secrets_are_taken_out_however_they_are_written() -> None:
    keys = dict.fromkeys(
        [*MODEL_KEYS, "HOLDFAST_MODELS__API_KEYS", "HOLDFAST_MODELS__API_KEYS__OPENAI"], "sk"
    )
    secrets = {"HOLDFAST_SECRET_TICKETS": "s"}
    everything = {**keys, **secrets, "PATH": "/bin"}
    assert without_secrets(everything, model_keys=True, tool_secrets=True) == {"PATH": "/bin"}
    assert without_secrets(everything, model_keys=False, tool_secrets=True) == {**keys, "PATH": "/bin"}
    assert without_secrets(everything, model_keys=True, tool_secrets=False) == {**secrets, "PATH": "/bin"}


def test_every_setting_is_described() -> None:
    assert [setting.variable for setting in all_settings() if not setting.field.description] == []
