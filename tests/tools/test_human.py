"""A question to a person: what they wrote comes back, and nobody else can answer it."""

import pytest

from holdfast.guardian.guardian import PolicyGuardian
from holdfast.guardian.trials import request_of
from holdfast.tools.builtin.human import ask
from schemas.policies import Example
from schemas.verdicts import Decision
from tests.tools.conftest import Caller, code_of


async def test_what_the_person_wrote_is_the_output() -> None:
    call = Caller(ask)
    asked = {"question": "Which disk?", "options": ["/data", "/wal"]}
    assert (await call("human.ask", **asked, answer=" /wal ")).output == {"answer": "/wal", "option": 1}
    other = await call("human.ask", **asked, answer="neither")
    assert (other.output, other.untrusted) == ({"answer": "neither", "option": None}, False)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"question": "Which?"}, "tool_failed"),
        ({"question": "Which?", "answer": "  "}, "tool_failed"),
        ({"question": ""}, "bad_arguments"),
        ({}, "bad_arguments"),
        ({"question": "Which?", "to": "me"}, "bad_arguments"),
    ],
)
async def test_no_answer_is_no_answer(arguments: dict[str, str], code: str) -> None:
    assert code_of(await Caller(ask)("human.ask", **arguments)) == code


@pytest.mark.parametrize("environment", ["dev", "prod"])
async def test_a_question_always_waits_for_a_person(environment: str) -> None:
    """Also one that comes with an answer: it is a suggestion."""
    example = Example.model_validate(
        {
            "tool": "human.ask",
            "payload": "none",
            "effect": "read_only",
            "environment": environment,
            "arguments": {"question": "Which?", "answer": "mine"},
        }
    )
    record = await PolicyGuardian.shipped().judge(request_of(example))
    assert record.verdict.decision is Decision.REQUIRE_APPROVAL
    assert [match.policy for match in record.matches if match.policy == "holdfast.human-answers"]
