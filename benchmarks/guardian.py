"""Scores the guardian's rules on shell commands, and measures what an extraction costs.

    python benchmarks/guardian.py score commands.jsonl decisions.jsonl   {id, language, command} → {id, decision}
    python benchmarks/guardian.py dev labelled.jsonl [more.jsonl]        caught and allowed per source
    python benchmarks/guardian.py latency labelled.jsonl                 CPU per extraction, parse included

The commands are text. Nothing here runs them.
"""

import argparse
import gc
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from holdfast.guardian.facts import ActionView, PayloadKind, default_decision, extract_facts
from holdfast.guardian.knowledge import command_knowledge
from schemas.facts import Facts
from schemas.verdicts import Decision


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


LANGUAGES: dict[str, tuple[PayloadKind, str]] = {
    **dict.fromkeys(("", "bash", "sh", "dash", "ksh", "zsh", "shell"), ("shell", "command")),
    **dict.fromkeys(("python", "python3", "py"), ("python", "code")),
    **dict.fromkeys(("sql", "postgresql", "mysql", "sqlite"), ("sql", "sql")),
}


def facts_of(row: dict[str, Any]) -> Facts:
    """A language that nobody reads here (PowerShell, say) is not understood, whatever its words look like in a shell."""
    language, text = str(row.get("language") or "").lower(), str(row["command"])
    if language == "http":
        method, _, url = text.strip().rpartition(" ")
        return extract_facts(
            ActionView(tool="benchmark", kind="http", arguments={"url": url, "method": method or "GET"})
        )
    kind, key = LANGUAGES.get(language, ("shell", "what only another language reads"))
    return extract_facts(ActionView(tool="benchmark", kind=kind, arguments={key: text}))


def score(source: Path, target: Path) -> int:
    """One decision for every line that has an id; answers how many lines could not be decided as they stand.

    What cannot be read asks. A line that is no JSON object, or has no id, is reported and left out.
    """
    problems = 0
    with source.open(encoding="utf-8", errors="replace") as lines, target.open("w") as out:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            row, problem = _row(line)
            if problem:
                problems += 1
                print(f"{source}:{number}: {problem}", file=sys.stderr)
            if row is not None:
                decision = Decision.REQUIRE_APPROVAL if problem else default_decision(facts_of(row))
                out.write(json.dumps({"id": row["id"], "decision": decision.value}) + "\n")
    return problems


def _row(line: str) -> tuple[dict[str, Any] | None, str]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return None, f"not JSON: {error}"[:200]
    if not isinstance(row, dict):
        return None, "not an object"
    if row.get("id") is None:
        return None, "no id"
    if not isinstance(row.get("command"), str) or not row["command"].strip():
        return row, f"{row['id']}: no command, so it asks"
    return row, ""


def dev(paths: list[Path], *, show: int) -> None:
    right, total = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    wrong: list[str] = []
    for path in paths:
        for row in rows(path):
            facts = facts_of(row)
            ok = (default_decision(facts) is Decision.ALLOW) == (row["label"] == "benign")
            for group in (row["source"], f"all of {path.name}"):
                total[row["label"], group] += 1
                right[row["label"], group] += ok
            if not ok:
                wrong.append(
                    f"{row['label']:9} {row['id']} {row['command'][:100]!r} {facts.unknowns[:2]} {facts.reasons[:2]}"
                )
    for label, group in sorted(total):
        word = "caught" if label == "dangerous" else "allowed"
        share = 100 * right[label, group] / total[label, group]
        print(f"{word:8}{share:6.1f} %  {right[label, group]:4} of {total[label, group]:4}  {group}")
    print("\n".join(wrong[:show]))


def latency(path: Path, repeats: int) -> None:
    started = time.thread_time()
    knowledge = command_knowledge()
    print(
        f"load knowledge: {len(knowledge.tools)} commands, {1000 * (time.thread_time() - started):.0f} ms CPU, once"
    )
    commands = list(rows(path))
    spent: list[float] = []
    gc.collect()
    for _ in range(repeats):
        for row in commands:
            started = time.thread_time()
            default_decision(facts_of(row))
            spent.append(1000 * (time.thread_time() - started))
    spent.sort()
    for share in (0.5, 0.9, 0.99, 0.999):
        print(f"p{100 * share:g}: {spent[int(share * (len(spent) - 1))]:.3f} ms CPU")
    print(f"{len(spent)} extractions, {1000 * len(spent) / sum(spent):.0f} a second")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    modes = parser.add_subparsers(dest="mode", required=True)
    scoring = modes.add_parser("score")
    scoring.add_argument("source", type=Path)
    scoring.add_argument("target", type=Path)
    labelled = modes.add_parser("dev")
    labelled.add_argument("paths", type=Path, nargs="+")
    labelled.add_argument("--show", type=int, default=0, help="how many wrong answers to print")
    cost = modes.add_parser("latency")
    cost.add_argument("path", type=Path)
    cost.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.mode == "score":
        sys.exit(1 if score(arguments.source, arguments.target) else 0)
    elif arguments.mode == "dev":
        dev(arguments.paths, show=arguments.show)
    else:
        latency(arguments.path, arguments.repeats)


if __name__ == "__main__":
    main()
