"""How hard a goal looks, from what can be counted, so that it can be explained."""

from holdfast.llm.tokens import estimate_tokens
from schemas.routing import Complexity

_LONG_GOAL = 400
_MANY_TOOLS = 40
_JOINTS = (" and ", " then ", " after ", " unless ", " if ", " except ", " without ", " each ", " every ")


def complexity_of(
    goal: str, *, tools: int, rejections: int = 0, past_success: float | None = None
) -> Complexity:
    """`past_success` is the share of the agent's recent runs that succeeded; None where there were none."""
    lower = f" {goal.lower()} "
    parts = {
        "length": 0.3 * min(1.0, estimate_tokens(goal) / _LONG_GOAL),
        "clauses": 0.2 * min(1.0, sum(lower.count(joint) for joint in _JOINTS) / 6),
        "tools": 0.2 * min(1.0, tools / _MANY_TOOLS),
        "rejections": 0.2 * min(1.0, rejections / 2),
        "history": 0.1 * (1.0 - past_success if past_success is not None else 0.5),
    }
    return Complexity(
        score=round(sum(parts.values()), 3), parts={name: round(part, 3) for name, part in parts.items()}
    )
