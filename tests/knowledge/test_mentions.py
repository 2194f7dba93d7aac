"""What goals in plain words say of a runbook's inputs: taken where it is beyond doubt, asked for where it is not."""

from pathlib import Path

import pytest

from holdfast.knowledge.binding import bind_inputs
from holdfast.knowledge.runbooks import parse_runbook
from schemas.base import JsonObject
from schemas.knowledge import RunnableRunbook

EXAMPLES = Path(__file__).parents[2] / "examples" / "runbooks"
HOUSE = """---
title: House
inputs:
  host: {type: host}
  service: {type: service, required: false}
  days: {type: integer, default: 7}
  action: {type: text, choices: [start, stop, restart], default: restart}
---
```shell id=a
echo ${inputs.host} ${inputs.days} ${inputs.action}
```
"""


def runbook(name: str) -> RunnableRunbook:
    text = HOUSE if name == "house" else (EXAMPLES / f"{name}.md").read_text(encoding="utf-8")
    return parse_runbook(name, text)


TAKEN: list[tuple[str, str, JsonObject]] = [
    ("disk-filling-up", "The disk on this host is filling up", {"path": "/usr"}),
    ("disk-filling-up", "/var is almost full, what uses the space?", {"path": "/var"}),
    ("disk-filling-up", "No space left on device, look at /srv/data", {"path": "/srv/data"}),
    ("disk-filling-up", "the root file system / is full", {"path": "/"}),
    ("disk-filling-up", "it filled up 3 days ago; what uses the space below /usr/share?", {"path": "/usr/share"}),
    ("disk-filling-up", "see https://wiki.example.org/disk and free some space", {"path": "/usr"}),
    ("disk-filling-up", "the read/write error says that the disk is full", {"path": "/usr"}),
    ("port-conflict", "Which process listens on port 8080?", {"port": 8080}),
    ("port-conflict", "bind: address already in use 0.0.0.0:9090", {"port": 9090}),
    ("port-conflict", "address already in use [::]:443", {"port": 443}),
    ("port-conflict", "who holds port number 22", {"port": 22}),
    ("port-conflict", "port=8080 is taken since 2 hours", {"port": 8080}),
    ("service-not-responding", "Nothing answers on port 8081", {"port": 8081}),
    ("service-not-responding", "The nginx service does not answer on port 8081", {"port": 8081, "service": "nginx"}),
    ("service-not-responding", "refused by the failed service on port 5432", {"port": 5432}),
    ("service-not-responding", "the service `api@2` refuses connections on port 80", {"port": 80, "service": "api@2"}),
    ("log-errors-surge", "Many errors in the log, look at the last 200 lines", {"lines": 200}),
    ("log-errors-surge", "what is the most frequent error in the log?", {"lines": 500}),
    ("certificate-expiry", "When does /etc/ssl/certs/a.crt expire?", {"certificate": "/etc/ssl/certs/a.crt"}),
    ("house", "stop it on host web-1", {"host": "web-1", "days": 7, "action": "stop"}),
    ("house", "clean db.example.com of what is older than 30 days", {"host": "db.example.com", "days": 30, "action": "restart"}),
    ("house", "read app.log on 10.0.0.7", {"host": "10.0.0.7", "days": 7, "action": "restart"}),
]  # fmt: skip

ASKED: list[tuple[str, str, set[str]]] = [
    ("disk-filling-up", "disk full, clean everything except /home", {"path"}),
    ("disk-filling-up", "look at /var or at /srv", {"path"}),
    ("disk-filling-up", "do not look at /var", {"path"}),
    ("disk-filling-up", "something is full, but not /var", {"path"}),
    ("port-conflict", "A service cannot bind its port", {"port"}),
    ("port-conflict", "port 80 or 443 is taken", {"port"}),
    ("port-conflict", "ports 80 and 443 are taken", {"port"}),
    ("port-conflict", "one of the ports 8000-8010 is taken", {"port"}),
    ("port-conflict", "address already in use, port 8,080", {"port"}),
    ("port-conflict", "port 0x50 is taken", {"port"}),
    ("port-conflict", "who holds the port, not port 80", {"port"}),
    ("port-conflict", "port 80 was free, port 81 is taken", {"port"}),
    ("service-not-responding", "service is down", {"port"}),
    ("log-errors-surge", "look at 100 or 200 lines of the log", {"lines"}),
    ("log-errors-surge", "not the last 100 lines, please", {"lines"}),
    ("house", "clean host web-1 and host web-2", {"host"}),
    ("house", "clean host web-1, it filled up 3 days ago", {"days"}),
    ("house", "on host web-1: do not stop it, restart it", {"action"}),
    ("house", "clean app.log", {"host"}),
    ("house", "ssh://web.example.org/x is dead", {"host"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "goal", "values"), TAKEN)
def test_what_is_beyond_doubt_is_taken(name: str, goal: str, values: JsonObject) -> None:
    bound = bind_inputs(runbook(name), goal=goal, given={})
    assert (bound.values, bound.missing) == (values, ())


@pytest.mark.parametrize(("name", "goal", "missing"), ASKED)
def test_what_is_doubtful_is_asked_for_also_where_there_is_a_default(
    name: str, goal: str, missing: set[str]
) -> None:
    assert set(bind_inputs(runbook(name), goal=goal, given={}).missing) == missing


@pytest.mark.parametrize(
    "goal",
    [
        "My service is not responding",
        "the slow service hangs",
        "error in service: connection refused",
        "the web service is away",
        "a service account has expired",
        "which service is down?",
    ],
)
def test_a_service_that_has_no_name_is_given_none(goal: str) -> None:
    bound = bind_inputs(runbook("service-not-responding"), goal=goal, given={"port": 1})
    assert "service" not in bound.values


def test_a_plan_tells_where_its_values_are_from() -> None:
    bound = bind_inputs(runbook("log-errors-surge"), goal="read the last 200 lines", given={})
    assert bound.told == ("lines = 200 (from the goal)",)
    bound = bind_inputs(runbook("log-errors-surge"), goal="read the log", given={})
    assert bound.told == ("lines = 500 (as the runbook says)",)
