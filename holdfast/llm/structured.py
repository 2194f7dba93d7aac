"""Asks a model for an answer of a given form, reads it, and sends it back to be mended, a bounded number of times."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from holdfast.llm.drafts import told
from holdfast.llm.failures import AnswerMalformed
from holdfast.llm.ports import Model, TextSink
from holdfast.llm.templates import messages_from
from schemas.chat import ChatMessage, ChatReply, ChatRequest, OutputForm
from schemas.models import Deployment
from schemas.routing import Errand

Answer = TypeVar("Answer")
Shape = TypeVar("Shape", bound=BaseModel)

_FENCED = re.compile(r"^\s*```[a-zA-Z]*\n(.*)\n```\s*$", re.DOTALL)


@dataclass(frozen=True)
class Answered(Generic[Answer]):
    """What was read, who said it last, and what all the asking cost."""

    value: Answer
    by: str
    cost_usd: float
    repairs: int
    reply: ChatReply


@dataclass(frozen=True)
class Form(Generic[Shape, Answer]):
    """A form: the shape a model fills in, and how that is read. `read` raises ValueError with what to mend."""

    name: str
    shape: type[Shape]
    read: Callable[[Shape], Answer]

    @property
    def output(self) -> OutputForm:
        return OutputForm(name=self.name, json_schema=self.shape.model_json_schema())


async def ask_for(
    form: Form[Shape, Answer],
    model: Model,
    errand: Errand,
    request: ChatRequest,
    *,
    repairs: int = 2,
    sink: TextSink | None = None,
) -> Answered[Answer]:
    """Raises AnswerMalformed when the last repair is no better."""
    asked = request.model_copy(update={"form": form.output})
    cost, repaired = 0.0, 0
    while True:
        reply = await model.chat(errand, asked, sink=sink)
        cost += reply.cost_usd
        try:
            value = form.read(form.shape.model_validate(json_in(reply.text)))
        except ValueError as error:
            await model.grade(errand, reply, useful=False)
            problems = _problems(error, reply)
        else:
            by = reply.model or reply.deployment
            return Answered(value=value, by=by, cost_usd=cost, repairs=repaired, reply=reply)
        if repaired == repairs:
            raise _malformed(form.name, reply, problems, cost)
        repaired += 1
        asked = _sent_back(asked, reply, problems)
        if sink:
            await sink.restart()


def _malformed(form: str, reply: ChatReply, problems: str, cost: float) -> AnswerMalformed:
    return AnswerMalformed(
        f"{reply.deployment} did not write a usable `{form}`, repairs included: {problems}",
        remedy="Route this task to a stronger model.",
        deployment=reply.deployment,
        spend_usd=cost,
    )


def json_in(text: str) -> Any:
    """The JSON of an answer; small models wrap it in Markdown or in words, which costs nothing to forgive."""
    match = _FENCED.match(text)
    bare = (match.group(1) if match else text).strip()
    start = bare.find("{")
    if start < 0:
        raise ValueError("the answer holds no JSON object")
    try:
        value, _ = json.JSONDecoder().raw_decode(bare[start:])
    except json.JSONDecodeError as error:
        raise ValueError(f"the answer is not JSON: {error.msg} at character {start + error.pos}") from None
    return value


def fit_to(deployment: Deployment, request: ChatRequest, *, output_tokens: int) -> ChatRequest:
    """The request as this deployment can take it. A model that cannot be bound to a schema is shown it."""
    fitted = request.model_copy(
        update={
            "max_output_tokens": output_tokens,
            "temperature": request.temperature if deployment.sampling else None,
        }
    )
    if request.form is None or deployment.structured == "schema":
        return fitted
    schema = json.dumps(request.form.json_schema, separators=(",", ":"))
    shown = messages_from("form", {"schema": schema})
    return fitted.model_copy(update={"messages": (*request.messages, *shown)})


def _problems(error: Exception, reply: ChatReply) -> str:
    if reply.finish == "length":
        return "the answer was cut off at the output limit; write it shorter"
    return told(error) if isinstance(error, ValidationError) else str(error)


def _sent_back(request: ChatRequest, reply: ChatReply, problems: str) -> ChatRequest:
    """Only the last attempt is shown: all of them would grow the bill and teach the model its own mistakes."""
    kept = tuple(message for message in request.messages if message.role != "assistant")
    first = kept if len(kept) == len(request.messages) else kept[:-1]
    answer = ChatMessage(role="assistant", content=reply.text or "(nothing)")
    return request.model_copy(
        update={"messages": (*first, answer, *messages_from("repair", {"problems": problems}))}
    )
