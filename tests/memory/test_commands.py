"""A lesson on a command reaches every command made alike, and no other."""

import pytest

from holdfast.memory.commands import disregards_command, mends, programs_of, programs_taught

DRAIN = "kubectl drain n-1"
DRAINED = "kubectl drain n-1 --ignore-daemonsets"
POSTED = "curl -X POST 'https://h/a/merge?wait=false'"
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
        ("apt-get install -y b", "apt-get install -y a", "LANG=C apt-get install -y a", True),
        ("LANG=C apt-get install -y b", "apt-get install -y a", "LANG=C apt-get install -y a", False),
        ("vpn up b", "vpn up a", "vpn down a; vpn up a", True),
        ("vpn down b; vpn up b", "vpn up a", "vpn down a; vpn up a", False),
        ("curl -X POST https://h/b/merge", "curl -X POST https://h/a/merge", POSTED, True),
        ("curl -X POST https://elsewhere/feed", "curl -X POST https://h/a/merge", POSTED, False),
        ("curl https://h/b/size", "curl -X POST https://h/a/merge", POSTED, False),
        ("usermod -G audio b", "usermod -G wheel a", "usermod -aG wheel a", True),
        ("usermod -L b", "usermod -G wheel a", "usermod -aG wheel a", False),
        ("gs -q b.ps", "gs a.ps", "gs -dSAFER a.ps", True),
        ("gs -q -sOut=b -r300 b.ps", "gs -q a.ps", "gs -q -dSAFER a.ps", False),
        ("convert b.svg b.png", "convert a.svg a.png", "convert -density 300 a.svg a.png", True),
        ("convert b.svg b.ico", "convert a.svg a.png", "convert -density 300 a.svg a.png", False),
        ("wgrib2 b.grb -s", "wgrib2 a.grb -s", "wgrib2 a.grb -s -fix_ncep", True),
        ("source b.zsh", "source a.sh", "set -e; source a.sh", True),
        ("ssh b reboot", "ssh a reboot", "ssh a sudo reboot", True),
        ("tabulate b.db", "tabulate a.db", "tabulate -csv a.db", True),
        ("tabulate -csv b.db", "tabulate a.db", "tabulate -csv a.db", False),
        ("certmake --for b -nodes", "certmake --for a", "certmake --for a -nodes", False),
        ("certmake --for=b 'c d'", "certmake --for=a 'c d'", "certmake --for=a -nodes 'c d'", True),
        ("paint -strip -fit -gray b", "paint -wide a", "paint -wide -tall a", False),
        ("ssh -p 22 a uptime", "ssh a reboot", "ssh a sudo reboot", False),
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


def test_a_command_with_a_word_changed_or_added_mends_it() -> None:
    rule = "nft add rule inet filter input tcp dport 22 accept"
    assert mends(rule, rule.replace("add", "insert"))
    assert mends("ssh a reboot", "ssh -o ConnectTimeout=5 a sudo systemctl reboot")
    assert not mends("docker stop web", "docker start web")


def test_a_command_on_a_host_within_hosts_is_read_one_host_deep() -> None:
    assert programs_of({"command": "ssh a ssh b ssh c reboot"}) == ("ssh",)


def test_a_call_that_makes_any_request_is_known_by_its_method_and_host() -> None:
    assert programs_of({"method": "put", "url": "https://stock.example/items/7?x=1"}) == (
        "PUT stock.example",
    )
    assert programs_of({"url": "https://stock.example/items/7"}) == ()


def test_a_tool_that_runs_any_program_is_known_by_what_it_runs() -> None:
    assert programs_of({"command": "cd /srv && kubectl drain n-1 | tee log"}) == ("kubectl drain", "tee")
    assert programs_of({"target": "web"}) == ()


@pytest.mark.parametrize("programs", [5, "kubectl", [1, {}], {}, None])
def test_what_others_call_programs_stands_in_nobodys_way(programs: object) -> None:
    assert programs_taught({"programs": programs}) == ()
