# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201 -- runs where the peers are installed, which is not here
"""Pydantic AI, durable on Temporal as its documentation says: model request and tool call are activities."""

from peer_systems import wanted, worked
from pydantic_ai import Agent, UsageLimits
from pydantic_ai.durable_exec.temporal import PydanticAIPlugin, PydanticAIWorkflow, TemporalDurability
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.toolsets import FunctionToolset
from temporalio import workflow


async def scripted(messages, info):
    parts = [part for message in messages for part in message.parts]
    calls = int(next(part.content for part in parts if isinstance(part, UserPromptPart)))
    results = sum(isinstance(part, ToolReturnPart) for part in parts)
    text = wanted(results, calls)
    answer = TextPart("done") if text is None else ToolCallPart("echo", {"text": text}, tool_call_id=text)
    return ModelResponse(parts=[answer])


async def echo(text: str) -> str:
    return worked(text)


TOOLS = FunctionToolset(id="tools")
TOOLS.add_function(echo)
AGENT = Agent(
    FunctionModel(scripted, model_name="scripted"),
    name="peer",
    toolsets=[TOOLS],
    capabilities=[TemporalDurability()],
)
PLUGIN = PydanticAIPlugin()


@workflow.defn
class DurableAgent(PydanticAIWorkflow):
    __pydantic_ai_agents__ = [AGENT]

    @workflow.run
    async def run(self, calls: int) -> str:
        return (await AGENT.run(str(calls), usage_limits=UsageLimits(request_limit=None))).output
