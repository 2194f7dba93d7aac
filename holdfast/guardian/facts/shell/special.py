"""Commands whose arguments are another command, or a program in another language."""

import re
from collections.abc import Sequence
from dataclasses import replace

from holdfast.guardian.facts.hosts import host_of, normal_host, place_of
from holdfast.guardian.facts.languages.awk import read_awk
from holdfast.guardian.facts.languages.perl import perl_is_harmless
from holdfast.guardian.facts.languages.python import read_python
from holdfast.guardian.facts.languages.sed import read_sed
from holdfast.guardian.facts.languages.sql import read_sql
from holdfast.guardian.facts.shell.invoke import Call, Invoker, special
from holdfast.guardian.knowledge import Match, match_command
from holdfast.guardian.words import Certainty, Word
from schemas.facts import Effect

_XARGS_ATTACHED = re.compile(r"-[ile](?!$).+|--max-lines=\d+")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_HUNT = re.compile(r"passw|passphrase|secret|credential|api.?key|access.?key|private.?key|aws_|token", re.IGNORECASE)
_FIND_RUNNERS = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_FIND_WRITERS = frozenset({"-fprint", "-fprint0", "-fprintf", "-fls"})
_POSITIONAL = re.compile(r"\$(\d|\{\d+\}|@|\*|#)")


@special("wrapper")
def _wrapper(invoker: Invoker, call: Call) -> None:
    """`timeout 5 cmd`, `nice cmd`, `sudo cmd`, `env A=b cmd`: own options, own arguments, then a command."""
    rest = _own_part(invoker, call, skip=call.tool.most or 0)
    invoker.draft.effect(call.tool.effects or (), call.name)
    if Effect.PRIVILEGE in (call.tool.effects or ()):
        invoker.draft.privileged = True
    _continue(invoker, call, rest)


def _continue(invoker: Invoker, call: Call, rest: Sequence[Word]) -> None:
    if rest:
        invoker.invoke(rest, fed=call.fed, tail=call.tail, marker=call.marker)
    elif call.tool.bare is not None:
        invoker.draft.effect(call.tool.bare, call.name)
    else:
        invoker.unknown(f"{call.name}: nothing to run")


def _own_part(invoker: Invoker, call: Call, *, skip: int) -> Sequence[Word]:
    """Consumes the wrapper's own options and `skip` arguments; answers the wrapped command."""
    words, at, own, options = list(call.words), 0, [], True
    while at < len(words):
        word = words[at]
        if options and word.text == "--":
            options = False
        elif options and call.tool.special == "xargs" and _XARGS_ATTACHED.fullmatch(word.text):
            own.append(word.text)
        elif options and len(word.text) > 1 and word.text[0] == "-":
            at += _own_option(invoker, call, word, words[at + 1 : at + 2], own)
        elif _ASSIGNMENT.match(word.text) and call.name in {"env", "sudo", "doas"}:
            name, _, value = word.text.partition("=")
            invoker.assign(name, Word(value, word.certainty), exported=True)
        elif skip:
            skip -= 1
        else:
            break
        at += 1
    invoker.draft.command(call.name, "", own, [])
    return words[at:]


def _own_option(invoker: Invoker, call: Call, word: Word, following: list[Word], own: list[str]) -> int:
    match = match_command_options(call, [word, *following])
    own.extend(match.flags[:1])
    for reason in match.unknowns:
        invoker.unknown(reason)
    invoker.draft.effect(match.effects, f"{call.name} {word.text}")
    return 1 if len(match.args) == 0 and following and _took_next(match, word, following[0]) else 0


def match_command_options(call: Call, words: Sequence[Word]) -> Match:
    return match_command(replace(call.tool, most=None, effects=frozenset(), match=None), words)


def _took_next(match: Match, word: Word, following: Word) -> bool:
    return bool(match.options) and match.options[0][1] == following.text and "=" not in word.text and (
        len(match.options) == 1
    ) and match.options[0][0] in match.tool.value and not word.text.endswith(following.text)


@special("shell")
def _shell(invoker: Invoker, call: Call) -> None:
    """`sh -c 'text'` is read one level deeper; a script file or standard input cannot be read."""
    invoker.draft.note("interpreters", call.name)
    words, at, command = list(call.words), 0, False
    while at < len(words) and words[at].text[:1] in {"-", "+"} and len(words[at].text) > 1:
        option = words[at].text
        if option in {"--version", "--help"}:
            invoker.draft.effect({Effect.READ}, call.name)
            return
        if not re.fullmatch(r"[-+][cexuvlinp]+|[-+]o|--|--norc|--noprofile|--posix", option):
            invoker.unknown(f"{call.name}: option {option} is not known")
        command = command or (option[0] == "-" and "c" in option and option[:2] != "--")
        at += 2 if option[1:] == "o" else 1
    invoker.draft.command(call.name, "", [word.text for word in words[:at]], [])
    if not command or at >= len(words):
        _shell_without_text(invoker, call, words[at:])
        return
    _shell_text(invoker, call, words[at], words[at + 1 :])


def _shell_without_text(invoker: Invoker, call: Call, rest: Sequence[Word]) -> None:
    if not rest:
        invoker.draft.pipes_to_shell |= call.fed
        invoker.unknown(f"{call.name} reads commands from its standard input")
        return
    invoker.unknown(f"{call.name} runs the file {rest[0].text}")
    invoker.draft.effect({Effect.EXEC}, f"{call.name} {rest[0].text}")


def _shell_text(invoker: Invoker, call: Call, script: Word, rest: Sequence[Word]) -> None:
    if not script.constant or (call.marker and call.marker in script.text):
        invoker.unknown(f"{call.name} -c runs computed text")
        invoker.draft.effect({Effect.EXEC}, call.name)
        return
    for word in rest:
        invoker.draft.look_at(word, reads_content=True)
    invoker.script(script.text)


@special("eval")
def _eval(invoker: Invoker, call: Call) -> None:
    if any(not word.constant for word in call.words):
        invoker.unknown("eval runs computed text")
        invoker.draft.effect({Effect.EXEC}, "eval")
        return
    invoker.script(" ".join(word.text for word in call.words))


@special("watch")
def _watch(invoker: Invoker, call: Call) -> None:
    """`watch` hands its words to `sh -c`."""
    rest = _own_part(invoker, call, skip=0)
    if not rest or any(word.certainty is Certainty.CRAFTED for word in rest):
        invoker.unknown("watch runs computed text")
        return
    invoker.script(" ".join(word.text for word in rest))


@special("trap")
def _trap(invoker: Invoker, call: Call) -> None:
    if call.words and call.words[0].text in {"-l", "-p", "-"}:
        invoker.draft.effect({Effect.READ}, "trap")
    elif call.words:
        _eval(invoker, Call(call.name, call.tool, call.words[:1], fed=False, tail=False, marker=call.marker))
    else:
        invoker.draft.effect({Effect.READ}, "trap")


@special("set")
def _set(invoker: Invoker, call: Call) -> None:
    """Only the options of careful scripts pass; `set +o history` is how tracks are hidden."""
    names = {"errexit", "nounset", "pipefail", "xtrace", "noglob", "errtrace"}
    previous = ""
    for word in call.words:
        text = word.text
        careful = re.fullmatch(r"[-+][euxfEvo]+", text) or (previous.endswith("o") and text in names)
        if text == "--":
            break
        if not careful:
            invoker.unknown(f"set {text} is not understood")
        previous = text
    invoker.draft.effect({Effect.READ}, "set")
    invoker.draft.command("set", "", [word.text for word in call.words], [])


@special("read")
def _read(invoker: Invoker, call: Call) -> None:
    """Names it fills may hold any text from here on."""
    invoker.draft.effect({Effect.READ}, call.name)
    if call.name in {"mapfile", "readarray"} and any(word.text.startswith("-C") for word in call.words):
        invoker.unknown(f"{call.name} -C runs a callback")
    for word in call.words:
        if word.text.isidentifier():
            invoker.assign(word.text, Word(""), exported=False)
            invoker.scope.taint(word.text, Certainty.CRAFTED)


@special("xargs")
def _xargs(invoker: Invoker, call: Call) -> None:
    """Unknown words are appended to the command, or put where the marker stands."""
    rest = _own_part(invoker, call, skip=0)
    own = call.words[: len(call.words) - len(rest)]
    marker = _xargs_marker([word.text for word in own])
    invoker.draft.effect({Effect.READ}, "xargs")
    if rest:
        invoker.invoke(rest, fed=False, tail=not marker, marker=marker)


def _xargs_marker(own: list[str]) -> str:
    for index, text in enumerate(own):
        if text in {"-I", "-J"}:
            return own[index + 1] if index + 1 < len(own) else "{}"
        if text in {"-i", "--replace"}:
            return "{}"
        if text.startswith(("-I", "-J", "-i", "--replace=")):
            return text.removeprefix("--replace=") if text.startswith("--") else text[2:]
    return ""


@special("find")
def _find(invoker: Invoker, call: Call) -> None:
    """The expression is a program: -exec runs, -delete deletes, -fprint writes."""
    words, at = list(call.words), 0
    plain: list[Word] = []
    while at < len(words):
        text = words[at].text
        if text in _FIND_RUNNERS:
            at = _find_runner(invoker, call, words, at + 1)
            continue
        if text in _FIND_WRITERS:
            invoker.draft.effect({Effect.WRITE}, f"find {text}")
        elif text == "-delete":
            invoker.draft.effect({Effect.DELETE}, "find -delete")
        plain.append(words[at])
        at += 1
    invoker.judge(Call(call.name, call.tool, plain, call.fed, call.tail, call.marker))


def _find_runner(invoker: Invoker, call: Call, words: list[Word], at: int) -> int:
    end = at
    while end < len(words) and words[end].text not in {";", "+", "+;"}:
        end += 1
    inner = words[at:end]
    if inner:
        invoker.invoke(inner, marker="{}")
    else:
        invoker.unknown("find -exec: nothing to run")
    return end + 1


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


@special("perl")
def _perl(invoker: Invoker, call: Call) -> None:
    invoker.draft.note("interpreters", call.name)
    match = invoker.judge(call)
    programs = [value for name, value in match.options if name in {"-e", "-E"}]
    if match.look or Effect.EXEC in match.effects:
        return
    if not programs or not all(perl_is_harmless(program) for program in programs):
        invoker.draft.pipes_to_shell |= call.fed and not programs and not match.args
        invoker.unknown(f"{call.name}: the program is not understood")
    if any(not word.constant for word in call.words if word.text in programs):
        invoker.unknown(f"{call.name}: the program is computed")


@special("python")
def _python(invoker: Invoker, call: Call) -> None:
    invoker.draft.note("interpreters", call.name)
    words = list(call.words)
    at = next((i for i, word in enumerate(words) if word.text[:1] != "-" or "c" in word.text or "m" in word.text), 0)
    flag = words[at].text if words else ""
    if flag.startswith("-") and not flag.startswith("--") and flag.endswith("c") and at + 1 < len(words):
        code = words[at + 1]
        invoker.draft.command(call.name, "", ["-c"], [])
        if not code.constant or (call.marker and call.marker in code.text):
            invoker.unknown(f"{call.name} -c runs computed text")
        read_python(code.text, invoker.draft, invoker.script)
        for word in words[at + 2 :]:
            invoker.draft.look_at(word, reads_content=True)
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


@special("grep")
def _grep(invoker: Invoker, call: Call) -> None:
    """Searching a tree for words like `password` is looking for secrets, wherever they lie."""
    match = invoker.judge(call)
    recursive = bool({"-r", "-R", "--recursive", "--dereference-recursive"} & set(match.flags))
    recursive = recursive or call.name in {"rg", "ag", "ack"} or any(word.text.endswith("/*") for word in match.args[1:])
    patterns = [value for name, value in match.options if name in {"-e", "--regexp"}]
    patterns += [word.text for word in match.args[:1]]
    if recursive and not call.fed and any(_HUNT.search(pattern) for pattern in patterns):
        invoker.draft.effect({Effect.SECRET}, f"{call.name} searches for credentials")


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


@special("http")
def _http(invoker: Invoker, call: Call) -> None:
    """A download to standard output reads; where it reads from decides the rest."""
    match = invoker.judge(call)
    if match.look:
        return
    if not match.args:
        invoker.unknown(f"{call.name}: no address")
    for word in match.args:
        if not word.constant:
            invoker.unknown(f"{call.name}: the address is computed")
            continue
        text = word.text if "://" in word.text else f"http://{word.text}"
        host = host_of(text)
        invoker.draft.note("hosts", host)
        if not text.lower().startswith(("http://", "https://")):
            invoker.unknown(f"{call.name}: {text.partition(':')[0]} addresses are not understood")
        note_place(invoker, host)


def note_place(invoker: Invoker, host: str) -> None:
    place = place_of(normal_host(host))
    if place == "metadata":
        invoker.draft.effect({Effect.SECRET}, f"{host} hands out credentials")
    elif place == "public":
        invoker.unknown(f"{host} is outside")


@special("printf")
def _printf(invoker: Invoker, call: Call) -> None:
    invoker.judge(call)
    if call.words and call.words[0].text == "-v":
        invoker.assign(call.words[1].text if len(call.words) > 1 else "", Word("", Certainty.CRAFTED), exported=False)


@special("tar")
def _tar(invoker: Invoker, call: Call) -> None:
    """`tar tvf x` is the old spelling of `tar -tvf x`."""
    words = list(call.words)
    if words and words[0].text[:1] not in {"-", ""}:
        words[0] = replace(words[0], text=f"-{words[0].text}")
    invoker.judge(replace(call, words=words))


@special("to_stdout")
def _to_stdout(invoker: Invoker, call: Call) -> None:
    """A converter that writes a file unless its last argument is `-`."""
    if call.words and call.words[-1].text == "-":
        call = replace(call, tool=replace(call.tool, effects=frozenset({Effect.READ})))
    invoker.judge(call)
