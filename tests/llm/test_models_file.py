"""The models file: what it says reaches the router, and what is wrong with it is told at once, with its line."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from holdfast.adapters.llm.pacing import limits_in
from holdfast.adapters.llm.settings import settings_from
from holdfast.cli.models import models
from holdfast.embedded.examination import _models
from holdfast.errors import Conflict, Misconfigured
from holdfast.llm.models_file import read_models
from holdfast.llm.remarks import decisions_for, remarks_on, require_model
from holdfast.runtime.settings import ModelSettings as Section
from holdfast.runtime.settings import Settings
from schemas.chat import TaskClass
from schemas.models import Deployment, ModelSettings, Price
from schemas.routing import Exclusion

EXAMPLE = (Path(__file__).parents[2] / "examples" / "models.yaml").read_text(encoding="utf-8")


def read(text: str) -> ModelSettings:
    return read_models(text, name="models.yaml")


def order(settings: ModelSettings, task: TaskClass) -> list[str]:
    return [each.deployment for each in decisions_for(settings)[task].order]


def passed_over(settings: ModelSettings, task: TaskClass) -> Mapping[str, Exclusion]:
    return {each.deployment: each for each in decisions_for(settings)[task].excluded}


def test_the_example_means_what_its_comments_say() -> None:
    settings = read(EXAMPLE)
    assert order(settings, TaskClass.PLAN) == ["large", "small", "house"]
    assert order(settings, TaskClass.JUDGE) == ["small"]
    assert order(settings, TaskClass.REACT)[0] == "house"
    assert passed_over(settings, TaskClass.REACT)["large"].code == "cost"
    assert order(settings, TaskClass.SUMMARISE) == ["house"]
    assert {each.code for each in passed_over(settings, TaskClass.SUMMARISE).values()} == {"residency"}
    assert decisions_for(settings)[TaskClass.ANSWER].experiment == "who-answers"
    assert settings.deployments[0].key == "openai"
    assert settings.deployments[2].key is None
    assert settings.prices == {"text-embedding-3-small": Price(input=0.02)}
    assert limits_in(settings) == {"models.provider.openai": 5, "models.deployment.house": 2}


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("strength: 5", "strenth: 5", r"line \d+: deployments.0.strenth: there is no such field"),
        ("via: openai", "via: opnai", r"line \d+: deployments.2.via: Input should be"),
        ("judge: small", "juge: small", r"line \d+: routes.juge: Input should be 'plan'"),
        ("judge: small", "judge: smal", "route of `judge` names `smal`; deployments are: large, small"),
        ("name: small", "name: large", "two deployments are called `large`"),
        ("openai: 5", "opnai: 5", "`calls_per_s` names `opnai`; providers here are: anthropic, openai"),
        ("openai: 5", "openai: 0", r"line \d+: calls_per_s.openai: Input should be greater than 0"),
        ("residency: on-prem", "residency: mars", "asks for `mars`, a label that no deployment carries"),
        ("deployments:", "deployment:", "lists no `deployments`"),
        ("deployments:", "deployments: [", r"line \d+: it is not YAML"),
        ("strength: 5", "strength: 5\n    key: sk-abcdefghijk", "never the key"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(before: str, after: str, told: str) -> None:
    assert before in EXAMPLE
    with pytest.raises(Misconfigured, match=told) as refused:
        read(EXAMPLE.replace(before, after, 1))
    assert "sk-abcdefghijk" not in str(refused.value)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    bad = EXAMPLE.replace("strength: 5", "strenth: 5").replace("via: openai", "via: opnai")
    with pytest.raises(Misconfigured, match=r"strenth.*opnai|strenth.*via"):
        read(bad)


def test_what_would_keep_a_model_from_being_called_is_remarked() -> None:
    settings = read("deployments: [{name: only, model: openai/nobody-knows}]")
    told = list(remarks_on(settings, keys=()))
    assert any("no price is known" in remark for remark in told)
    assert any("key `openai` is not set" in remark for remark in told)
    assert "plan: no deployment serves it" in told
    assert any("plans are not judged" in remark for remark in told)


def test_a_file_and_a_variable_may_not_say_the_same(tmp_path: Path) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(EXAMPLE)
    assert len(settings_from(Section(file=file)).deployments) == 3
    with pytest.raises(Misconfigured, match="HOLDFAST_MODELS__DEFAULT and the models file"):
        settings_from(Section(file=file, default="openai/gpt-5"))
    with pytest.raises(Misconfigured, match="HOLDFAST_MODELS__TIMEOUT_S and the models file"):
        settings_from(Section(file=file, timeout_s=5))
    with pytest.raises(Misconfigured, match="cannot be read"):
        settings_from(Section(file=tmp_path / "elsewhere.yaml"))


def test_a_few_variables_are_enough_for_limits_and_outages() -> None:
    settings = settings_from(
        Section(default="openai/gpt-5", calls_per_s={"openai": 0.5}, when_away="pause", timeout_s=30)
    )
    assert limits_in(settings) == {"models.provider.openai": 0.5}
    assert (settings.when_away, settings.timeout_s) == ("pause", 30)
    with pytest.raises(Misconfigured, match="greater than 0"):
        settings_from(Section(default="openai/gpt-5", calls_per_s={"openai": 0}))


def test_the_command_says_what_a_file_means_or_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.yaml").write_text(EXAMPLE)
    done = CliRunner().invoke(models, ["check", "models.yaml"])
    assert done.exit_code == 0, done.output
    assert "plan       goes to large, then small, then house" in done.output
    assert "✗ large: it may cost more than 0.03 USD" in done.output
    assert "5 calls/s" in done.output
    assert "note: large: its key `openai` is not set here" in done.output
    (tmp_path / "models.yaml").write_text("deployments: 3")
    failed = CliRunner().invoke(models, ["check", "models.yaml"])
    assert isinstance(failed.exception, Misconfigured)


def test_the_doctor_looks_into_the_file(tmp_path: Path) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(EXAMPLE)
    keys = {"openai": SecretStr("x"), "anthropic": SecretStr("y")}
    assert _models(Settings(models=Section(file=file, api_keys=keys))).level == "good"
    keyless = _models(Settings(models=Section(file=file)))
    assert (keyless.level, "OPENAI_API_KEY" in keyless.remedy) == ("bad", True)
    file.write_text("deployments: 3")
    assert "deployments" in _models(Settings(models=Section(file=file))).what


def test_work_for_which_no_model_may_be_asked_is_refused_before_it_begins() -> None:
    settings = ModelSettings(deployments=(Deployment(name="new", model="nobody-knows-its-price"),))
    with pytest.raises(Conflict, match="no price is known for nobody-knows-its-price") as refused:
        require_model(TaskClass.SUMMARISE, settings)
    assert "holdfast models prices" in (refused.value.remedy or "")
    require_model(TaskClass.SUMMARISE, settings.model_copy(update={"allow_unpriced": True}))
