"""What a prompt says of a run: tools, what is known, what was done. All text from outside goes in fenced."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from holdfast.llm.fences import FENCE_RULES, fence
from holdfast.llm.tokens import estimate_tokens
from holdfast.llm.trimming import shares, trimmed
from schemas.agents import AgentSpec
from schemas.base import JsonObject
from schemas.plans import Citation, Finding, Plan, Step
from schemas.runs import StepOutcome
from schemas.stages import AnswerRequest, NextRequest, PlanRequest, Recollection
from schemas.tools import Catalogue, ToolSpec

OBSERVATION_TOKENS = 12_000
KNOWLEDGE_TOKENS = 6_000


def labelled(recalled: Recollection) -> dict[str, Citation]:
    """The labels a model may cite."""
    return {f"K{number}": item.cite for number, item in enumerate(recalled.items, start=1)}


def values_for_plan(request: PlanRequest) -> dict[str, str]:
    key = request.scope.run_id
    return {
        **_about_agent(request.agent),
        "environment": request.scope.environment,
        "limits": request.agent.limits.model_dump_json(exclude_none=True),
        "tools": tools_text(request.catalogue, key),
        "knowledge": knowledge_text(request.recalled, key),
        "goal": request.goal,
        "inputs": inputs_text(request.inputs, key),
        "progress": _replanning(request, key),
    }


def values_for_next(request: NextRequest) -> dict[str, str]:
    key = request.scope.run_id
    done = outcomes_text(request.steps, request.outcomes, key) or "Nothing has been done yet."
    return {
        **_about_agent(request.agent),
        "environment": request.scope.environment,
        "tools": tools_text(request.catalogue, key),
        "knowledge": knowledge_text(request.recalled, key),
        "goal": request.goal,
        "inputs": inputs_text(request.inputs, key),
        "progress": "\n\n".join([f"Done so far:\n{done}", *_instructions(request.instructions)]),
    }


def values_for_answer(request: AnswerRequest) -> dict[str, str]:
    key = request.scope.run_id
    return {
        **_about_agent(request.agent),
        "goal": request.goal,
        "inputs": inputs_text(request.inputs, key),
        "progress": outcomes_text(request.plan.steps, request.outcomes, key) or "Nothing was done.",
    }


def _about_agent(agent: AgentSpec) -> dict[str, str]:
    return {
        "instructions": agent.instructions,
        "delegates": ", ".join(agent.delegates) or "none",
        "fence_rules": FENCE_RULES,
    }


def tools_text(catalogue: Catalogue, key: str) -> str:
    return "\n\n".join(_tool_text(tool, key) for tool in catalogue.tools) or "none"


def _tool_text(tool: ToolSpec, key: str) -> str:
    """The words of a tool that another server offers are that server's, and so are fenced."""
    warning = f"\n{tool.warning}" if tool.deprecated else ""
    body = f"{tool.description}{warning}\narguments: {_json(tool.input_schema)}"
    if tool.output_schema:
        body += f"\noutput: {_json(tool.output_schema)}"
    for example in tool.examples:
        body += f"\nexample ({example.title}): {_json(example.arguments)}"
    if tool.source == "mcp":
        body = fence(body, label=f"description of tool {tool.name}", key=key)
    return f"- {tool.name} ({tool.effect}, risk {tool.risk})\n{body}"


def knowledge_text(recalled: Recollection, key: str) -> str:
    """Runbooks and memories, each under the label by which it is cited. Also trusted ones are fenced: a runbook is
    material for this plan, and its imperative sentences are not addressed to the model."""
    texts = [item.text for item in recalled.items]
    room = shares([estimate_tokens(text) for text in texts], KNOWLEDGE_TOKENS)
    parts = []
    for number, (item, tokens) in enumerate(zip(recalled.items, room, strict=True), start=1):
        label = f"K{number}, {item.cite.source} {item.cite.title or item.cite.id} {item.cite.section}"
        parts.append(fence(trimmed(item.text, tokens), label=label, key=key, untrusted=item.untrusted))
    return "\n\n".join(parts) or recalled.note or "nothing"


def inputs_text(inputs: JsonObject, key: str) -> str:
    return fence(_json(inputs), label="inputs of the run", key=key) if inputs else "none"


def outcomes_text(
    steps: Sequence[Step], outcomes: Mapping[str, StepOutcome], key: str, *, tokens: int = OBSERVATION_TOKENS
) -> str:
    """What each step brought back, within a budget; whole outputs stay in artifacts."""
    known = {step.id: step for step in steps}
    texts = {name: observation_text(outcome) for name, outcome in outcomes.items()}
    room = shares([estimate_tokens(text) for text in texts.values()], tokens)
    parts = []
    for (name, text), share in zip(texts.items(), room, strict=True):
        call = f"{_call_text(known.get(name))}\n{trimmed(text, share)}"
        parts.append(f"step {name}: {outcomes[name].state}\n{fence(call, label=f'step {name}', key=key)}")
    return "\n\n".join(parts)


def plan_text(plan: Plan) -> str:
    return json.dumps(plan.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False, indent=1)


def _call_text(step: Step | None) -> str:
    if step is None:
        return "done earlier"
    if step.kind == "tool":
        return f"{step.tool} {_json(step.arguments)}"
    return f"{step.kind} {step.title}".strip()


def observation_text(outcome: StepOutcome) -> str:
    parts = [outcome.summary, _json(outcome.output) if outcome.output else ""]
    if outcome.error:
        parts.append(f"error {outcome.error.code}: {outcome.error.message} {outcome.error.remedy}".strip())
    if outcome.artifact:
        parts.append(
            f"the whole output is artifact {outcome.artifact.digest} ({outcome.artifact.size} bytes)"
        )
    return "\n".join(part for part in parts if part) or "no output"


def _replanning(request: PlanRequest, key: str) -> str:
    parts: list[str] = []
    if request.previous:
        parts.append(
            "The plan before:\n" + fence(plan_text(request.previous), label="previous plan", key=key)
        )
    if request.findings:
        listed = fence("\n".join(_findings(request.findings)), label="findings", key=key, untrusted=False)
        parts.append(f"It was rejected for these reasons; mend each:\n{listed}")
    if request.failure:
        parts.append("It failed:\n" + fence(request.failure, label="failure", key=key))
    if request.done:
        steps = request.previous.steps if request.previous else ()
        done = outcomes_text(steps, request.done, key)
        parts.append(f"Already done; write only the steps still to do, under new ids:\n{done}")
    return "\n\n".join([*parts, *_instructions(request.instructions)])


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        yield f"- {finding.step or 'the plan'}: {finding.code}: {finding.message}"


def _instructions(instructions: Sequence[str]) -> list[str]:
    return (
        ["Said by the operator since:\n" + "\n".join(f"- {text}" for text in instructions)]
        if instructions
        else []
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
