# mypy: ignore-errors
# ruff: noqa: ANN001, ANN002, ANN003, ANN201 -- runs where the peers are installed, which is not here
"""OpenAI Agents SDK on Temporal as its documentation says: model call and tool call are activities, tracing off."""

import json
from datetime import timedelta

from agents import Agent, Model, ModelProvider, RunConfig, Runner
from peer_systems import wanted, worked
from temporalio import activity, workflow
from temporalio.openai_agents import ModelActivityParameters, OpenAIAgentsPlugin
from temporalio.openai_agents.testing import ResponseBuilders
from temporalio.openai_agents.workflow import activity_as_tool

PATIENCE = timedelta(seconds=60)


class Scripted(Model):
    async def get_response(self, system_instructions, input, *_, **__):  # noqa: A002
        items = [{"content": input}] if isinstance(input, str) else input
        results = sum(item.get("type") == "function_call_output" for item in items)
        text = wanted(results, int(items[0]["content"]))
        if text is None:
            return ResponseBuilders.output_message("done")
        call = f"call_{results}"
        return ResponseBuilders.tool_call(json.dumps({"text": text}), "echo", call_id=call, item_id=call)

    def stream_response(self, *_, **__):
        raise NotImplementedError


class OnlyScripted(ModelProvider):
    def get_model(self, model_name):
        return Scripted()


@activity.defn
async def echo(text: str) -> str:
    """Gives the text back."""
    return worked(text)


AGENT = Agent(name="peer", tools=[activity_as_tool(echo, start_to_close_timeout=PATIENCE)])
PLUGIN = OpenAIAgentsPlugin(
    model_params=ModelActivityParameters(start_to_close_timeout=PATIENCE),
    model_provider=OnlyScripted(),
    add_temporal_spans=False,
)


@workflow.defn
class DurableAgent:
    @workflow.run
    async def run(self, calls: int) -> str:
        result = await Runner.run(
            AGENT, input=str(calls), max_turns=calls + 5, run_config=RunConfig(tracing_disabled=True)
        )
        return result.final_output
