"""Logs: one JSON object a line, or a readable line on a terminal; never a secret. Libraries' own lines go the same way.

`set_up_logging` is called once by each entry point. Everybody else calls `structlog.get_logger()`.
"""

import logging
import sys
from typing import Any, TextIO

import structlog
import temporalio.activity
import temporalio.workflow
from structlog.typing import EventDict, Processor

from holdfast.runtime.log_context import add_trace, drop_replayed
from holdfast.runtime.redaction import redact

_QUIET = ("httpx", "httpcore", "openai", "LiteLLM", "asyncio", "mcp", "uvicorn.access")
"""Libraries whose `info` is somebody else's `debug`."""


_LONGEST_FAILURE = 2_000


def set_up_logging(
    *, service: str, level: str = "INFO", pretty: bool | None = None, stream: TextIO | None = None
) -> None:
    """`pretty` follows the terminal where it is not said."""
    out = stream or sys.stderr
    readable = out.isatty() if pretty is None else pretty
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), _as_the_core_says, *_on_the_way(service)],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_at_the_end(readable=readable),
            ],
        )
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            drop_replayed,
            *_on_the_way(service),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    _take_over_the_root(handler, level)


def _on_the_way(service: str) -> list[Processor]:
    def add_service(_logger: Any, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        add_service,
        add_trace,
    ]


def _as_the_core_says(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Why a workflow task failed stands in a field of Temporal's own record, and with some failures nowhere else."""
    told = event.pop("temporal_log", None)
    if told is not None and (failure := told.fields.get("failure")):
        event["failure"] = str(failure)[:_LONGEST_FAILURE]
    return event


def _at_the_end(*, readable: bool) -> list[Processor]:
    """Tracebacks are text without local variables: those hold prompts and keys."""
    if readable:
        formatter = structlog.dev.plain_traceback
        return [_redacted, structlog.dev.ConsoleRenderer(exception_formatter=formatter)]
    return [structlog.processors.format_exc_info, _redacted, structlog.processors.JSONRenderer(default=str)]


def _redacted(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return redact(event)


def _take_over_the_root(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    # Our context has these ids; Temporal would add them to each message as text.
    temporalio.activity.logger.activity_info_on_message = False
    temporalio.workflow.logger.workflow_info_on_message = False
