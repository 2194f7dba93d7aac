"""A model as the guardian's second opinion on an action that the rules leave unclear."""

import json
from typing import Literal

from holdfast.guardian.vocabulary import View
from holdfast.llm.drafts import Draft
from holdfast.llm.fences import FENCE_RULES, fence
from holdfast.llm.ports import Model
from holdfast.llm.structured import Form, ask_for
from holdfast.llm.templates import messages_from
from schemas.chat import ChatRequest, TaskClass
from schemas.routing import Errand
from schemas.verdicts import Opinion


class OpinionDraft(Draft):
    decision: Literal["allow", "require_approval"]
    why: str = ""


class ModelJudge:
    """Fulfils `holdfast.guardian.judge.Judge`. It does not repair: an answer out of form is an approval."""

    def __init__(self, *, model: Model, timeout_s: float = 8.0) -> None:
        self._model = model
        self._timeout_s = timeout_s

    async def consider(self, view: View) -> Opinion:
        action = view.action
        errand = Errand(
            tenant=action.tenant,
            task=TaskClass.JUDGE,
            run_id=action.run_id,
            step_id=action.step_id,
            agent=action.agent,
        )
        request = ChatRequest(
            messages=messages_from("judge_action", _values(view)),
            max_output_tokens=400,
            timeout_s=self._timeout_s,
        )
        form = Form("opinion", OpinionDraft, lambda draft: draft)
        answered = await ask_for(form, self._model, errand, request, repairs=0)
        said = answered.value
        return Opinion(
            decision=said.decision, why=said.why[:1000], by=answered.by, cost_usd=answered.cost_usd
        )


def _values(view: View) -> dict[str, str]:
    action, tool = view.action, view.tool
    call = json.dumps({"tool": action.tool, "arguments": action.arguments}, ensure_ascii=False, indent=1)
    facts = view.facts.model_dump_json(exclude_defaults=True)
    return {
        "environment": action.environment,
        "agent": action.agent,
        "step": action.step_id,
        "tool": f"{tool.name} ({tool.effect}, risk {tool.risk})",
        "facts": fence(facts, label="facts read from the action", key=action.run_id),
        "action": fence(call, label="the action", key=action.run_id),
        "fence_rules": FENCE_RULES,
    }
