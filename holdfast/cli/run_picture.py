"""A run as a picture of this terminal's size: one line a step, cut to the width, folded to the height."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from holdfast.cli.plain import plain
from holdfast.cli.run_view import UNDER_WAY, RunView, StepLine
from schemas.plans import StepState
from schemas.runs import RunStatus
from schemas.verdicts import Decision

_MARKS = {
    StepState.PENDING: ("·", "dim"),
    StepState.RUNNING: ("▸", "cyan"),
    StepState.WAITING: ("⏸", "yellow"),
    StepState.SUCCEEDED: ("✓", "green"),
    StepState.FAILED: ("✗", "red"),
    StepState.SKIPPED: ("↷", "dim"),
    StepState.DENIED: ("⊘", "red"),
    StepState.UNKNOWN: ("?", "yellow"),
    StepState.CANCELLED: ("■", "dim"),
}
_STATUS_STYLE = {
    RunStatus.SUCCEEDED: "green",
    RunStatus.FAILED: "red",
    RunStatus.TIMED_OUT: "red",
    RunStatus.REJECTED: "red",
    RunStatus.INPUT_REQUIRED: "yellow",
    RunStatus.PAUSED: "yellow",
}
_MINUTE_S = 60
_TOOL_WIDTH, _TIME_WIDTH = 18, 9
_MOST_WAITING = 3


@dataclass(frozen=True)
class Row:
    """One line of the tree. `weight`: what is folded first is lightest."""

    left: Text
    tool: str = ""
    time: str = ""
    weight: int = 9


@dataclass(frozen=True)
class Picture:
    """The run as it stands. `whole` shows all of it, however high; the last picture is whole."""

    view: RunView
    now: datetime | None = None
    whole: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        now = self.view.now if self.view.status.ended else self.now or self.view.now
        above, below = list(_head(self.view, now)), list(_foot(self.view))
        rows = list(_rows(self.view, now, ""))
        if not self.whole:
            rows = _folded(rows, max(3, console.height - len(above) - len(below) - 2))
        yield Group(*above, *_lines(rows), *below)
        if self.view.answer and self.whole:
            yield Text(f"\n{plain(self.view.answer)}")


def _head(view: RunView, now: datetime | None) -> Iterator[RenderableType]:
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(no_wrap=True)
    line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    line.add_column(no_wrap=True, justify="right")
    status = Text(view.status.value, style=f"bold {_STATUS_STYLE.get(view.status, 'cyan')}")
    since = (now - view.started).total_seconds() if view.started and now else 0.0
    cost = f"  ${view.cost():.4f}" if view.cost() else ""
    line.add_row(status, Text(_flat(view.goal), style="bold"), Text(f"{span(since)}{cost}", style="dim"))
    yield line
    yield _cut(view.run_id, "dim")
    if view.reason and not view.waiting():
        yield _cut(view.reason, _STATUS_STYLE.get(view.status, "dim"))


def _foot(view: RunView) -> Iterator[RenderableType]:
    for note in view.notes[-3:]:
        yield _cut(note, "dim")
    waiting = view.waiting()
    for approval_id, what in list(waiting.items())[:_MOST_WAITING]:
        yield Text("")
        yield _cut(f"waits for you: {_flat(what)}", "yellow")
        yield _cut(f"  holdfast approvals show|approve|reject {approval_id}", "yellow")
    if view.status is RunStatus.PAUSED or (view.status is RunStatus.INPUT_REQUIRED and not waiting):
        yield Text("")
        yield _cut(f"goes on with: holdfast runs resume {view.run_id}", "yellow")
    if len(waiting) > _MOST_WAITING:
        yield _cut(f"and {len(waiting) - _MOST_WAITING} more: holdfast approvals ls", "yellow")


def _rows(view: RunView, now: datetime | None, indent: str) -> Iterator[Row]:
    steps = list(view.steps.values())
    for number, line in enumerate(steps):
        last = number == len(steps) - 1
        guide, inner = (f"{indent}└─ ", f"{indent}   ") if last else (f"{indent}├─ ", f"{indent}│  ")
        yield _row(line, guide, now)
        yield from _details(line, inner)
        if line.id in view.children:
            yield from _rows(view.children[line.id], now, inner)
    yield from _being_written(view, indent)


def _row(line: StepLine, guide: str, now: datetime | None) -> Row:
    mark, style = _MARKS[line.state]
    left = Text.assemble((guide, "dim"), (f"{mark} ", style))
    left.append(_flat(line.title or line.id), style="dim" if line.state is StepState.PENDING else "")
    if line.calls > 1:
        left.append(f"  ×{line.calls}", style="dim")
    seconds = line.seconds(now)
    weight = 9 if line.state in UNDER_WAY else 5 if line.state is StepState.SUCCEEDED else 7
    weight = 4 if line.state is StepState.PENDING else weight
    return Row(left, _flat(line.tool), "" if seconds is None else span(seconds), weight)


def _details(line: StepLine, inner: str) -> Iterator[Row]:
    for reason in line.reasons if line.decision != Decision.ALLOW else ():
        settled = line.state is StepState.SUCCEEDED
        said = Text.assemble(
            (inner, "dim"), (_flat(f"{line.decision}: {reason}"), "dim" if settled else "yellow")
        )
        yield Row(said, weight=2 if settled else 8)
    if line.result:
        style = "red" if line.state is StepState.FAILED else "dim"
        yield Row(
            Text.assemble((inner, "dim"), (_flat(line.result), style)), weight=8 if style == "red" else 1
        )


def _being_written(view: RunView, indent: str) -> Iterator[Row]:
    """A plan's steps as the model writes them, or how far its text has come."""
    for line in view.draft:
        yield Row(
            Text.assemble((f"{indent}┊  ", "dim"), (_flat(line.title or line.id), "dim italic")),
            _flat(line.tool),
        )
    if view.written or (view.draft and not view.status.ended):
        what = "planning" if view.draft or not view.steps else "thinking"
        size = f", {view.written} characters so far" if view.written else ""
        yield Row(Text.assemble((f"{indent}┊  ", "dim"), (f"a model is {what}{size}", "cyan italic")))


def _folded(rows: list[Row], room: int) -> list[Row]:
    """The lightest lines make room for the others, and a line says how many are not shown."""
    if len(rows) <= room:
        return rows
    ranked = sorted(range(len(rows)), key=lambda place: (-rows[place].weight, place))
    kept = sorted(ranked[: room - 1])
    shown = [rows[place] for place in kept]
    return [*shown, Row(Text(f"   {len(rows) - len(kept)} lines more: holdfast runs logs", style="dim"))]


def _lines(rows: Sequence[Row]) -> Iterator[RenderableType]:
    """Steps stand in columns; what is said of them has the whole width."""
    tool = min(_TOOL_WIDTH, max((cell_len(row.tool) for row in rows), default=0))
    for row in rows:
        if not row.tool and not row.time:
            row.left.no_wrap, row.left.overflow = True, "ellipsis"
            yield row.left
            continue
        line = Table.grid(expand=True, padding=(0, 1))
        line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        line.add_column(style="dim", no_wrap=True, overflow="ellipsis", width=tool)
        line.add_column(style="dim", no_wrap=True, justify="right", width=_TIME_WIDTH)
        line.add_row(row.left, row.tool, row.time)
        yield line


def _cut(text: str, style: str) -> Text:
    return Text(_flat(text), style=style, no_wrap=True, overflow="ellipsis")


def _flat(text: str) -> str:
    return plain(" ".join(text.split()))


def span(seconds: float) -> str:
    """A time as people say it: `4.2 s`, `2 m 05 s`, `1 h 20 m`."""
    whole = int(seconds)
    if seconds < _MINUTE_S:
        return f"{max(0.0, seconds):.1f} s"
    if whole < _MINUTE_S * _MINUTE_S:
        return f"{whole // _MINUTE_S} m {whole % _MINUTE_S:02} s"
    return f"{whole // 3600} h {whole % 3600 // _MINUTE_S:02} m"
