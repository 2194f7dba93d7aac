"""From a request to what the rules look at: facts, and the errors of getting them."""

from holdfast.guardian.facts import extract_facts
from holdfast.guardian.facts.action import ActionView
from holdfast.guardian.vocabulary import View
from schemas.actions import Action
from schemas.facts import Facts
from schemas.stages import JudgeRequest
from schemas.tools import EffectClass, ToolSpec


def read_action(request: JudgeRequest) -> tuple[View, tuple[str, ...]]:
    """The view of the action. What cannot be read becomes an unknown and an error, never an exception."""
    action, tool = request.action, request.tool
    try:
        facts = facts_of(tool, action)
    except Exception as error:  # noqa: BLE001 -- the edge: hostile text must end in a verdict, whatever it breaks
        problem = f"its facts could not be read: {type(error).__name__}"
        return View(action, tool, unread(tool, problem)), (problem,)
    return View(action, tool, facts), ()


def unread(tool: ToolSpec, problem: str) -> Facts:
    return Facts(kind=tool.payload, safety="unknown", unknowns=(problem,))


def facts_of(tool: ToolSpec, action: Action) -> Facts:
    """What the action would do, as far as its text tells. May raise anything on hostile text."""
    view = ActionView(
        tool=tool.name,
        kind="mcp" if tool.source == "mcp" and tool.payload == "none" else tool.payload,
        arguments=dict(action.arguments),
        tainted=action.tainted,
        declared_read_only=tool.effect is EffectClass.READ_ONLY and tool.source != "mcp",
        method=_usual_method(tool),
    )
    return extract_facts(view)


def _usual_method(tool: ToolSpec) -> str:
    """A tool that lets nobody choose the method, and is no read, posts what it is given."""
    offered = tool.input_schema.get("properties", {})
    return "GET" if tool.effect is EffectClass.READ_ONLY or not offered or "method" in offered else "POST"
