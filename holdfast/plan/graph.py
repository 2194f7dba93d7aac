"""The graph of a plan: who waits for whom, and who may go next. Deterministic: ties go by the order of the plan."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

from holdfast.plan import conditions
from holdfast.plan.references import Reference, references_in
from schemas.plans import OnError, Plan, Step, StepState


def dependencies(step: Step) -> frozenset[str]:
    """What a step waits for: said (`depends_on`) or implied by a reference."""
    implied = {
        reference.step
        for reference in (*references_before(step), *references_within(step), *references_after(step))
    }
    return frozenset(step.depends_on) | {name for name in implied if name}


def references_before(step: Step) -> list[Reference]:
    """What decides whether and how often the step runs: its condition, its list."""
    condition = conditions.references_of(step.when) if step.when else ()
    return [*references_in(step.for_each or ""), *condition]


def references_within(step: Step) -> list[Reference]:
    """What is read each time the step does its work."""
    return list(references_in([*_texts(step)]))


def references_after(step: Step) -> list[Reference]:
    """What is read of the call's own output, and beside it, to say whether the step did what it should."""
    expect = step.expect if step.kind == "tool" else None
    return list(conditions.references_of(expect)) if expect else []


def _texts(step: Step) -> Iterator[object]:
    match step.kind:
        case "tool":
            yield step.arguments
        case "agent":
            yield step.goal
            yield step.inputs
        case "panel":
            yield step.question
            yield step.context
        case "approval":
            yield step.message
        case "wait":
            yield step.until or ""


class Frontier:
    """What of a plan is still to do. `pop` gives the steps that may start; `end` opens the way for those behind."""

    def __init__(self, plan: Plan, states: Mapping[str, StepState]) -> None:
        self._steps = {step.id: step for step in plan.steps}
        self._waits: dict[str, frozenset[str]] = {}
        self._behind: dict[str, list[str]] = {name: [] for name in self._steps}
        self._open: dict[str, int] = {}
        self._ready: deque[str] = deque()
        self._closed: set[str] = set()
        for step in plan.steps:
            waits_for = dependencies(step) & self._steps.keys()
            self._waits[step.id] = waits_for
            self._open[step.id] = len(waits_for)
            for name in waits_for:
                self._behind[name].append(step.id)
        self._ready.extend(name for name, count in self._open.items() if count == 0)
        for step in plan.steps:
            if states.get(step.id, StepState.PENDING).ended:
                self.end(step.id, states[step.id])

    def pop(self) -> Step | None:
        """The next step that may start, or None while all that is left waits."""
        while self._ready:
            name = self._ready.popleft()
            if name not in self._closed:
                return self._steps[name]
        return None

    def row(self, first: Step, longest: int, joins: Callable[[Step, Step], bool]) -> list[Step]:
        """The step, and those behind it that go one after another: whenever one succeeds, just one other may start, and
        `joins` has nothing against it. Nothing is decided or run side by side within a row."""
        row = [first]
        while len(row) < longest:
            names = {step.id for step in row}
            opened = [name for name in self._behind[row[-1].id] if self._opened_by(names, name)]
            if len(opened) != 1 or not joins(first, self._steps[opened[0]]):
                break
            row.append(self._steps[opened[0]])
        return row

    def _opened_by(self, names: set[str], follower: str) -> bool:
        return follower not in self._closed and self._open[follower] == len(self._waits[follower] & names)

    def more(self) -> bool:
        """Whether a step could start at once."""
        return any(name not in self._closed for name in self._ready)

    def end(self, name: str, state: StepState) -> list[str]:
        """A step has ended. The steps that can no longer run, because they needed it, come back."""
        self._closed.add(name)
        if passes(self._steps[name], state):
            for follower in self._behind[name]:
                self._open[follower] -= 1
                if self._open[follower] == 0 and follower not in self._closed:
                    self._ready.append(follower)
            return []
        return self._close_behind(name)

    def _close_behind(self, name: str) -> list[str]:
        lost: list[str] = []
        queue = deque(self._behind[name])
        while queue:
            follower = queue.popleft()
            if follower not in self._closed:
                self._closed.add(follower)
                lost.append(follower)
                queue.extend(self._behind[follower])
        return lost


def passes(step: Step, state: StepState) -> bool:
    """Whether the steps behind may go on when this one ended so."""
    good = state in (StepState.SUCCEEDED, StepState.SKIPPED)
    return good or (step.on_error is OnError.CONTINUE and state is not StepState.CANCELLED)


def cycle_in(edges: Mapping[str, Iterable[str]]) -> list[str]:
    """One cycle, as the names along it; empty where there is none. Iterative: plans may be deep."""
    state: dict[str, int] = {}
    for start in edges:
        if state.get(start):
            continue
        trail = [start]
        stack = [iter(edges[start])]
        state[start] = 1
        while stack:
            following = next(stack[-1], None)
            if following is None:
                state[trail.pop()] = 2
                stack.pop()
            elif state.get(following) == 1:
                return [*trail[trail.index(following) :], following]
            elif following in edges and not state.get(following):
                state[following] = 1
                trail.append(following)
                stack.append(iter(edges[following]))
    return []
