"""How the demo looks: one entry for everything that happens, in the order it happens, in three columns that keep their
places however narrow the terminal is."""

import shutil
import sys
from pathlib import Path
from re import sub
from textwrap import wrap
from typing import Any

from rich.console import Console
from rich.text import Text

from holdfast.embedded.state import StackState
from schemas.events import EventType, RunEvent

_DECISIONS = {
    "allow": ("✔ allow", "green"),
    "deny": ("⊘ deny", "bold red"),
    "require_approval": ("⏸ ask", "yellow"),
}
_MARK = 10  # columns of what happened
_SUBJECT = 13  # columns of the step it happened to
_INDENT = 2
_WIDEST = 118
_MOST_LINES = 3
_PIPED_WIDTH = 100


class Narrator:
    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        width = self._console.width if self._console.is_terminal else _PIPED_WIDTH
        self._width = min(width, _WIDEST)
        self._is_counting = False

    def chapter(self, title: str, what: str) -> None:
        self._finish_count()
        self._console.print()
        self._console.print(Text(f"◆ {title}", style="bold cyan"))
        for line in wrap(what, self._width - _INDENT):
            self._console.print(f"{' ' * _INDENT}{line}", markup=False)

    def say(self, what: str) -> None:
        self._finish_count()
        self._entry(Text("»", style="bold cyan"), "", what, style="cyan")

    def progress(self, done: int) -> None:
        """Counts on in one line, as it happens."""
        if not self._is_counting:
            self._console.print(" " * _INDENT, Text("✔ effects ", style="green"), sep="", end="")
            self._is_counting = True
        self._console.print(f" {done}", end="")
        self._console.file.flush()

    def goodbye(self, state: StackState, *run_ids: str) -> None:
        self.chapter("Look around", "")
        us = _typed()
        runs = [f"{state.temporal_ui}/namespaces/default/workflows/{run_id}" for run_id in run_ids]
        for name, lines in (
            ("These runs in Temporal", runs if state.temporal_ui else []),
            ("The API", [f"{state.api_url}/docs"]),
            ("Again", [f'{us} run "Give me a health report of this host" --watch']),
            ("With a model", [f"HOLDFAST_MODELS__DEFAULT=openai/gpt-5 OPENAI_API_KEY=... {us} up"]),
        ):
            if lines:
                self._console.print(Text(f"  {name}", style="dim"))
            for line in lines:
                self._console.print(f"    {line}", markup=False)

    def tell(self, event: RunEvent) -> None:
        """What a person wants to see of an event; most need no entry of their own."""
        data, step = event.data, event.step_id or ""
        match event.type:
            case EventType.PLAN_PROPOSED:
                self._entry(Text("plan", style="bold"), "", f"by {data['by']}. {data.get('note', '')}")
            case EventType.PLAN_ACCEPTED:
                self._plan(data["plan"])
            case EventType.VERDICT | EventType.VERDICT_HELD:
                self._verdict(event)
            case EventType.TOOL_FINISHED:
                self._result(event)
            case EventType.APPROVAL_REQUESTED:
                self._entry(Text("⏸ waits", style="yellow"), step, f"for a human: {data['summary']['what']}")
            case EventType.APPROVAL_DECIDED:
                status = data.get("status") or data.get("decision", "")
                self._entry(Text("✔ human", style="green"), step, status)
            case EventType.RUN_ANSWER:
                self._answer(data["answer"])
            case EventType.RUN_ENDED:
                self._entry(Text(f"■ {data['status']}", style="bold"), "", data.get("reason", ""))
            case _:
                pass

    def _plan(self, plan: dict[str, Any]) -> None:
        for number, step in enumerate(plan["steps"], 1):
            tool, title = step.get("tool", step.get("kind", "")), step.get("title", "")
            self._entry(Text(f"{number:>4}", style="dim"), step["id"], f"{title} ({tool})" if title else tool)
        self._console.print()

    def _verdict(self, event: RunEvent) -> None:
        words, style = _DECISIONS[event.data["decision"]]
        reasons = "; ".join(reason["message"] for reason in event.data["reasons"])
        self._entry(Text(words, style=style), event.step_id or "", reasons)

    def _result(self, event: RunEvent) -> None:
        outcome = event.data["outcome"]
        error = outcome.get("error") or {}
        mark = Text("→ result", style="blue" if event.data["ok"] else "red")
        self._entry(mark, event.step_id or "", error.get("message") or outcome.get("summary") or "done")

    def _answer(self, answer: str) -> None:
        self._console.print()
        for line in sub(r"\n{3,}", "\n\n", answer.strip()).splitlines():
            for part in wrap(line, self._width - _INDENT - 2) or [""]:
                self._console.print(Text("  │ ", style="cyan").append(part, style="default"))
        self._console.print()

    def _entry(self, mark: Text, subject: str, what: str, *, style: str = "default") -> None:
        """What happened, to which step, and the words, which keep to their column over several lines."""
        column = _INDENT + _MARK + (_SUBJECT if subject else 0)
        lines = wrap(" ".join(what.split()), self._width - column) or [""]
        if len(lines) > _MOST_LINES:
            lines = [*lines[: _MOST_LINES - 1], f"{lines[_MOST_LINES - 1][: self._width - column - 1]}…"]
        mark.pad_right(max(1, _MARK - mark.cell_len))
        first = Text(" " * _INDENT).append(mark)
        first.append(f"{subject:<{_SUBJECT}}" if subject else "", style="bold not dim")
        self._console.print(first.append(lines[0], style=f"not bold {style}"))
        for line in lines[1:]:
            self._console.print(Text(" " * column).append(line, style=style))

    def _finish_count(self) -> None:
        if self._is_counting:
            self._console.print()
            self._is_counting = False


def _typed() -> str:
    """Our own name as a person here has to type it: `make` starts us out of a folder that is not on PATH."""
    us = Path(sys.argv[0])
    return str(us) if us.name == "holdfast" and shutil.which("holdfast") != str(us) else "holdfast"
