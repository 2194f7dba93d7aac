"""Turns an action into facts: what it would read, write, run and reach. Pure, deterministic, bounded for any input.

The facts describe text. PATH, aliases and file contents can change what a command means after it was judged, so a
sandbox is needed as well; see docs/guardian-facts.md.
"""

from holdfast.guardian.facts.action import ActionView, PayloadKind
from holdfast.guardian.facts.decide import default_decision
from holdfast.guardian.facts.extract import extract_facts

__all__ = ["ActionView", "PayloadKind", "default_decision", "extract_facts"]
