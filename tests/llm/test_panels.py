"""Panels over the wire: voices that agree, lie, die and dawdle."""

from collections.abc import AsyncIterator, Sequence
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.adapters.llm.keys import KeyRing
from holdfast.adapters.llm.providers import Providers
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.panels import PostgresPanelBook
from holdfast.errors import Unavailable
from holdfast.ids import new_id
from holdfast.llm.caller import ModelCaller
from holdfast.llm.panels.agreement import count_agreement
from holdfast.llm.panels.analytics import analysed
from holdfast.llm.panels.ballot import Ballot
from holdfast.llm.panels.opposites import opposed
from holdfast.llm.panels.panel import Panel
from holdfast.llm.panels.rubric import count_ranks, shown_to
from holdfast.llm.panels.sitting import Occasion
from holdfast.llm.panels.votes import count_votes
from holdfast.testing.model_memory import MemoryBreakers, MemorySpend
from holdfast.testing.model_server import ModelServer
from holdfast.testing.script import Call, Fault, Match, Reply, Rule
from schemas.base import JsonObject
from schemas.models import Deployment, ModelSettings, Price
from schemas.panels import PanelMethod, PanelRequest, PanelResult, Voice

MODELS = ("one", "two", "three", "dead", "slow", "liar")


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    rules = [
        Rule(match=Match(model="dead"), replies=(Reply(fault=Fault(kind="overloaded")),)),
        Rule(match=Match(model="slow"), replies=(Reply(data={"answer": "late"}, delay_s=30),)),
    ]
    async with ModelServer(rules) as running:
        yield running


@pytest.fixture
async def panel(server: ModelServer, module_database: Database) -> AsyncIterator[Panel]:
    deployments = tuple(
        Deployment(
            name=name, model=name, via="openai", base_url=server.base_url, price=Price(input=1, output=1)
        )
        for name in MODELS
    )
    settings = ModelSettings(deployments=deployments)
    providers = Providers(keys=KeyRing({}))
    await providers.load(settings.deployments)
    ids = (f"call_{number}" for number in count())
    model = ModelCaller(
        settings=settings,
        provider=providers,
        spend=MemorySpend(),
        breakers=MemoryBreakers(rule=settings.breaker),
        new_call_id=ids.__next__,
    )
    book = PostgresPanelBook(database=module_database)
    yield Panel(model=model, keeping=model.keeping, book=book, new_panel_id=lambda: new_id("panel"))
    await providers.close()


def says(model: str, answer: str, choice: str | None = None, confidence: float = 0.7) -> Rule:
    data: JsonObject = {"answer": answer, "choice": choice, "confidence": confidence}
    return Rule(match=Match(model=model, form="voice"), replies=(Reply(data=data),))


def asked(*names: str, **more: object) -> PanelRequest:
    voices = tuple(Voice(name=name, model=name) for name in names)
    return PanelRequest.model_validate(
        {"question": "Is it safe to reboot?", "voices": voices, "voice_timeout_s": 5, **more}
    )


OCCASION = Occasion(tenant="default")
SAFE = ("safe", "unsafe")


async def test_a_dead_a_slow_and_a_lying_voice_do_not_decide(server: ModelServer, panel: Panel) -> None:
    server.rules += [says(name, "Yes, it is safe.", "safe") for name in ("one", "two", "three")]
    server.rules.append(says("liar", "It will explode.", "unsafe", confidence=1))
    result = await panel.convene(
        OCCASION, asked(*MODELS, method=PanelMethod.VOTE, choices=SAFE, voice_timeout_s=4, live_floor=3)
    )
    states = {voice.voice: voice.state for voice in result.voices}
    assert result.choice == "safe"
    assert result.score == 0.75
    assert not result.escalate
    assert result.dissent == ("It will explode.",)
    assert (states["dead"], states["slow"], states["liar"]) == ("failed", "late", "answered")
    assert {voice.voice for voice in result.voices if voice.agrees} == {"one", "two", "three"}
    assert all(voice.cost_usd > 0 and voice.latency_ms > 0 for voice in result.voices if voice.agrees)
    assert result.latency_ms < 20_000


class Falling(PostgresPanelBook):
    """Falls over when it is to keep its first result, as a worker that is killed does."""

    fallen = False

    async def keep(self, result: PanelResult) -> None:
        if not self.fallen:
            self.fallen = True
            raise Unavailable("killed")
        await super().keep(result)


async def test_a_panel_that_broke_off_asks_nobody_twice_and_keeps_to_its_budget(
    server: ModelServer, panel: Panel, module_database: Database
) -> None:
    server.rules += [says(name, "Yes.", "safe") for name in ("one", "two")]
    occasion = Occasion(tenant="default", panel_id=new_id("panel"))
    request = asked("one", "two", "three", method=PanelMethod.RUBRIC, choices=SAFE, budget_usd=0.006)
    server.rules.append(Rule(match=Match(form="ranking"), replies=(Reply(text="no ranking"),)))
    panel._book = book = Falling(database=module_database)
    with pytest.raises(Unavailable):
        await panel.convene(occasion, request)
    before = [call.model for call in server.calls if call.form == "voice"]
    assert {said.turn for said in await book.notes("default", occasion.panel_id or "")} == {
        "one/1/voice",
        "two/1/voice",
    }
    server.rules[-1:] = [says("three", "Yes.", "safe")]
    result = await panel.convene(occasion, request)
    after = [call.model for call in server.calls if call.form == "voice"][len(before) :]
    assert after == ["three"]
    assert result.live == 3
    assert result.cost_usd == pytest.approx(sum(voice.cost_usd for voice in result.voices))
    assert await panel.convene(occasion, request) == await book.find("default", result.id)
    assert await book.notes("default", result.id) == []


async def test_too_few_live_voices_ask_a_human(server: ModelServer, panel: Panel) -> None:
    server.rules.append(says("one", "Yes.", "safe"))
    result = await panel.convene(OCCASION, asked("one", "dead", method=PanelMethod.VOTE, choices=SAFE))
    assert result.escalate
    assert result.choice is None
    assert "1 of 2 voices answered" in result.reason


async def test_a_tie_asks_a_human(server: ModelServer, panel: Panel) -> None:
    server.rules += [says("one", "Yes.", "safe"), says("two", "No.", "unsafe")]
    result = await panel.convene(OCCASION, asked("one", "two", method=PanelMethod.VOTE, choices=SAFE))
    assert result.escalate
    assert "tie" in result.reason


async def test_a_choice_that_was_not_offered_is_sent_back(server: ModelServer, panel: Panel) -> None:
    wrong, right = {"answer": "Hm", "choice": "perhaps"}, {"answer": "Yes", "choice": "safe"}
    server.rules += [
        Rule(match=Match(model="one"), replies=(Reply(data=wrong), Reply(data=right))),
        says("two", "Yes", "safe"),
    ]
    result = await panel.convene(OCCASION, asked("one", "two", method=PanelMethod.VOTE, choices=SAFE))
    assert result.score == 1


async def test_free_answers_that_mean_the_same_stand_together(server: ModelServer, panel: Panel) -> None:
    server.rules += [
        says("one", "The disk is full of old logs."),
        says("two", "The disk is full of old logs now."),
        says("liar", "The disk is not full of old logs."),
    ]
    result = await panel.convene(OCCASION, asked("one", "two", "liar"))
    assert result.score == pytest.approx(2 / 3, abs=1e-3)
    assert result.dissent == ("The disk is not full of old logs.",)


async def test_ranking_is_anonymous_and_nobody_ranks_itself(server: ModelServer, panel: Panel) -> None:
    answers = {
        "one": "Reboot at night.",
        "two": "Reboot now.",
        "three": "Reboot now, please.",
        "liar": "Delete everything.",
    }
    server.rules += [says(name, text) for name, text in answers.items()]
    ranked: dict[str, str] = {}

    def rank(call: Call) -> Reply | None:
        if call.form != "ranking":
            return None
        ranked[call.model] = call.last
        letters = {
            letter: call.last.find(f"answer {letter}>>")
            for letter in "ABCD"
            if f"answer {letter}>>" in call.last
        }
        points: dict[str, JsonObject] = {}
        for letter, place in letters.items():
            text = call.last[place : place + 60]
            honest = 9 if "night" in text else 6 if "now" in text else 1
            points[letter] = {"correct": 10 - honest if call.model == "liar" else honest}
        return Reply(data={"scores": points})

    server.rules.append(rank)
    result = await panel.convene(
        OCCASION, asked(*answers, method=PanelMethod.RUBRIC, criteria=("correct",), threshold=0.4)
    )
    assert result.answer == "Reboot at night."
    assert all(answers[name] not in ranked[name] for name in answers)
    assert all(f"{name}:" not in text for text in ranked.values() for name in answers)


async def test_a_debate_ends_when_all_agree(server: ModelServer, panel: Panel) -> None:
    yes, no = {"answer": "Yes", "choice": "safe"}, {"answer": "No, it writes", "choice": "unsafe"}
    server.rules += [
        Rule(match=Match(model="one", contains=("it writes",)), replies=(Reply(data=no),)),
        Rule(match=Match(model="one"), replies=(Reply(data=yes),)),
        says("two", "No, it writes", "unsafe"),
    ]
    result = await panel.convene(
        OCCASION, asked("one", "two", method=PanelMethod.DEBATE, choices=SAFE, rounds=4)
    )
    assert result.rounds == 2
    assert result.choice == "unsafe"
    assert result.score == 1


async def test_a_debate_is_bounded(server: ModelServer, panel: Panel) -> None:
    server.rules += [says("one", "Yes", "safe"), says("two", "No", "unsafe")]
    result = await panel.convene(
        OCCASION, asked("one", "two", method=PanelMethod.DEBATE, choices=SAFE, rounds=2)
    )
    assert result.rounds == 3
    assert result.escalate


async def test_voices_that_were_often_wrong_count_for_less(
    server: ModelServer, panel: Panel, module_database: Database
) -> None:
    server.rules += [says(name, "Yes.", "safe") for name in ("one", "two")]
    server.rules += [says(name, "No.", "unsafe") for name in ("liar", "three")]
    book = PostgresPanelBook(database=module_database)
    for _ in range(10):
        await panel.convene(OCCASION, asked("one", "two", "liar", method=PanelMethod.VOTE, choices=SAFE))
    even = await panel.convene(OCCASION, asked("one", "liar", method=PanelMethod.VOTE, choices=SAFE))
    weighted = await panel.convene(
        OCCASION, asked("one", "liar", method=PanelMethod.WEIGHTED, choices=SAFE, threshold=0.8)
    )
    assert even.escalate
    assert weighted.choice == "safe"
    assert weighted.score > 0.8
    seen = analysed(await book.since("default", days=1))
    assert seen.agreement["one"]["two"] > seen.agreement["one"]["liar"]
    assert seen.reliability["one"] > seen.reliability["liar"]
    assert seen.cost_by_method["vote"] > 0


def ballots(*choices: str) -> list[Ballot]:
    return [Ballot(voice=f"v{place}", text=choice, choice=choice) for place, choice in enumerate(choices)]


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=9))
def test_a_vote_is_won_only_by_strictly_the_most(choices: Sequence[str]) -> None:
    tally = count_votes(ballots(*choices))
    most = max(choices.count(choice) for choice in choices)
    alone = [choice for choice in set(choices) if choices.count(choice) == most]
    assert (tally.winner is not None) == (len(alone) == 1)
    assert sum(tally.breakdown.values()) == pytest.approx(1, abs=1e-3)


def test_opposites_in_almost_the_same_words_do_not_agree() -> None:
    vectors = {"a": (1.0, 0.0), "b": (1.0, 0.01)}
    opposed = [
        Ballot(voice="a", text="It is safe to delete."),
        Ballot(voice="b", text="It is not safe to delete."),
    ]
    assert count_agreement(opposed, vectors).winner is None
    numbers = [Ballot(voice="a", text="Keep 3 replicas."), Ballot(voice="b", text="Keep 0 replicas.")]
    assert count_agreement(numbers, vectors).winner is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Scale the web tier up.", "Scale the web tier down."),
        ("The replica is healthy, the primary lags.", "The primary is healthy, the replica lags."),
        ("Enable the rule for port 443.", "Disable the rule for port 443."),
        ("The volume was unmounted.", "The volume was mounted."),
        ("The configuration is valid.", "The configuration is invalid."),
        ("Keep 3 of 5 replicas.", "Keep 2 of 5 replicas."),
        ("The deploys were stopped.", "The deploys are starting."),
    ],
)
def test_what_is_opposed_does_not_agree_however_alike_it_looks(one: str, other: str) -> None:
    vectors = {"a": (1.0, 0.0), "b": (1.0, 0.0)}
    assert (
        count_agreement([Ballot(voice="a", text=one), Ballot(voice="b", text=other)], vectors).winner is None
    )
    same = [Ballot(voice="a", text=one), Ballot(voice="b", text=one)]
    assert count_agreement(same, vectors).score == 1


@given(st.text(max_size=200), st.text(max_size=200))
def test_opposition_is_mutual_and_nothing_opposes_itself(one: str, other: str) -> None:
    assert opposed(one, other) == opposed(other, one)
    assert not opposed(one, one)


def test_one_judge_who_damns_everything_moves_little() -> None:
    three = ballots("x", "y", "z")
    scores = {"v0": {"v1": 9.0, "v2": 5.0}, "v1": {"v0": 6.0, "v2": 0.0}, "v2": {"v0": 6.0, "v1": 9.0}}
    assert count_ranks(three, scores).winner == "v1"


def test_a_judge_is_never_shown_its_own_answer() -> None:
    shown = shown_to("v1", ballots("x", "y", "z"), key="k")
    assert sorted(ballot.voice for ballot in shown.values()) == ["v0", "v2"]


async def test_a_result_is_kept_for_its_tenant_only(
    server: ModelServer, panel: Panel, module_database: Database
) -> None:
    server.rules += [says("one", "Yes", "safe"), says("two", "Yes", "safe")]
    result: PanelResult = await panel.convene(
        Occasion(tenant="another"), asked("one", "two", method=PanelMethod.VOTE, choices=SAFE)
    )
    book = PostgresPanelBook(database=module_database)
    assert [each.id for each in await book.page("another", limit=9)] == [result.id]
    assert result.id not in {each.id for each in await book.page("default", limit=99)}
