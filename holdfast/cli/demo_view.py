"""How the demo looks: one line for everything that happens, in the order it happens."""

import shutil
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from holdfast.runtime.embedded.state import StackState
from schemas.events import EventType, RunEvent

_DECISIONS = {
    "allow": ("✔ allow", "green"),
    "deny": ("⊘ deny", "bold red"),
    "require_approval": ("⏸ ask a human", "yellow"),
}
_WIDE = 150


class Narrator:
    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)

    def chapter(self, title: str, what: str) -> None:
        self._console.print()
        self._line(Text(title, style="bold cyan"), what)

    def say(self, what: str) -> None:
        self._line(Text("  »", style="cyan"), what)

    def progress(self, done: int, of: int) -> None:
        self._line(Text("  ✓", style="green"), f"effect {done} of {of}")

    def goodbye(self, state: StackState) -> None:
        self.chapter("Look around", "")
        us = _typed()
        for name, where in (
            ("Temporal UI", state.temporal_ui),
            ("API", f"{state.api_url}/docs"),
            ("Again", f'{us} run "Give me a health report of this host" --watch'),
            ("With a model", f"HOLDFAST_MODELS__DEFAULT=openai/gpt-5 OPENAI_API_KEY=... {us} up"),
        ):
            self._line(Text(f"  {name:<13}", style="dim"), where)

    def tell(self, event: RunEvent) -> None:
        """What a person wants to see of an event; most need no line of their own."""
        data = event.data
        match event.type:
            case EventType.PLAN_PROPOSED:
                self._line(Text("  plan", style="bold"), f"by {data['by']}: {data.get('note', '')}")
            case EventType.PLAN_ACCEPTED:
                self._plan(data["plan"])
            case EventType.VERDICT | EventType.VERDICT_HELD:
                self._verdict(event)
            case EventType.TOOL_FINISHED:
                self._result(event)
            case EventType.APPROVAL_REQUESTED:
                self._line(Text("  ⏸", style="yellow"), f"waits for a human: {data['summary']['what']}")
            case EventType.APPROVAL_DECIDED:
                self._line(
                    Text("  ✔", style="green"), f"decided: {data.get('status') or data.get('decision', '')}"
                )
            case EventType.RUN_ANSWER:
                self._console.print(Text(f"\n{data['answer'].rstrip()}\n"))
            case EventType.RUN_ENDED:
                self._line(Text(f"  {data['status']}", style="bold"), data.get("reason", ""))
            case _:
                pass

    def _plan(self, plan: dict[str, Any]) -> None:
        for step in plan["steps"]:
            self._line(
                Text("    ·", style="dim"),
                f"{step['id']:<13} {step.get('tool', step.get('kind', '')):<10} {step.get('title', '')}",
            )

    def _verdict(self, event: RunEvent) -> None:
        words, style = _DECISIONS[event.data["decision"]]
        reasons = "; ".join(reason["message"] for reason in event.data["reasons"])
        self._line(Text(f"  {words}", style=style), f"{event.step_id}: {reasons}")

    def _result(self, event: RunEvent) -> None:
        outcome = event.data["outcome"]
        error = outcome.get("error") or {}
        mark = Text("    →", style="green" if event.data["ok"] else "red")
        self._line(mark, f"{event.step_id}: {error.get('message') or outcome.get('summary') or 'done'}")

    def _line(self, mark: Text, what: str) -> None:
        line = " ".join(what.split())
        mark.append(f" {line if len(line) <= _WIDE else line[: _WIDE - 1] + '…'}", style="default not bold")
        self._console.print(mark)


def _typed() -> str:
    """Our own name as a person here has to type it: `make` starts us out of a folder that is not on PATH."""
    us = Path(sys.argv[0])
    return str(us) if us.name == "holdfast" and shutil.which("holdfast") != str(us) else "holdfast"
