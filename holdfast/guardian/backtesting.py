"""Backtests: every recorded action decided twice, by the active bundle and by a draft, from the facts on record."""

import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from holdfast.guardian.bundles import RuleBook
from holdfast.guardian.combining import STRICTNESS
from holdfast.guardian.deciding import Ruling, decide
from holdfast.guardian.gist import gist_of
from holdfast.guardian.vocabulary import View
from schemas.actions import Action
from schemas.facts import Facts
from schemas.policy_desk import BacktestReport, Difference
from schemas.tools import ToolSpec
from schemas.verdicts import Decision

_SAMPLES_OF_A_KIND = 10


@dataclass(frozen=True)
class Recorded:
    """An action as the ledger kept it, with what was known of it then."""

    action: Action
    tool: ToolSpec
    facts: Facts


class Backtest:
    """Takes records one by one, so that any number of them fits in memory."""

    def __init__(self, *, active: RuleBook, draft: RuleBook, now: datetime) -> None:
        self._active, self._draft, self._now = active, draft, now
        self._matrix: Counter[tuple[Decision, Decision]] = Counter()
        self._matched: Counter[str] = Counter()
        self._samples: list[Difference] = []
        self._cpu_ns = 0
        self._unreadable = 0

    def skip(self) -> None:
        self._unreadable += 1

    def add(self, recorded: Recorded) -> None:
        started = time.thread_time_ns()
        view = View(recorded.action, recorded.tool, recorded.facts)
        before = decide(self._active, view, self._now).outcome.decision
        ruling = decide(self._draft, view, self._now)
        after = ruling.outcome.decision
        self._matrix[before, after] += 1
        self._matched.update(
            f"{reason.policy}@{reason.version}" for reason in (*ruling.matches, *ruling.shadow)
        )
        if before is not after and self._matrix[before, after] <= _SAMPLES_OF_A_KIND:
            self._samples.append(_difference(view, before, ruling))
        self._cpu_ns += time.thread_time_ns() - started

    def report(self) -> BacktestReport:
        decided = self._matrix.total()
        moved = [
            (STRICTNESS[after] - STRICTNESS[before], count) for (before, after), count in self._matrix.items()
        ]
        old = {rule.version.key for rule in self._active.rules}
        new = [rule.version.key for rule in self._draft.rules if rule.version.key not in old]
        return BacktestReport(
            active=self._active.digest,
            draft=self._draft.digest,
            decided=decided,
            unreadable=self._unreadable,
            changed=sum(count for move, count in moved if move),
            looser=sum(count for move, count in moved if move < 0),
            stricter=sum(count for move, count in moved if move > 0),
            matrix=self._table(),
            samples=tuple(self._samples),
            never_matched=tuple(key for key in new if not self._matched[key]),
            always_matched=tuple(key for key in new if decided and self._matched[key] == decided),
            decisions_per_s=round(2e9 * decided / self._cpu_ns, 1) if self._cpu_ns else 0,
        )

    def _table(self) -> dict[Decision, dict[Decision, int]]:
        return {
            before: {after: self._matrix[before, after] for after in Decision if self._matrix[before, after]}
            for before in Decision
            if any(self._matrix[before, after] for after in Decision)
        }


def _difference(view: View, before: Decision, ruling: Ruling) -> Difference:
    return Difference(
        run_id=view.action.run_id,
        digest=view.action.digest,
        tool=view.action.tool,
        environment=view.action.environment,
        gist=gist_of(view.facts),
        before=before,
        after=ruling.outcome.decision,
        why="; ".join(reason.message for reason in ruling.reasons),
    )
