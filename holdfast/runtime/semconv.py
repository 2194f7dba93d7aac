"""Names of span attributes. OpenTelemetry's GenAI names are still in development: they stand here and nowhere else.

Prompts, answers, arguments and outputs are never attributes; the run's story has them, under the tenant's rights.
"""

from typing import Final, Literal

Operation = Literal[
    "invoke_agent",
    "plan",
    "chat",
    "embeddings",
    "execute_tool",
    "retrieval",
    "search_memory",
    "run_guardrail",
]

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHED_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
AGENT_NAME: Final = "gen_ai.agent.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
ERROR_TYPE: Final = "error.type"

RUN_ID: Final = "holdfast.run.id"
STEP_ID: Final = "holdfast.step.id"
TENANT: Final = "holdfast.tenant"
ATTEMPT: Final = "holdfast.attempt"
DECISION: Final = "holdfast.verdict.decision"
COST_USD: Final = "holdfast.cost.usd"
