"""Which process hosts what: for each task queue, its activities and workflows, over ports."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from temporalio.client import Client
from temporalio.worker import Interceptor, Worker

from activities.act import ActActivities
from activities.ask import AskActivities
from activities.catalogues import Catalogues
from activities.guard import GuardActivities
from activities.ingest import IngestActivities, QuestionActivities
from activities.judge_action import OpinionActivities, Opinions
from activities.moving import Moves
from activities.panel import PanelActivities
from activities.remember import RememberActivities
from activities.scheduled_run import Accepting, ScheduledRunActivities
from activities.story import StoryActivities
from activities.think import LookBackActivities, ThinkActivities
from activities.webhook_delivery import WebhookActivities
from holdfast.knowledge.ports import IngestDesk, QuestionDesk
from holdfast.llm.lessons import LessonWriter
from holdfast.llm.panels.ports import Panels
from holdfast.ports import Approvals, Artifacts, Guardian, Ledger, Memory, Planner, Runs, Story, ToolHost
from holdfast.runtime.settings import Queue, TemporalSettings, WorkerSettings
from holdfast.runtime.workers import worker_options
from holdfast.tools.traced import TracedTools
from holdfast.webhooks import Deliveries
from workflows.agent_run import AgentRun
from workflows.ingest import Ingestion
from workflows.scheduled_run import ScheduledRun
from workflows.webhook_delivery import WebhookDelivery


@dataclass(frozen=True)
class Pool:
    """What one task queue's workers do."""

    queue: Queue
    activities: Sequence[Callable[..., Any]]
    workflows: Sequence[type] = field(default_factory=tuple)

    def worker(
        self,
        client: Client,
        *,
        workers: WorkerSettings,
        temporal: TemporalSettings,
        interceptors: Sequence[Interceptor] = (),
    ) -> Worker:
        return Worker(
            client,
            activities=self.activities,
            workflows=self.workflows,
            interceptors=interceptors,
            **worker_options(self.queue, workers=workers, temporal=temporal),
        )


def orchestration(
    *,
    story: Story,
    runs: Runs,
    artifacts: Artifacts,
    guardian: Guardian,
    ledger: Ledger,
    approvals: Approvals,
    fast_tools: ToolHost,
    memory: Memory,
    deliveries: Deliveries | None = None,
    acceptance: Accepting | None = None,
) -> Pool:
    """Runs themselves, and what they ask of Postgres, the guardian and memory as local activities; runs that start by the
    clock, and webhooks on their way."""
    tell = StoryActivities(story=story, runs=runs, artifacts=artifacts)
    guard = GuardActivities(
        guardian=guardian,
        ledger=ledger,
        fast_tools=TracedTools(fast_tools),
        story=story,
        catalogues=Catalogues(runs=runs),
    )
    ask = AskActivities(approvals=approvals, ledger=ledger)
    remember = RememberActivities(memory=memory)
    hooks = WebhookActivities(deliveries=deliveries) if deliveries else None
    clock = ScheduledRunActivities(acceptance=acceptance, runs=runs) if acceptance else None
    return Pool(
        Queue.ORCHESTRATION,
        activities=(
            tell.record,
            tell.open_child,
            tell.load_output,
            tell.look_up,
            tell.look_at_run,
            tell.past,
            guard.check,
            guard.outlook,
            guard.judge,
            guard.perform,
            ask.ask,
            ask.read_approval,
            ask.expire_approval,
            ask.withdraw_approval,
            ask.doubt,
            ask.resolve,
            remember.recall,
            remember.learn,
            *((hooks.deliver, hooks.bury) if hooks else ()),
            *((clock.accept_scheduled,) if clock else ()),
        ),
        workflows=(
            AgentRun,
            *((WebhookDelivery,) if hooks else ()),
            *((ScheduledRun,) if clock else ()),
        ),
    )


def tools(*, ledger: Ledger, tools: ToolHost, artifacts: Artifacts, worker: str) -> Pool:
    """Tool calls, and nothing else: no model keys, no policies."""
    act = ActActivities(ledger=ledger, tools=TracedTools(tools), artifacts=artifacts, worker=worker)
    return Pool(Queue.TOOLS, activities=(act.act,))


def moves(*, guardian: Guardian, ledger: Ledger, fast_tools: ToolHost) -> Moves:
    """Who judges a model's move where the model is asked."""
    return Moves(guardian=guardian, ledger=ledger, fast_tools=TracedTools(fast_tools))


def llm(
    *,
    planner: Planner,
    runs: Runs,
    story: Story,
    moves: Moves | None = None,
    lessons: LessonWriter | None = None,
    panels: Panels | None = None,
    opinions: Opinions | None = None,
    questions: QuestionDesk | None = None,
) -> Pool:
    """Everything that needs a model's key."""
    think = ThinkActivities(planner=planner, catalogues=Catalogues(runs=runs), story=story, moves=moves)
    ask = QuestionActivities(desk=questions)
    look_back = LookBackActivities(writer=lessons)
    sit = (PanelActivities(panels=panels).convene,) if panels else ()
    opine = (OpinionActivities(opinions=opinions).judge_action,) if opinions else ()
    return Pool(
        Queue.LLM,
        activities=(
            think.plan,
            think.next_move,
            think.answer,
            look_back.write_lessons,
            ask.question_page,
            *sit,
            *opine,
        ),
    )


def knowledge(*, desk: IngestDesk) -> Pool:
    """Documents on their way into the library."""
    ingest = IngestActivities(desk=desk)
    return Pool(
        Queue.KNOWLEDGE,
        activities=(ingest.ingest_page, ingest.ingest_finish),
        workflows=(Ingestion,),
    )
