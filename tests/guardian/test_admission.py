"""The gate: what a document must be before it can ever be asked, and what it inherits."""

import pytest
from pydantic import ValidationError

from holdfast.errors import Unprocessable
from holdfast.guardian.admission import admit, asked
from holdfast.guardian.rules import Rule
from holdfast.guardian.shipped import shipped_templates
from holdfast.guardian.trials import view_of
from schemas.policies import Example, PolicyDocument
from schemas.policy_desk import PolicyDraft
from schemas.verdicts import Decision
from tests.guardian.conftest import DocumentMaker


def test_a_good_document_becomes_a_version(document: DocumentMaker) -> None:
    admitted = admit(document(), version=3, author="ada", change_note="why")
    assert (admitted.key, admitted.author, admitted.change_note) == ("no-listing@3", "ada", "why")
    assert admitted.resolved == document()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"effect": None}, "no effect"),
        ({"when": "facts.nothing == 1"}, "facts.nothing"),
        ({"message": "{facts.nothing}"}, "facts.nothing"),
        ({"name": "holdfast.mine"}, "belong to the shipped policies"),
        ({"examples": {}}, "no example that it must match"),
        ({"examples": {"match": [{"arguments": {"command": "ls"}}]}}, "must leave alone"),
        ({"when": "'rm' in facts.binaries"}, r"examples.match\[0\] is not matched"),
        ({"when": ""}, r"examples.not_match\[0\] is matched"),
        ({"when": "facts.binaries[7] == 'ls'"}, "cannot be evaluated"),
        (
            {
                "when": "facts.hosts.exists(a, facts.paths_read.exists(b, facts.env_set.exists(c, a + b == c))) || 'ls' in facts.binaries"
            },
            "many commands and paths",
        ),
        ({"params": {"x": 1}}, "no parameter x"),
        ({"parameters": {"x": {"type": "int"}}}, "no value and no default"),
        ({"parameters": {"x": {"type": "int"}}, "params": {"x": "1"}}, "a whole number"),
        (
            {
                "parameters": {"x": {"type": "string"}},
                "params": {"x": "("},
                "when": "facts.kind.matches(params.x)",
            },
            "missing",
        ),
        ({"template": "nowhere"}, "no template nowhere"),
        ({"extends": {"name": "parent", "version": 1}}, "no policy parent@1"),
        ({"description": "a\x00b"}, "characters that no text has"),
    ],
)
def test_a_bad_document_is_refused_with_the_reason(
    document: DocumentMaker, changes: dict[str, object], why: str
) -> None:
    with pytest.raises(Unprocessable, match=why):
        admit(document(**changes), version=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"when": "x" * 1_000_000},
        {"on_error": "allow"},
        {"template": "deny-programs", "extends": {"name": "a", "version": 1}},
        {"expires_at": "2030-01-01T00:00:00"},
        {"efect": "deny"},
        {"scope": {"tools": ["sh*ll"]}},
        {"rollout": {"mode": "ab", "percent": 101}},
    ],
)
def test_a_document_of_the_wrong_shape_is_not_even_read(
    document: DocumentMaker, changes: dict[str, object]
) -> None:
    with pytest.raises(ValidationError):
        PolicyDraft.model_validate({"document": {**document().written(), **changes}})


def test_a_template_is_filled_and_its_fields_may_be_overridden() -> None:
    document = PolicyDocument.model_validate(
        {
            "name": "no-netcat",
            "template": "deny-programs",
            "params": {"programs": ["nc", "ncat"]},
            "message": "no netcat here",
            "examples": {
                "match": [{"arguments": {"command": "nc -l 9"}}],
                "not_match": [{"arguments": {"command": "ls"}}],
            },
        }
    )
    admitted = admit(document, version=1)
    assert (admitted.resolved.effect, admitted.resolved.message) == (Decision.DENY, "no netcat here")
    assert admitted.document == document


TEMPLATE_PARAMS: dict[str, dict[str, object]] = {
    "deny-programs": {"programs": ["nc"]},
    "ask-for-programs": {"programs": ["nc"]},
    "allow-changes-by-programs": {"programs": ["mkdir"]},
    "protect-paths": {"paths": ["/srv/"]},
    "allow-hosts": {"hosts": ["example.com"]},
    "only-hosts": {"hosts": ["example.com"]},
    "ask-where-text-matches": {"pattern": "drop +table"},
    "two-people-for-changes": {},
}
TEMPLATE_MATCHES = {
    "deny-programs": "nc -l 9",
    "ask-for-programs": "nc -l 9",
    "allow-changes-by-programs": "mkdir out",
    "protect-paths": "touch /srv/x",
    "allow-hosts": "curl https://example.com/",
    "only-hosts": "curl https://example.org/",
    "ask-where-text-matches": "psql -c 'drop  table a'",
    "two-people-for-changes": "mkdir out",
}


@pytest.mark.parametrize("name", shipped_templates())
def test_every_shipped_template_makes_a_policy_that_works(name: str) -> None:
    document = PolicyDocument.model_validate(
        {
            "name": "mine",
            "template": name,
            "params": TEMPLATE_PARAMS[name],
            "examples": {
                "match": [{"arguments": {"command": TEMPLATE_MATCHES[name]}}],
                "not_match": [{"arguments": {"command": "df -h"}}],
            },
        }
    )
    assert admit(document, version=1).resolved.when


def test_what_extends_a_policy_keeps_what_it_does_not_change(document: DocumentMaker) -> None:
    parent = admit(document(priority=7, parameters={"p": {"type": "int", "default": 1}}), version=1)
    child = admit(
        document(name="child", priority=None, extends={"name": "no-listing", "version": 1}, effect="allow"),
        version=1,
        parent=parent,
    )
    assert (child.resolved.priority, child.resolved.effect) == (7, Decision.ALLOW)
    assert "p" in child.resolved.parameters


@pytest.mark.parametrize("changes", [{"effect": "allow"}, {"locked": False}])
def test_what_extends_a_locked_policy_cannot_loosen_it(
    document: DocumentMaker, changes: dict[str, object]
) -> None:
    parent = admit(document(effect="require_approval", locked=True), version=1)
    child = document(name="child", extends={"name": "no-listing", "version": 1}, **changes)
    with pytest.raises(Unprocessable, match="stays locked"):
        admit(child, version=1, parent=parent)


def test_a_version_keeps_its_checksum_when_it_is_read_back(document: DocumentMaker) -> None:
    admitted = admit(document(expires_at="2030-01-31T12:00:00Z"), version=1)
    again = type(admitted).model_validate(admitted.model_dump(mode="json", exclude_unset=True))
    assert again.checksum == admitted.checksum


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ({}, True),
        ({"tools": ["shell"]}, True),
        ({"tools": ["sh*"], "environments": ["de*"]}, True),
        ({"tools": ["sh"]}, False),
        ({"agents": ["auditor"]}, False),
        ({"runbooks": ["restart"]}, True),
        ({"runbooks": ["other"]}, False),
        ({"labels": {"team": "shop"}}, True),
        ({"labels": {"team": "shop", "tier": "1"}}, False),
    ],
)
def test_a_scope_covers_what_it_names(
    document: DocumentMaker, scope: dict[str, object], *, covered: bool
) -> None:
    looked_at = Example(arguments={"command": "ls"}, runbook="restart", labels={"team": "shop"})
    examples = {"match": [looked_at.model_dump()]} if covered else {"not_match": [looked_at.model_dump()]}
    made = document(scope=scope, examples=examples)
    version = admit(document(), version=1).model_copy(update={"document": made, "resolved": made})
    assert bool(asked(Rule(version), view_of(looked_at))) is covered
