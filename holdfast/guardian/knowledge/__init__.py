"""What commands do: binary, sub-command and flag to effects, as versioned data."""

from holdfast.guardian.knowledge.base import Knowledge, command_knowledge, compile_knowledge
from holdfast.guardian.knowledge.compile import KnowledgeError
from holdfast.guardian.knowledge.match import Match, match_command, match_option
from holdfast.guardian.knowledge.model import Tool

__all__ = [
    "Knowledge",
    "KnowledgeError",
    "Match",
    "Tool",
    "command_knowledge",
    "compile_knowledge",
    "match_command",
    "match_option",
]
