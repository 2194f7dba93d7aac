"""Where a run stands, while it runs: the mutable face of `RunState`. One workflow owns it."""

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from holdfast.plan.references import Reference, references_in
from schemas.agents import RunLimits
from schemas.base import JsonObject
from schemas.plans import Plan, StepState
from schemas.runs import RunInput, RunOutput, RunState, StepOutcome, Tries
from schemas.stages import Recollection
from schemas.tools import ToolResult

FAILURES = frozenset({StepState.FAILED, StepState.DENIED})
_REMEMBERED = 256


class Progress:
    """Outcomes, counters and what humans have said."""

    def __init__(self, start: RunInput) -> None:
        state = start.state
        self.plan: Plan | None = state.plan
        self.accepted = state.accepted
        self.inputs: JsonObject = dict(start.inputs)
        self.outcomes: dict[str, StepOutcome] = dict(state.outcomes)
        self.items: dict[str, dict[int, StepOutcome]] = {
            name: dict(items) for name, items in state.items.items()
        }
        self.limits = start.limits
        self.replans = state.replans
        self.steps_done = state.steps_done
        self.tool_s = state.tool_s
        self.spend_usd = state.spend_usd
        self.paused = state.paused
        self.instructions: list[str] = list(state.instructions)
        self.posted: dict[str, deque[JsonObject]] = {
            name: deque(events) for name, events in state.posted.items()
        }
        self.swayed: dict[str, None] = dict.fromkeys(state.swayed)
        self.set_back = state.set_back
        self._from_outside = start.from_outside
        self._heard: dict[str, None] = dict.fromkeys(state.heard)
        self.wakes: dict[str, datetime] = dict(state.wakes)
        self.deadlines: dict[str, datetime] = dict(state.deadlines)
        self.tries: dict[str, Tries] = dict(state.tries)
        self.children = dict(state.children)
        self.tell_end_to = state.tell_end_to
        self.deadline = state.deadline
        self.generation = state.generation
        self.life = state.life
        self.told_of = dict(state.told_of)

    def freeze(self) -> RunState:
        """All of it, for continue-as-new."""
        return RunState(
            plan=self.plan,
            accepted=self.accepted,
            outcomes=self.outcomes,
            items=self.items,
            replans=self.replans,
            steps_done=self.steps_done,
            tool_s=self.tool_s,
            spend_usd=self.spend_usd,
            paused=self.paused,
            instructions=tuple(self.instructions),
            posted={name: tuple(events) for name, events in self.posted.items()},
            swayed=tuple(self.swayed),
            set_back=self.set_back,
            heard=tuple(self._heard),
            wakes=self.wakes,
            deadlines=self.deadlines,
            tries=self.tries,
            children=self.children,
            tell_end_to=self.tell_end_to,
            deadline=self.deadline,
            generation=self.generation,
            life=self.life,
            told_of=self.told_of,
        )

    def next_key(self, kind: str, step: str | None = None) -> str:
        """The key of the next event of this kind that the workflow tells of its own accord. Each kind is counted by itself:
        a workflow that was set back may not have to wait for people again, and tells all else under its old key; under
        new ones from where it is known to live on behind what it told."""
        name = f"{kind}:{step}" if step else kind
        self.told_of[name] = self.told_of.get(name, 0) + 1
        return f"w{self.generation}{self.life}.{name}.{self.told_of[name]}"

    def heard(self, message: str) -> bool:
        """Whether this message came before: whoever sends one may have to send it twice."""
        if message in self._heard:
            return True
        self._heard[message] = None
        if len(self._heard) > _REMEMBERED:
            del self._heard[next(iter(self._heard))]
        return False

    def post(self, event: str, data: JsonObject) -> None:
        self.posted.setdefault(event, deque()).append(data)

    def take(self, event: str) -> JsonObject | None:
        """The oldest event of that name, for one step alone."""
        waiting = self.posted.get(event)
        if waiting is None:
            return None
        oldest = waiting.popleft()
        if not waiting:
            del self.posted[event]
        return oldest

    def states(self) -> dict[str, StepState]:
        return {name: outcome.state for name, outcome in self.outcomes.items()}

    def attempts(self, step: str) -> int:
        outcome = self.outcomes.get(step)
        return outcome.attempts if outcome else 0

    def scope(self, run_id: str, item: Any = None) -> dict[str, Any]:
        """What references can read."""
        return {
            "inputs": self.inputs,
            "item": item,
            "run": {"id": run_id},
            "steps": _StepsView(self.outcomes),
        }

    def tainted(self, arguments: JsonObject, *, for_each: str | None = None) -> tuple[str, ...]:
        """The arguments whose text comes, by reference, from outside."""
        return tuple(
            name for name, value in arguments.items() if self.is_from_outside(value, for_each=for_each)
        )

    def is_from_outside(self, value: Any, *, for_each: str | None = None) -> bool:
        """Whether a reference in this value reads what came from outside, directly or as an item of a list that did."""
        return any(
            self._untrusted(reference)
            or (reference.root == "item" and for_each is not None and self.is_from_outside(for_each))
            for reference in references_in(value)
        )

    def hears_outside(self, recalled: Recollection) -> bool:
        """Whether a model that is asked now has text from outside before it."""
        return (
            self._from_outside
            or any(outcome.untrusted for outcome in self.outcomes.values())
            or any(item.untrusted for item in recalled.items)
        )

    def chosen_outside(self, step: str, *values: Any) -> bool:
        """Whether text from outside has a part in what this step says, by reference or through a model."""
        return self.is_swayed(step) or any(map(self.is_from_outside, values))

    def is_swayed(self, step: str) -> bool:
        return step in self.swayed

    def used_by_another(self, output: RunOutput) -> None:
        """What a run used that worked for this one counts here too."""
        self.steps_done += output.steps_done
        self.tool_s += output.tool_s
        self.spend_usd += output.spend_usd

    def observed(self, result: ToolResult) -> None:
        self.tool_s += result.duration_ms / 1000

    def grant(self, limits: RunLimits) -> None:
        """Other limits from here on; more time for the run is counted from its start, as before."""
        if self.deadline is not None:
            self.deadline += timedelta(seconds=limits.wall_s - self.limits.wall_s)
        self.limits = limits

    def clocks_off(self, step: str) -> None:
        """The step has ended: should it be taken up again, its time begins anew."""
        self.wakes.pop(step, None)
        self.deadlines.pop(step, None)

    def failures(self) -> list[str]:
        """The steps that failed and whose failure stands in the way."""
        if self.plan is None:
            return []
        return [
            step.id
            for step in self.plan.steps
            if (outcome := self.outcomes.get(step.id))
            and outcome.state in FAILURES
            and step.on_error != "continue"
        ]

    def reopen(self, names: list[str]) -> None:
        """Let these steps, and those that were given up because of them, be tried again; of a `for_each`, the calls that
        did not succeed."""
        for name, outcome in list(self.outcomes.items()):
            if name in names or outcome.state is StepState.CANCELLED:
                self.outcomes[name] = still_to_do(outcome)
                if name in self.items:
                    self.items[name] = open_again(self.items[name])

    def _untrusted(self, reference: Reference) -> bool:
        if reference.root == "inputs":
            return self._from_outside
        outcome = self.outcomes.get(reference.step or "")
        return outcome is not None and outcome.untrusted


def still_to_do(outcome: StepOutcome) -> StepOutcome:
    """Only how often it was tried is remembered: the next attempt is another action."""
    return StepOutcome(state=StepState.PENDING, attempts=outcome.attempts)


def open_again(items: Mapping[int, StepOutcome]) -> dict[int, StepOutcome]:
    return {
        index: outcome if outcome.state is StepState.SUCCEEDED else still_to_do(outcome)
        for index, outcome in items.items()
    }


class _StepsView(Mapping[str, Any]):
    """`steps.<name>` with `output`, `state`, `error`, `summary`; built only for the step that is asked for."""

    def __init__(self, outcomes: Mapping[str, StepOutcome]) -> None:
        self._outcomes = outcomes

    def __getitem__(self, name: str) -> Any:
        outcome = self._outcomes[name]
        return {
            "output": outcome.output,
            "state": outcome.state.value,
            "summary": outcome.summary,
            "error": outcome.error.model_dump(mode="json") if outcome.error else None,
            "artifact": outcome.artifact.digest if outcome.artifact else None,
        }

    def __iter__(self) -> Any:
        return iter(self._outcomes)

    def __len__(self) -> int:
        return len(self._outcomes)
