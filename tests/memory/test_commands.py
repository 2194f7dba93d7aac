"""A lesson on a command reaches every command made alike, and no other."""

import pytest

from holdfast.memory.commands import disregards_command, mends, programs_of, programs_taught

DRAIN = "kubectl drain n-1"
DRAINED = "kubectl drain n-1 --ignore-daemonsets"
INDEX = "psql -d shop -c 'create index on orders (day)'"
INDEXED = "psql -d shop -c 'create index concurrently on orders (day)'"


@pytest.mark.parametrize(
    ("call", "failed", "worked", "expected"),
    [
        ("kubectl drain n-9", DRAIN, DRAINED, True),
        ("kubectl get pods && kubectl drain n-9", DRAIN, DRAINED, True),
        ("kubectl drain n-9 --ignore-daemonsets", DRAIN, DRAINED, False),
        ("kubectl get nodes", DRAIN, DRAINED, False),
        ("psql -d crm -c 'create index on people (name)'", INDEX, INDEXED, True),
        ("psql -d crm -c 'create index concurrently on people (name)'", INDEX, INDEXED, False),
        ("psql -d crm -c 'select count(*) from people'", INDEX, INDEXED, False),
        ("psql -d crm -c 'insert into people values (1)'", INDEX, INDEXED, False),
        ("az vm resize -n b", "az vm resize -n a", "az vm deallocate -n a && az vm resize -n a", True),
        ("cat /etc/app.conf | grep x", "cat /etc/app.conf", "cat /etc/app/app.conf", True),
        ("cat /var/log/syslog", "cat /etc/app.conf", "cat /etc/app/app.conf", False),
        ("rm --force a", "rm --force b", "rm b", True),
        ("systemctl restart web", "systemctl restart web", None, True),
        ("systemctl restart db", "systemctl restart web", None, False),
        ("if [", DRAIN, DRAINED, False),
    ],
)
def test_a_command_disregards_a_lesson_on_one_made_alike(
    call: str,
    failed: str,
    worked: str | None,
    expected: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    assert disregards_command(call, failed, worked) is expected


def test_a_look_around_after_a_failure_mends_nothing() -> None:
    assert mends(DRAIN, DRAINED)
    assert not mends(DRAIN, "kubectl get pods -A")


def test_a_tool_that_runs_any_program_is_known_by_what_it_runs() -> None:
    assert programs_of({"command": "cd /srv && kubectl drain n-1 | tee log"}) == ("kubectl drain", "tee")
    assert programs_of({"target": "web"}) == ()


@pytest.mark.parametrize("programs", [5, "kubectl", [1, {}], {}, None])
def test_what_others_call_programs_stands_in_nobodys_way(programs: object) -> None:
    assert programs_taught({"programs": programs}) == ()
