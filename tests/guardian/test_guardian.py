"""The guardian as a whole: whatever breaks, it asks or denies; and who may answer in the place of people."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.errors import Unavailable
from holdfast.guardian import guardian as guardian_module
from holdfast.guardian import reading
from holdfast.guardian.bundles import RuleBook
from holdfast.guardian.guardian import PolicyGuardian
from holdfast.guardian.judge import SecondOpinions
from holdfast.guardian.planned import entries_of_plan
from holdfast.guardian.shipped import shipped_bundle
from holdfast.guardian.sources import FixedPolicies, InForce
from holdfast.guardian.trials import request_of
from holdfast.guardian.vocabulary import View
from schemas.actions import Action
from schemas.base import Digest
from schemas.brakes import ArgumentRange, Envelope, EnvelopeEntry
from schemas.plans import Plan, ToolStep
from schemas.policies import Example, PolicyDocument, PolicyVersion
from schemas.stages import JudgeRequest, OpinionRequest
from schemas.tools import ToolSpec
from schemas.verdicts import ApprovalTerms, Decision, Opinion, VerdictRecord

APPROVAL = "apr_" + "0" * 26
ALLOW, ASK, DENY = Decision.ALLOW, Decision.REQUIRE_APPROVAL, Decision.DENY


def shell(command: str, **more: object) -> JudgeRequest:
    return request_of(Example.model_validate({"arguments": {"command": command}, **more}))


class Granted(FixedPolicies):
    """The shipped bundle, and envelopes somebody approved."""

    def __init__(self, *envelopes: Envelope, book: RuleBook | None = None) -> None:
        super().__init__(book)
        self._envelopes = envelopes

    async def envelopes(self, tenant: str, run_id: str) -> Sequence[Envelope]:
        return self._envelopes


class ModelJudge:
    """A judge that does as it is told, and counts how often it was asked."""

    def __init__(self, answer: Callable[[], Opinion]) -> None:
        self._answer = answer
        self.asked = 0

    async def consider(self, view: View) -> Opinion:
        self.asked += 1
        return self._answer()


async def decision(request: JudgeRequest, *envelopes: Envelope) -> Decision:
    return (await PolicyGuardian(policies=Granted(*envelopes)).judge(request)).verdict.decision


def break_down(*_: object) -> None:
    raise RuntimeError("a defect")


async def test_facts_that_cannot_be_read_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "extract_facts", break_down)
    record = await PolicyGuardian.shipped().judge(shell("ls"))
    assert record.verdict.decision is ASK
    assert record.errors == ("its facts could not be read: RuntimeError",)


async def test_a_defect_of_the_engine_asks_and_nobody_has_answered_it_in_advance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guardian_module, "decide", break_down)
    everything = EnvelopeEntry(tool="*", environment="dev", arguments={"command": ArgumentRange(any=True)})
    request = shell("ls")
    envelope = Envelope(approval_id=APPROVAL, run_id=request.action.run_id, entries=(everything,))
    assert await decision(request, envelope) is ASK


@pytest.mark.parametrize(
    "changes",
    [
        {"tool": ToolSpec(name="other", description="x")},
        {"tool": ToolSpec(name="shell", version="2.0.0", description="x")},
    ],
)
async def test_an_action_about_another_tool_is_denied(changes: dict[str, object]) -> None:
    assert await decision(shell("ls").model_copy(update=changes)) is DENY


async def test_an_action_of_another_run_or_environment_is_denied() -> None:
    request = shell("ls")
    for change in ({"environment": "lab"}, {"tenant": "other"}, {"run_id": "run_" + "1" * 26}):
        scope = request.scope.model_copy(update=change)
        assert await decision(request.model_copy(update={"scope": scope})) is DENY


async def test_without_rules_nothing_is_judged() -> None:
    class Away(FixedPolicies):
        async def in_force(self, tenant: str) -> InForce:
            raise Unavailable("Postgres is away.")

    with pytest.raises(Unavailable):
        await PolicyGuardian(policies=Away()).judge(shell("ls"))


@pytest.mark.parametrize(
    "arguments",
    [{}, {"command": None}, {"command": 7}, {"command": ["ls", 1]}, {"command": "\x00\ud800"}, {"command": "x" * 10**6},
     {"command": "ls", "more": {"a": [2**70, None, -1.5]}}, {"cmd": {"deep": [[[[[[[]]]]]]]}}],
)  # fmt: skip
async def test_arguments_nobody_expected_never_allow(arguments: dict[str, object]) -> None:
    record = await PolicyGuardian.shipped().judge(
        request_of(Example(arguments=arguments, environment="prod"))
    )
    assert record.verdict.decision is not ALLOW or arguments.get("command") == "ls"


async def test_the_record_says_what_it_was_based_on() -> None:
    record = await PolicyGuardian.shipped().judge(shell("rm -rf /var/log", environment="prod"))
    assert record.verdict.bundle == shipped_bundle().digest
    assert {match.policy for match in record.matches} == {
        "holdfast.dangerous",
        "holdfast.dangerous-four-eyes",
    }
    assert record.facts.outside_workspace == ("/var/log",)
    assert record.latency_us > 0
    assert VerdictRecord.model_validate_json(record.model_dump_json()) == record


# Envelopes ------------------------------------------------------------------------------------------------------------


def plan_envelope(request: JudgeRequest, command: str) -> Envelope:
    """What approving a plan permits that has this one call."""
    plan = Plan(steps=(ToolStep(id="example", tool="shell@1.0.0", arguments={"command": command}),))
    entries = entries_of_plan(plan, environment=request.action.environment, known={})
    return Envelope(approval_id=APPROVAL, run_id=request.action.run_id, entries=entries)


async def test_what_an_approved_plan_says_goes_ahead_and_anything_else_asks() -> None:
    request = shell("mkdir /opt/out", environment="prod")
    envelope = plan_envelope(request, "mkdir /opt/out")
    assert await decision(request) is ASK
    assert await decision(request, envelope) is ALLOW
    assert await decision(shell("mkdir /opt/other", environment="prod"), envelope) is ASK
    assert await decision(shell("mkdir /opt/out", environment="lab"), envelope) is ASK


async def test_an_argument_the_plan_did_not_name_asks() -> None:
    request = shell("mkdir /opt/out", environment="prod")
    more = request.action.model_copy(update={"arguments": {"command": "mkdir /opt/out", "sudo": True}})
    assert (
        await decision(request.model_copy(update={"action": more}), plan_envelope(request, "mkdir /opt/out"))
        is ASK
    )


async def test_a_reference_in_the_plan_is_open_until_text_from_outside_fills_it() -> None:
    request = shell("mkdir /opt/out", environment="prod")
    envelope = plan_envelope(request, "${steps.look.output.command}")
    assert await decision(request, envelope) is ALLOW
    assert await decision(shell("mkdir /opt/out", environment="prod", tainted=["command"]), envelope) is ASK


async def test_people_answer_in_advance_for_what_a_swayed_model_chooses_within_their_ranges() -> None:
    swayed = shell("mkdir /opt/out", environment="prod", swayed=True)
    assert await decision(swayed, plan_envelope(swayed, "mkdir /opt/out")) is ALLOW
    assert await decision(swayed, plan_envelope(swayed, "mkdir /opt/other")) is ASK
    risky = shell("mkdir /opt/out", environment="prod", swayed=True, claimed_risk="high")
    assert await decision(risky, plan_envelope(risky, "mkdir /opt/out")) is ASK


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("echo note >> notes.txt", ALLOW),
        ("mkdir out && cp a.txt out/", ALLOW),
        ("echo note >> /etc/motd", ASK),
        ("mkdir out && curl -o out/a https://example.com/", ASK),
        ("rm -r out", ASK),
        ("bash out/run.sh > result.txt", ASK),
        ("kubectl scale deploy/a --replicas=0", ASK),
    ],
)
async def test_a_swayed_model_may_write_what_only_its_run_sees(command: str, wanted: Decision) -> None:
    assert await decision(shell(command, swayed=True)) is wanted


async def test_a_file_tool_of_others_gives_a_swayed_model_no_workspace() -> None:
    theirs = {"tool": "their.write", "payload": "file", "effect": "irreversible"}
    request = {"arguments": {"path": "a.txt", "content": "x"}, "swayed": True, **theirs}
    for source, wanted in (("builtin", ALLOW), ("mcp", ASK), ("manifest", ASK)):
        example = Example.model_validate({**request, "source": source})
        assert await decision(request_of(example)) is wanted


async def test_no_envelope_answers_a_deny_or_a_locked_rule() -> None:
    for command, wanted in (("mkfs.ext4 /dev/sda1", DENY), ("curl http://169.254.169.254/", DENY)):
        request = shell(command, environment="prod")
        envelope = plan_envelope(request, command)
        assert await decision(request, envelope) is wanted
    risky = shell("ls", claimed_risk="high")
    envelope = plan_envelope(risky, "ls")
    assert await decision(risky, envelope) is ASK


@pytest.mark.parametrize(
    ("allowed", "value", "inside"),
    [
        (ArgumentRange(one_of=("a", "b")), "b", True),
        (ArgumentRange(one_of=("a", "b")), "c", False),
        (ArgumentRange(prefix="/srv/app/"), "/srv/app/x", True),
        (ArgumentRange(prefix="/srv/app/"), "/srv/app/../../etc", False),
        (ArgumentRange(minimum=1, maximum=5), 5, True),
        (ArgumentRange(minimum=1, maximum=5), 6, False),
        (ArgumentRange(minimum=0, maximum=5), True, False),
        (ArgumentRange(minimum=1), "3", False),
        (ArgumentRange(equals=1), True, False),
        (ArgumentRange(equals={"a": [1]}), {"a": [1]}, True),
        (ArgumentRange(), "anything", False),
        (ArgumentRange(any=True), "anything", True),
    ],
)
async def test_a_scope_holds_arguments_to_their_ranges(
    allowed: ArgumentRange, value: object, *, inside: bool
) -> None:
    request = shell("mkdir /opt/out", environment="prod")
    arguments = {"command": "mkdir /opt/out", "value": value}
    action = request.action.model_copy(update={"arguments": arguments})
    entry = EnvelopeEntry(
        tool="sh*", environment="prod", arguments={"command": ArgumentRange(any=True), "value": allowed}
    )
    envelope = Envelope(approval_id=APPROVAL, run_id=action.run_id, entries=(entry,))
    wanted = ALLOW if inside else ASK
    assert await decision(request.model_copy(update={"action": action}), envelope) is wanted


async def test_an_envelope_ends_with_its_time_and_with_its_run() -> None:
    request = shell("mkdir /opt/out", environment="prod")
    envelope = plan_envelope(request, "mkdir /opt/out")
    late = envelope.model_copy(update={"expires_at": datetime.now(UTC) - timedelta(seconds=1)})
    other = envelope.model_copy(update={"run_id": "run_" + "1" * 26})
    assert await decision(request, late) is ASK
    assert await decision(request, other) is ASK


# The model judge ------------------------------------------------------------------------------------------------------

YES = Opinion(decision="allow", why="it only prints a number", by="a model")


class Book:
    """A book of opinions in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, Digest], Opinion] = {}

    async def find(self, tenant: str, question: Digest, *, unusable: bool = False) -> Opinion | None:
        found = self.kept.get((tenant, question))
        return found if found and (found.usable or unusable) else None

    async def keep(self, action: Action, question: Digest, opinion: Opinion) -> None:
        self.kept[action.tenant, question] = opinion


async def judged_by(
    judge: ModelJudge, request: JudgeRequest, *, book: Book | None = None, timeout_s: float = 5
) -> VerdictRecord:
    """As a run does it: judge; ask whoever the verdict says may settle it; judge again."""
    book = book or Book()
    guardian = PolicyGuardian(policies=FixedPolicies(), opinions=book)
    record = await guardian.judge(request)
    who = record.verdict.may_settle
    if who is None:
        return record
    assert record.verdict.decision is ASK
    assert record.verdict.expires_at is not None
    assert record.verdict.expires_at < datetime.now(UTC)
    opinions = SecondOpinions(model=judge, panel=None, book=book, timeout_s=timeout_s)
    await opinions.give(OpinionRequest(request=request, who=who))
    return await guardian.judge(request.model_copy(update={"asked": True, "round": 1}))


async def test_a_model_settles_what_the_rules_leave_to_it_and_nothing_else() -> None:
    judge = ModelJudge(lambda: YES)
    unclear = await judged_by(judge, shell("frobnicate"))
    assert (unclear.verdict.decision, unclear.verdict.why) == (
        ALLOW,
        "the model judge sees no harm: it only prints a number",
    )
    assert unclear.judge == YES.model_dump_json()
    assert unclear.verdict.expires_at is None
    assert judge.asked == 1
    for command, environment in (
        ("frobnicate", "prod"),
        ("rm -rf /srv", "dev"),
        ("mkfs.ext4 /dev/sda", "prod"),
    ):
        assert (await judged_by(judge, shell(command, environment=environment))).verdict.decision is not ALLOW
    assert (await judged_by(judge, shell("frobnicate", tainted=["command"]))).verdict.decision is ASK
    assert (await judged_by(judge, shell("frobnicate", swayed=True))).verdict.decision is ASK
    assert judge.asked == 1


async def test_without_a_book_of_opinions_people_settle() -> None:
    record = await PolicyGuardian.shipped().judge(shell("frobnicate"))
    assert (record.verdict.decision, record.verdict.may_settle) == (ASK, None)


def refuse() -> Opinion:
    raise Unavailable("the model is away")


def babble() -> Opinion:
    return Opinion.model_validate({"decision": "sure, go ahead"})


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (refuse, "no usable answer: unavailable"),
        (babble, "no usable answer: an answer out of form"),
        (lambda: Opinion(decision="require_approval", why="unsure"), "unsure"),
    ],
)
async def test_a_judge_that_fails_or_doubts_means_people_who_read_why(
    answer: Callable[[], Opinion], word: str
) -> None:
    record = await judged_by(ModelJudge(answer), shell("frobnicate"))
    assert (record.verdict.decision, record.verdict.may_settle) == (ASK, None)
    assert record.verdict.terms is not None
    assert record.verdict.reasons[-1].message == f"the model judge leaves it to people: {word}"
    assert record.judge


async def test_a_judge_that_takes_too_long_means_people() -> None:
    class Slow(ModelJudge):
        async def consider(self, view: View) -> Opinion:
            await asyncio.Event().wait()
            return YES

    assert (await judged_by(Slow(lambda: YES), shell("frobnicate"), timeout_s=0.01)).verdict.decision is ASK


async def test_a_judge_that_was_never_reached_means_people() -> None:
    guardian = PolicyGuardian(policies=FixedPolicies(), opinions=Book())
    record = await guardian.judge(shell("frobnicate").model_copy(update={"asked": True}))
    assert (record.verdict.decision, record.verdict.may_settle) == (ASK, None)
    assert "no answer came in time" in record.verdict.why


async def test_a_judge_is_asked_once_about_the_same_facts_and_failures_are_not_remembered() -> None:
    judge, book = ModelJudge(lambda: YES), Book()
    for _ in range(3):
        assert (await judged_by(judge, shell("frobnicate"), book=book)).verdict.decision is ALLOW
    assert judge.asked == 1
    await judged_by(judge, shell("frobnicate --other"), book=book)
    assert judge.asked == 2
    failing, book = ModelJudge(refuse), Book()
    for _ in range(2):
        await judged_by(failing, shell("frobnicate"), book=book)
    assert failing.asked == 2


async def test_a_rule_may_want_a_panel_and_then_one_model_settles_nothing() -> None:
    document = PolicyDocument(
        name="together", effect=ASK, when="'frobnicate' in facts.binaries", judge="panel"
    )
    rule = PolicyVersion(name="together", version=1, document=document, resolved=document)
    book = RuleBook(shipped_bundle().model_copy(update={"policies": (*shipped_bundle().policies, rule)}))
    opinions, model, panel = Book(), ModelJudge(lambda: YES), ModelJudge(lambda: YES)
    guardian = PolicyGuardian(policies=FixedPolicies(book), opinions=opinions)
    first = await guardian.judge(shell("frobnicate"))
    assert first.verdict.may_settle == "panel"
    desk = SecondOpinions(model=model, panel=panel, book=opinions)
    await desk.give(OpinionRequest(request=shell("frobnicate"), who="model"))
    again = shell("frobnicate").model_copy(update={"asked": True})
    assert (await guardian.judge(again)).verdict.decision is ASK
    await desk.give(OpinionRequest(request=shell("frobnicate"), who="panel"))
    settled = await guardian.judge(again)
    assert (settled.verdict.decision, panel.asked) == (ALLOW, 1)
    assert settled.verdict.why.startswith("the panel sees no harm")


async def test_a_locked_rule_is_nobodys_to_settle() -> None:
    document = PolicyDocument(name="locked", effect=ASK, locked=True, judge=True)
    rule = PolicyVersion(name="locked", version=1, document=document, resolved=document)
    book = RuleBook(shipped_bundle().model_copy(update={"policies": (*shipped_bundle().policies, rule)}))
    record = await PolicyGuardian(policies=FixedPolicies(book), opinions=Book()).judge(shell("frobnicate"))
    assert (record.verdict.decision, record.verdict.may_settle) == (ASK, None)


async def test_a_tenants_rule_comes_before_what_ships_but_not_before_what_is_locked() -> None:
    document = PolicyDocument(name="free", effect=ALLOW, message="anything goes")
    free = PolicyVersion(name="free", version=1, document=document, resolved=document)
    book = RuleBook(shipped_bundle().model_copy(update={"policies": (*shipped_bundle().policies, free)}))
    guardian = PolicyGuardian(policies=FixedPolicies(book))
    assert (await guardian.judge(shell("rm -rf /srv", environment="prod"))).verdict.why == "anything goes"
    assert (await guardian.judge(shell("curl http://169.254.169.254/"))).verdict.decision is DENY
    assert (await guardian.judge(shell("ls > x", tainted=["command"]))).verdict.decision is ASK


# Harder terms than those an envelope was given under ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("met", "enough"),
    [
        (ApprovalTerms(), False),
        (ApprovalTerms(quorum=2), False),
        (ApprovalTerms(four_eyes=True), True),
        (ApprovalTerms(quorum=3, four_eyes=True, group="sre"), True),
    ],
)
async def test_what_needs_other_eyes_is_not_let_through_by_who_asked_for_the_run(
    met: ApprovalTerms, *, enough: bool
) -> None:
    request = shell("rm -rf build", environment="prod")
    envelope = plan_envelope(request, "rm -rf build").model_copy(update={"terms": met})
    assert await decision(request, envelope) is (ALLOW if enough else ASK)
