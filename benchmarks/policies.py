"""What a verdict costs as policies grow: CPU time per verdict, reading the action included.

    python benchmarks/policies.py [--verdicts 2000] [--json out.json]

Two mixes of rules. `guarded` rules begin with a plain test such as `'kubectl' in facts.binaries`, as most rules do;
`unguarded` rules all have to be evaluated wherever their scope covers the action. Scopes are spread over tools,
environments and agents, three in ten of each a wildcard. CPU time of the thread, since wall time on a shared machine
says little; `quiet p99` takes the best of three for each action, since neighbours slow down CPU time too.
"""

import argparse
import asyncio
import itertools
import json
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from holdfast.guardian.backtesting import Backtest, Recorded
from holdfast.guardian.bundles import RuleBook
from holdfast.guardian.guardian import PolicyGuardian
from holdfast.guardian.reading import read_action
from holdfast.guardian.shipped import shipped_bundle
from holdfast.guardian.sources import FixedPolicies
from schemas.actions import Action
from schemas.policies import Bundle, PolicyDocument, PolicyVersion
from schemas.stages import JudgeRequest, RunScope
from schemas.tools import ToolSpec

SIZES = (10, 100, 1_000, 10_000)
TOOLS = ("shell", "python", "http.request", "kubectl", "sql.query", "file.write", "helm", "git")
ENVIRONMENTS = ("dev", "staging", "prod", "lab")
AGENTS = ("operator", "deployer", "auditor", "scribe")
BINARIES = tuple(f"tool{number}" for number in range(40))
COMMANDS = (
    "kubectl get pods -n shop -o wide",
    "grep -rn 'timeout' /workspace/logs | sort | uniq -c | sort -rn | head -20",
    "for pod in $(kubectl get pods -o name); do kubectl logs --tail=100 $pod | grep -i error; done",
    "find /workspace -name '*.log' -mtime +7 -exec rm {} \\;",
    "curl -s https://example.com/health | jq .status",
    "systemctl restart nginx && journalctl -u nginx -n 50",
)
COLUMNS = (
    "policies",
    "rules",
    "compile_ms",
    "p50_us",
    "p99_us",
    "quiet_p50_us",
    "quiet_p99_us",
    "verdicts_per_s",
)
SHELL = ToolSpec(name="shell", description="Runs a command.", payload="shell")


def bundle_of(count: int, *, guarded: bool) -> Bundle:
    draw = random.Random(7)
    rules = tuple(policy(number, draw, guarded=guarded) for number in range(count))
    return shipped_bundle().model_copy(update={"policies": (*shipped_bundle().policies, *rules)})


def policy(number: int, draw: random.Random, *, guarded: bool) -> PolicyVersion:
    scope: dict[str, Any] = {}
    if draw.random() > 0.3:
        scope["tools"] = [draw.choice(TOOLS)]
    if draw.random() > 0.3:
        scope["environments"] = [draw.choice(ENVIRONMENTS)]
    if draw.random() > 0.3:
        scope["agents"] = [draw.choice(AGENTS)]
    document = PolicyDocument.model_validate(
        {
            "name": f"rule-{number}",
            "effect": draw.choice(["allow", "deny", "require_approval"]),
            "scope": scope,
            "when": condition(number, draw, guarded=guarded),
            "message": "{facts.gist}",
        }
    )
    return PolicyVersion(name=document.name, version=1, document=document, resolved=document)


def condition(number: int, draw: random.Random, *, guarded: bool) -> str:
    host = f"host{number}.example.com"
    shapes = (
        f"facts.paths_written.exists(path, path.startsWith('/srv/{number}/'))",
        f"facts.hosts.exists(host, host.endsWith('{host}'))",
        f"facts.commands.exists(c, c.binary == 'kubectl' && c.subcommand == 'delete{number}')",
        f"facts.paths_read.exists(path, path.matches('^/etc/app{number}/.*[.]key$'))",
        f"action.agent == 'agent-{number}' || action.step.startsWith('never{number}')",
        f"facts.privileged && facts.safety == 'dangerous' && size(facts.unknowns) > {number % 7 + 1}",
    )
    shape = draw.choice(shapes)
    return f"'{draw.choice(BINARIES)}' in facts.binaries && ({shape})" if guarded else shape


def requests() -> Iterator[JudgeRequest]:
    for number in itertools.count():
        environment = ENVIRONMENTS[number % 3]
        run_id = f"run_{number:026d}"
        action = Action(
            tenant="default",
            run_id=run_id,
            step_id="step",
            tool="shell",
            tool_version="1.0.0",
            arguments={"command": COMMANDS[number % len(COMMANDS)]},
            environment=environment,
            agent="operator",
        )
        scope = RunScope(tenant="default", run_id=run_id, agent="operator", environment=environment)
        yield JudgeRequest(scope=scope, action=action, tool=SHELL)


async def measure(count: int, verdicts: int, *, guarded: bool) -> dict[str, Any]:
    started = time.thread_time_ns()
    guardian = PolicyGuardian(policies=FixedPolicies(RuleBook(bundle_of(count, guarded=guarded))))
    compiled_ms = (time.thread_time_ns() - started) / 1e6
    asked = list(itertools.islice(requests(), verdicts + 50))
    for request in asked[:50]:
        await guardian.judge(request)
    timed = [[await cost_us(guardian, request) for _ in range(3)] for request in asked[50:]]
    costs, quiet = sorted(cost for three in timed for cost in three), sorted(map(min, timed))
    return {
        "policies": count,
        "rules": "guarded" if guarded else "unguarded",
        "compile_ms": round(compiled_ms, 1),
        "p50_us": round(costs[len(costs) // 2]),
        "p99_us": round(costs[int(len(costs) * 0.99)]),
        "quiet_p50_us": round(quiet[len(quiet) // 2]),
        "quiet_p99_us": round(quiet[int(len(quiet) * 0.99)]),
        "verdicts_per_s": round(1e6 * len(costs) / sum(costs)),
    }


async def cost_us(guardian: PolicyGuardian, request: JudgeRequest) -> float:
    started = time.thread_time_ns()
    await guardian.judge(request)
    return (time.thread_time_ns() - started) / 1000


def backtest_speed(count: int, records: int) -> float:
    """Decisions a second when recorded actions are decided again; the facts are on record, so nothing is parsed."""
    views = [read_action(request)[0] for request in itertools.islice(requests(), records)]
    book = RuleBook(bundle_of(count, guarded=True))
    test = Backtest(active=book, draft=book, now=datetime.now(UTC))
    for view in views:
        test.add(Recorded(view.action, view.tool, view.facts))
    return test.report().decisions_per_s


async def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--verdicts", type=int, default=2000)
    arguments.add_argument("--json", type=Path)
    options = arguments.parse_args()
    print("  ".join(f"{name:>14}" for name in COLUMNS))
    rows = []
    for count, guarded in itertools.product(SIZES, (True, False)):
        row = await measure(count, options.verdicts, guarded=guarded)
        rows.append(row)
        print("  ".join(f"{row[name]:>14}" for name in COLUMNS), flush=True)
    speed = backtest_speed(1_000, options.verdicts)
    rows.append({"policies": 1_000, "rules": "backtest", "decisions_per_s": speed})
    print(f"backtest over 1,000 guarded policies: {speed:.0f} decisions/s on one core")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
