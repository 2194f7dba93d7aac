"""Python and SQL of daily work and of attacks, as they were written without looking at the readers: what these have learnt
stays."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.guardian.facts import ActionView, PayloadKind, default_decision, extract_facts
from schemas.verdicts import Decision

DATA = Path(__file__).parents[1] / "data" / "guardian"
LANGUAGES: tuple[PayloadKind, ...] = ("python", "sql")


def texts(name: str) -> Iterator[tuple[PayloadKind, str]]:
    for language in LANGUAGES:
        for text in (DATA / f"{language}_{name}.txt").read_text(encoding="utf-8").split("####\n"):
            yield language, text


def decision(language: PayloadKind, text: str) -> Decision:
    field = "code" if language == "python" else "sql"
    return default_decision(extract_facts(ActionView(tool=language, kind=language, arguments={field: text})))


@pytest.mark.parametrize(("language", "text"), list(texts("looks")))
def test_what_only_looks_goes_ahead(language: PayloadKind, text: str) -> None:
    assert decision(language, text) is Decision.ALLOW


@pytest.mark.parametrize(("language", "text"), list(texts("asks")))
def test_what_does_more_does_not(language: PayloadKind, text: str) -> None:
    assert decision(language, text) is not Decision.ALLOW
