"""Models as they are deployed: what each costs, which of them a task may go to, and how they do."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Name, Payload, Request
from schemas.chat import TaskClass


class Price(Payload):
    """US dollars for a million tokens."""

    input: float = Field(ge=0)
    output: float = Field(default=0, ge=0)
    cached_input: float | None = Field(default=None, ge=0)


class Deployment(Payload):
    """One model at one place."""

    name: Name
    model: str = Field(
        min_length=1, description="A litellm model name, or the name an OpenAI-compatible server knows."
    )
    via: Literal["litellm", "openai"] = "litellm"
    provider: Name | None = Field(
        default=None, description="Whose limits it counts against; what stands before the `/` of its model."
    )
    calls_per_s: float | None = Field(
        default=None, gt=0, description="The most calls a second, of all workers together."
    )
    base_url: str | None = None
    key: str | None = Field(
        default=None,
        description="Under which name the llm worker holds its key, as `openai`; never the key itself.",
    )
    context_tokens: int = Field(default=128_000, ge=256)
    output_tokens: int = Field(default=8192, ge=64, description="The most it may write in one answer.")
    sampling: bool = Field(
        default=True, description="Whether it lets a temperature be set; some reasoning models do not."
    )
    structured: Literal["schema", "json", "none"] = Field(
        default="schema", description="What the model can be bound to: a JSON schema, any JSON, or nothing."
    )
    strength: int = Field(
        default=3, ge=1, le=5, description="How hard a task it is meant for; 5 is the hardest."
    )
    residency: tuple[Name, ...] = Field(
        default=(), description="Labels of where the data goes, as `eu` or `on-prem`."
    )
    typical_latency_s: float = Field(default=5, gt=0, description="Until there are measurements.")
    price: Price | None = Field(default=None, description="Overrides the price list.")


class Arm(Payload):
    deployment: Name
    weight: float = Field(gt=0)


class Experiment(Payload):
    """An A/B split. A run stays with the arm it was first given."""

    name: Name
    arms: tuple[Arm, ...] = Field(min_length=1)


class Route(Payload):
    """Which deployments serve a task, in order, and within what."""

    deployments: tuple[Name, ...] = Field(default=(), description="In order of preference; empty means all.")
    max_cost_usd: float | None = Field(default=None, gt=0, description="For one call, as estimated.")
    max_latency_s: float | None = Field(default=None, gt=0)
    residency: Name | None = Field(default=None, description="A label that a deployment must carry.")
    by_complexity: bool = Field(default=False, description="The cheapest that is strong enough goes first.")
    learn: bool = Field(
        default=True, description="A deployment that measurably fails more often goes behind."
    )
    experiment: Experiment | None = None


class BreakerRule(Payload):
    """When a deployment is left alone, and for how long."""

    failures: int = Field(default=5, ge=1, description="In a row, to open.")
    cool_down_s: float = Field(default=15, gt=0)
    longest_s: float = Field(default=300, gt=0, description="Each failed probe doubles the wait, up to this.")
    probe_s: float = Field(
        default=60, gt=0, description="A probe that has not reported by then is presumed dead."
    )


class ModelSettings(Payload):
    """All that a deployment of Holdfast says about models. None at all is a valid setting: runbooks then plan."""

    deployments: tuple[Deployment, ...] = ()
    routes: dict[TaskClass, Route] = {}
    calls_per_s: dict[Name, Annotated[float, Field(gt=0)]] = Field(
        default={}, description="The most calls a second by provider, of all workers together."
    )
    prices: dict[str, Price] = Field(
        default={}, description="Overrides and additions to the price list, by model."
    )
    allow_unpriced: bool = Field(
        default=False, description="Call models of unknown price, and count them as free."
    )
    when_away: Literal["runbook", "pause"] = Field(
        default="runbook", description="No model answers: plan from runbooks and say so, or wait for a model."
    )
    review: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Whether a model judges each plan. `auto`: where another model judges than plans.",
    )
    breaker: BreakerRule = BreakerRule()
    timeout_s: float = Field(default=120, gt=0, description="For one answer of a planner.")
    repairs: int = Field(
        default=2, ge=0, le=5, description="How often a malformed answer is sent back to be mended."
    )


class ModelRoutes(Payload):
    """What a run keeps of the models there were when it began: which, by the name of their deployment, and for what."""

    models: dict[Name, str] = {}
    routes: dict[TaskClass, Route] = {}


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker(Payload):
    """The health of one deployment, shared by all workers."""

    deployment: Name
    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    opened: int = Field(
        default=0, description="How often in a row it was opened without a success in between."
    )
    until: datetime | None = Field(
        default=None, description="Open until then; or when the probe under way expires."
    )
    reason: str = ""


class TrackRecord(Payload):
    """How a deployment has done at a task: what the ledger of calls says."""

    deployment: Name
    task: TaskClass
    calls: int = 0
    successes: int = 0
    latency_ms: float = Field(default=0, description="Median of the answered calls of the last day.")
    cost_usd: float = Field(default=0, description="Mean of the answered calls.")
    at_least: float = Field(default=0, description="Of its share of successes, with 95 % confidence.")
    at_most: float = 1
    timed: int = Field(default=0, description="Answered calls of the last day.")
    latency_at_least_ms: float = Field(default=0, description="Of the median, with 95 % confidence.")
    latency_at_most_ms: float = 0
    cost_at_least_usd: float = Field(default=0, description="Of the mean, with 95 % confidence.")
    cost_at_most_usd: float = 0


class ArmReport(Payload):
    """How one arm of an experiment did."""

    arm: Name
    calls: int
    runs: int
    successes: int
    latency_ms: float
    cost_usd: float
    at_least: float = Field(default=0, description="Of its share of successes, with 95 % confidence.")
    at_most: float = 1


class PlanCacheCounts(Payload):
    """How often a kept plan served a goal in the last 30 days, and how often not."""

    exact: int = 0
    rebound: int = 0
    miss: int = 0
    refused: int = Field(default=0, description="A near plan was there, and would have been a guess.")


class DeploymentView(Payload):
    """A deployment as the API tells it: without its address, and without its key."""

    name: Name
    model: str
    provider: str
    calls_per_s: float | None = None
    context_tokens: int
    output_tokens: int
    strength: int
    residency: tuple[Name, ...] = ()
    price: Price | None = Field(default=None, description="US dollars for a million tokens, where known.")
    breaker: Breaker | None = Field(default=None, description="Its health, if it has failed at some time.")


class RouteView(Payload):
    """Where calls for one kind of task may go, in order."""

    task: TaskClass
    deployments: tuple[Name, ...]


class PriceView(Price):
    """A price that was set while running; it stands above the list that ships."""

    model: str


class PriceDraft(Request):
    """What a model costs, in US dollars for a million tokens. Workers read prices when they start."""

    model: str = Field(min_length=1, max_length=200)
    input: float = Field(ge=0, le=1e6)
    output: float = Field(default=0, ge=0, le=1e6)
    cached_input: float | None = Field(default=None, ge=0, le=1e6)
