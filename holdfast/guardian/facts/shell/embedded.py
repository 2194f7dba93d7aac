"""Commands whose argument is a program in another language: awk, sed, perl, python, SQL clients."""

import re
from collections.abc import Sequence
from dataclasses import replace

from holdfast.guardian.facts.languages.awk import read_awk
from holdfast.guardian.facts.languages.mongo import mongo_is_harmless
from holdfast.guardian.facts.languages.perl import perl_is_harmless
from holdfast.guardian.facts.languages.python import read_python
from holdfast.guardian.facts.languages.sed import read_sed
from holdfast.guardian.facts.languages.sql import read_sql
from holdfast.guardian.facts.shell.invoke import Call, Invoker, special
from holdfast.guardian.words import Certainty, Word
from schemas.facts import Effect


@special("awk")
def _awk(invoker: Invoker, call: Call) -> None:
    match = invoker.judge(call)
    if "-f" in match.flags or "--file" in match.flags or match.look or match.unknowns:
        return
    program = next((value for name, value in match.options if name in {"-e", "--source"}), None)
    if program is None and match.args:
        program = match.args[0].text
        if match.args[0].certainty is Certainty.CRAFTED or match.args[0].may_split:
            invoker.unknown(f"{call.name}: the program is computed")
    _embedded(invoker, call, read_awk(program) if program is not None else None, program or "")


@special("sed")
def _sed(invoker: Invoker, call: Call) -> None:
    match = invoker.judge(call)
    if match.look or match.unknowns:
        return
    programs = [Word(value) for name, value in match.options if name in {"-e", "--expression"}]
    programs = programs or match.args[:1]
    if any(word.certainty is Certainty.CRAFTED for word in programs):
        invoker.unknown("sed: the program is computed")
    if not programs:
        invoker.unknown("sed: no program")
    for word in programs:
        _embedded(invoker, call, read_sed(word.text), word.text)


def _embedded(invoker: Invoker, call: Call, findings: Sequence[str] | None, text: str) -> None:
    if findings is None:
        invoker.unknown(f"{call.name}: no program")
        return
    if call.marker and call.marker in text:
        invoker.unknown(f"{call.name}: the program is computed")
    for finding in findings:
        invoker.unknown(f"{call.name}: {finding}")


_PERL_PURE = re.compile(
    r"-M(?:strict|warnings|utf8|integer|bigint|List::Util|Scalar::Util|Time::Local)(?:=[\w,]+)?"
)


_PERL_OPENS = re.compile(r"^\s*[|>+]|\|\s*$")
"""`perl -ne … 'cmd|'`: what it loops over is opened the old way, where such marks mean a pipe or a target."""


@special("perl")
def _perl(invoker: Invoker, call: Call) -> None:
    invoker.draft.note("interpreters", call.name)
    words = [word for word in call.words if not (word.constant and _PERL_PURE.fullmatch(word.text))]
    match = invoker.judge(replace(call, words=words))
    programs = [value for name, value in match.options if name in {"-e", "-E"}]
    if match.look or Effect.EXEC in match.effects:
        return
    if not programs or not all(perl_is_harmless(program) for program in programs):
        invoker.draft.pipes_to_shell |= call.fed and not programs and not match.args
        invoker.unknown(f"{call.name}: the program is not understood")
    if any(not word.constant for word in call.words if word.text in programs):
        invoker.unknown(f"{call.name}: the program is computed")
    if any(_PERL_OPENS.search(word.text) for word in match.args):
        invoker.unknown(f"{call.name} opens an argument as a command or for writing")


@special("python")
def _python(invoker: Invoker, call: Call) -> None:
    invoker.draft.note("interpreters", call.name)
    words = list(call.words)
    at = next(
        (i for i, word in enumerate(words) if word.text[:1] != "-" or "c" in word.text or "m" in word.text), 0
    )
    flag = words[at].text if words else ""
    if flag.startswith("-") and not flag.startswith("--") and flag.endswith("c") and at + 1 < len(words):
        code = words[at + 1]
        invoker.draft.command(call.name, "", ["-c"], [])
        if "i" in flag:
            invoker.unknown(f"{call.name} -i goes on with its standard input")
        if not code.constant or (call.marker and call.marker in code.text):
            invoker.unknown(f"{call.name} -c runs computed text")
        read_python(code.text, invoker.draft, invoker.script)
        for word in words[at + 2 :]:
            invoker.draft.look_at(word, reads_content=True)
        return
    module = words[at + 1] if flag == "-m" and at + 1 < len(words) else None
    tool = invoker.draft.knowledge.tools.get(f"python:{module.text}") if module else None
    if module and tool and module.constant:
        invoker.judge(replace(call, name=f"{call.name} -m {module.text}", tool=tool, words=words[at + 2 :]))
        return
    match = invoker.judge(call)
    if not match.look:
        invoker.draft.pipes_to_shell |= call.fed and not match.args


@special("code")
def _code(invoker: Invoker, call: Call) -> None:
    """An interpreter whose language is not read: only its harmless options pass."""
    invoker.draft.note("interpreters", call.name)
    match = invoker.judge(call)
    if not match.look and call.fed and not match.args:
        invoker.draft.pipes_to_shell = True


@special("sql")
def _sql(invoker: Invoker, call: Call) -> None:
    """A client with SQL as an option value, or (sqlite3) as its second argument."""
    match = invoker.judge(call)
    if match.look or match.unknowns:
        return
    texts = [value for name, value in match.options if name in call.tool.sql]
    if "@2" in call.tool.sql:
        texts += [word.text for word in match.args[1:]]
    if not texts:
        invoker.unknown(f"{call.name}: reads statements from its standard input")
    if any(not word.constant for word in call.words if word.text in texts):
        invoker.unknown(f"{call.name}: the statement is computed")
    for text in texts:
        for finding in read_sql(text, invoker.draft):
            invoker.unknown(f"{call.name}: {finding}")


@special("mongo")
def _mongo(invoker: Invoker, call: Call) -> None:
    """Only expressions given with `--eval` can be read; a script file, or no expression at all, cannot."""
    match = invoker.judge(call)
    programs = [value for name, value in match.options if name == "--eval"]
    if match.look:
        return
    if not programs or not all(map(mongo_is_harmless, programs)):
        invoker.unknown(f"{call.name}: the expression is not understood")
    if call.tail or not all(word.constant and not _holds(call.marker, word) for word in call.words):
        invoker.unknown(f"{call.name}: the expression is computed")


def _holds(marker: str, word: Word) -> bool:
    return bool(marker) and marker in word.text
