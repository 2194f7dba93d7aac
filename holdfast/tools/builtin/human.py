"""`human.ask`: a question whose answer is written by a person.

The waiting is not done here. A locked policy lets no call of this tool go without approval, so the run waits in its
workflow, for days and through deploys, and holds no slot. Whoever approves writes the answer into the arguments; only
then is the tool called, and what it brings back is what was approved.
"""

from pydantic import Field

from holdfast.errors import ToolFailed
from holdfast.tools.declare import ToolContext, declared
from schemas.base import Payload, Request
from schemas.tools import EffectClass, ToolExample, ToolResult


class Asking(Request):
    question: str = Field(min_length=1, max_length=2000, description="One question, for one person.")
    background: str = Field(default="", max_length=8000, description="What they need to know to answer.")
    options: tuple[str, ...] = Field(default=(), max_length=20, description="Answers to choose from, if any.")
    answer: str = Field(
        default="",
        max_length=8000,
        description="Leave it empty: the person writes it. What stands here is shown as a suggestion.",
    )


class Answer(Payload):
    answer: str
    option: int | None = Field(default=None, description="Which of the options it is, counted from 0.")


@declared(
    "human.ask",
    effect=EffectClass.READ_ONLY,
    version="1.0.2",
    timeout_s=30,
    examples=(
        ToolExample(
            title="Which one?",
            arguments={
                "question": "Which of the two disks shall be grown?",
                "background": "db-1 has /data at 91 % and /wal at 88 %.",
                "options": ["/data", "/wal"],
            },
            needs="somebody who approves it with --arg answer=/wal",
        ),
    ),
)
async def ask(arguments: Asking, context: ToolContext) -> ToolResult:  # noqa: ARG001 - the shape of a tool
    """Asks a person, and waits as long as it takes. Use it where only a human can know or decide."""
    answer = arguments.answer.strip()
    if not answer:
        raise ToolFailed(
            "The question was approved, but nobody wrote an answer.",
            remedy="Ask again, and approve with an answer: `holdfast approvals approve ID --arg answer=...`.",
        )
    found = arguments.options.index(answer) if answer in arguments.options else None
    output = Answer(answer=answer, option=found).model_dump(mode="json")
    return ToolResult(ok=True, output=output, summary=answer[:2000], untrusted=False)
