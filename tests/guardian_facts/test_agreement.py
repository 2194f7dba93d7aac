"""bash and the reader of scripts agree: what bash would run is among the commands we saw, or the script is not allowed.

Scripts are thrown together from harmless pieces and run by bash in an empty folder with an empty PATH, where every command
is only noted by name. A grammar that takes two commands for one, or a command for text, is found here first.
"""

# ruff: noqa: SIM905, S311 - word lists read better as text; the scripts are no secret

import random
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from holdfast.guardian.facts import ActionView, default_decision, extract_facts
from schemas.facts import Facts
from schemas.verdicts import Decision

BASH = shutil.which("bash")
NAMES = "ls cat id wc df ps stat file nice env date uname".split()
PIECES = [
    *NAMES, *"if then fi else while do done esac until in for select case ;; ! [[ ]] [ ] (( )) ( ) { } | & && ||".split(),
    "\n", ";", '"', "'", "\\", "\\\n", "\t", "`df`", "$(ps)", '"$(stat)"', '"`file`"', "<(uname)", ">(date)", "${x:-id}",
    "${x^^$(wc)}", "${x#", "$x", "x=1", "x=ls", "A=b ", "a[1]=", "a=(", "x+=", "=~", "==", "~", "*", "?", "#", "--", "-n",
    " >/dev/null", "$ ", "x=$ ", " </dev/null", " 2>&1", "<<<x", "<<E\n", "<<E'F'\n", "\nEF\n", "x\\\n", "<<\\E\n", "<<-E\n", "\tE\n", "<<'E'\n", "\nE\n", "$'\\x69\\x64'", '$"wc"', "\\ls", "\\ ", "''",
    "{ls,}", "$((1+1))", "|&", "&>/dev/null", ";&", "$@", "time ", "command ", "eval ", "f() ", "f", "function f ",
]  # fmt: skip


def script(choice: random.Random) -> str:
    count = choice.randint(2, 12)
    return "".join(choice.choice(PIECES) + choice.choice(("", "", " ")) for _ in range(count))


def facts_of(text: str) -> Facts:
    return extract_facts(ActionView(tool="shell.run", kind="shell", arguments={"command": text}))


def allowed_scripts(seed: int, count: int) -> list[str]:
    choice, found = random.Random(seed), list[str]()
    while len(found) < count:
        text = script(choice)
        if default_decision(facts_of(text)) is Decision.ALLOW and text.isascii():
            found.append(text)
    return found


def names_run_by_bash(text: str, folder: Path) -> set[str]:
    log, empty = folder / "names", folder / "empty"
    empty.mkdir(exist_ok=True)
    log.write_text("")
    (folder / "script").write_text(
        f"command_not_found_handle() {{ printf '%s\\0' \"$1\" >> {log}; }}\nulimit -t 1\nPATH={empty}\n"
        f"eval {shlex.quote(text)}\nwait\n"
    )
    subprocess.run(
        [BASH or "bash", "--norc", "--noprofile", folder / "script"],
        cwd=empty, env={}, timeout=10, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return {name for name in log.read_text().split("\0") if name}


@pytest.mark.skipif(BASH is None, reason="there is no bash to agree with")
@pytest.mark.parametrize("seed", range(3))
def test_bash_runs_nothing_in_an_allowed_script_that_was_not_seen(seed: int, tmp_path: Path) -> None:
    unseen = {}
    for text in allowed_scripts(seed, 60):
        missed = names_run_by_bash(text, tmp_path) - set(facts_of(text).binaries)
        if missed:
            unseen[text] = missed
    assert not unseen


MISREAD = [
    "x=$ rm ls",
    ">/dev/null''\\ls rm -rf /srv",
    "* A=b",
    "ls; * A=b",
    'x=$ "rm" ls',
    "x=$\trm ls",
    "nice -n 5 </dev/null rm -rf /srv",
    "nice -n 5 <<E rm -rf /srv\nx\nE",
    "ls\n\\rm -rf /srv",
    "echo x =~\nrm -rf /srv",
    "tr`:`uncate -s 0 data.db",
    "ls ${x^^$(rm -rf /srv)}",
    "cat <<E\n`rm -rf /srv`\nE",
    "cat <<E\n$(ls) `rm -rf /srv`",
    '$"w"\\all hello',
    "cat <<E\n $(rm -rf /srv)\nE",
    "cat <<E'F'\nx\nEF\nrm -rf /srv\nE'F'\n",
    "cat <<'E'\nx\\\nE\nrm -rf /srv\nE\n",
    "cat <<\u0141\nx\n\u0141\nrm -rf /srv\nA\n",
]


@pytest.mark.parametrize("text", MISREAD)
def test_what_the_grammar_once_took_for_something_else_asks(text: str) -> None:
    assert default_decision(facts_of(text)) is not Decision.ALLOW


@pytest.mark.parametrize(
    "text", ["{\U000e8fa0", "{1..\U0010ffff", "[[ -\U000e8fa0 ]]", "cat <<E\n$\U000e8fa0\nE", "a?\U000e8fa0"]
)
def test_letters_that_the_scanner_of_the_grammar_cannot_take_never_reach_it(text: str) -> None:
    """Each of these ended the process: C's isdigit looks beyond its table."""
    assert any("beyond ASCII" in reason for reason in facts_of(text).unknowns)


@pytest.mark.parametrize("text", ["echo 'grüße, мир'", "ls /données/été", "grep -rn 日本 src | wc -l"])
def test_letters_beyond_ascii_are_read_where_they_can_be(text: str) -> None:
    assert default_decision(facts_of(text)) is Decision.ALLOW
