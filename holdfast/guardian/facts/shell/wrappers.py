"""Commands that run another command: env, timeout, sudo, xargs, find -exec. What they wrap is judged in its place."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from holdfast.guardian.facts.shell.invoke import Call, Invoker, special
from holdfast.guardian.knowledge import match_option
from holdfast.guardian.words import Certainty, Word
from schemas.facts import Effect

_XARGS_ATTACHED = re.compile(r"-[ile](?!$).+|--max-lines=\d+")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_DECODERS = frozenset(
    ["base64", "base32", "basenc", "xxd", "openssl", "rev", "uudecode", "gpg", "printf", "python", "perl"]
)
_NOWHERE = "\0"  # stands in no word: names are added that cannot become options
_FIND_RUNNERS = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_FIND_NAMES = frozenset({"-name", "-iname", "-path", "-ipath", "-wholename", "-iwholename"})
_KEYS = ("id_rsa", "id_ed25519", "id_ecdsa", "id_dsa")
_WIDE = frozenset({"/", "/etc", "/etc/", "/root", "/home", "/home/", "~", "~/", "$HOME"})
_FD_RUNNERS = frozenset({"-x", "--exec", "-X", "--exec-batch"})
_FIND_WRITERS = frozenset({"-fprint", "-fprint0", "-fprintf", "-fls"})


@special("wrapper")
def _wrapper(invoker: Invoker, call: Call) -> None:
    """`timeout 5 cmd`, `nice cmd`, `sudo cmd`, `env A=b cmd`: own options, own arguments, then a command."""
    if call.words and call.words[0].text in call.tool.modes:
        invoker.judge(call)
        return
    if _asks_for_help(invoker, call):
        return
    rest = own_part(invoker, call, skip=call.tool.most or 0)
    invoker.draft.effect(call.tool.effects or (), call.name)
    if Effect.PRIVILEGE in (call.tool.effects or ()):
        invoker.draft.privileged = True
    _continue(invoker, call, rest)


def _asks_for_help(invoker: Invoker, call: Call) -> bool:
    """`xargs --help`: nothing else stands there, so nothing is wrapped."""
    if [word.text for word in call.words] not in (["--help"], ["--version"]):
        return False
    invoker.draft.command(call.name, "", [call.words[0].text], [])
    invoker.draft.effect({Effect.READ}, call.name)
    return True


def _continue(invoker: Invoker, call: Call, rest: Sequence[Word]) -> None:
    if rest:
        invoker.invoke(rest, fed=call.fed, tail=call.tail, marker=call.marker)
    elif call.tool.bare is not None and not (call.tail or call.marker):
        invoker.draft.effect(call.tool.bare, call.name)
    else:
        invoker.unknown(f"{call.name}: nothing to run")


def own_part(invoker: Invoker, call: Call, *, skip: int) -> Sequence[Word]:
    """Consumes the wrapper's own options and `skip` arguments; answers the wrapped command."""
    words, at, own, options = list(call.words), 0, [], True
    while at < len(words):
        word = words[at]
        if options and word.text == "--":
            options = False
        elif options and call.tool.special == "xargs" and _XARGS_ATTACHED.fullmatch(word.text):
            own.append(word.text)
        elif options and len(word.text) > 1 and word.text[0] == "-":
            at += _own_option(invoker, call, words[at : at + 2], own)
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


def _own_option(invoker: Invoker, call: Call, words: Sequence[Word], own: list[str]) -> int:
    match, taken = match_option(call.tool, words)
    own.extend(match.flags)
    if call.name == "env" and match.flags and match.flags[-1] in {"-C", "--chdir"}:
        invoker.draft.enter(match.options[-1][1])
    for word in words[:taken]:
        invoker.draft.look_at(word, reads_content=True)
    for reason in match.unknowns:
        invoker.unknown(reason)
    invoker.draft.effect(match.effects, f"{call.name} {words[0].text}")
    return taken - 1


@special("xargs")
def _xargs(invoker: Invoker, call: Call) -> None:
    """Unknown words are appended to the command, or put where the marker stands."""
    if _asks_for_help(invoker, call):
        return
    rest = own_part(invoker, call, skip=0)
    own = call.words[: len(call.words) - len(rest)]
    marker = _xargs_marker([word.text for word in own])
    invoker.draft.effect({Effect.READ}, "xargs")
    if invoker.upstream & _DECODERS:
        invoker.unknown("xargs: its input is decoded text")
    if invoker.fed_paths and {"-0", "--null"} & {word.text for word in own}:
        marker = marker or _NOWHERE
    if rest:
        invoker.invoke(rest, fed=False, tail=not marker, marker=marker)
    elif call.tail or call.marker:
        invoker.unknown("xargs: runs what another xargs reads")


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
            at = _find_runner(invoker, words, at + 1)
            continue
        if text in _FIND_WRITERS:
            invoker.draft.effect({Effect.WRITE}, f"find {text}")
        elif text == "-delete":
            invoker.draft.effect({Effect.DELETE}, "find -delete")
        elif text in {"-regex", "-iregex"} and at + 1 < len(words):
            _look_for_secrets(invoker, Word(words[at + 1].text.lstrip(".*/")), wide=())
        elif text in _FIND_NAMES and at + 1 < len(words):
            _look_for_secrets(invoker, words[at + 1], wide=_WIDE.intersection(word.text for word in words))
        plain.append(words[at])
        at += 1
    invoker.judge(Call(call.name, call.tool, plain, call.fed, call.tail, call.marker))
    invoker.prints_paths = len(plain) == len(words) and _prints_only_paths(plain)


def _prints_only_paths(words: Sequence[Word]) -> bool:
    """Each path begins with the literal starting point it was found below, and that is no option."""
    texts = [word.text for word in words]
    start = words[:1] and words[0].certainty is Certainty.LITERAL and re.match(r"[./\w~]", texts[0])
    return (
        bool(start) and "-print0" in texts and not {"-printf", "-print", "-ls", "-files0-from"} & set(texts)
    )


def _look_for_secrets(invoker: Invoker, pattern: Word, *, wide: Collection[str]) -> None:
    """Looking for `shadow` or `credentials` by name is as good as naming the path, and so is `shad*` below `/etc`."""
    name = pattern.text.lstrip("*/")
    certainty = Certainty.GLOB if wide and re.match(r"[\w.-]{3}", name) else Certainty.LITERAL
    for directory in ("/etc", "/home/user"):
        invoker.draft.look_at(Word(f"{directory}/{name}", certainty))
    if certainty is Certainty.GLOB and any(fnmatchcase(key, name) for key in _KEYS):
        invoker.draft.effect({Effect.SECRET}, f"looks for private keys named {name}")


def _find_runner(invoker: Invoker, words: list[Word], at: int, *, tail: bool = False) -> int:
    end = at
    while end < len(words) and words[end].text not in {";", "+", "+;"}:
        end += 1
    inner = words[at:end]
    if inner:
        invoker.invoke(inner, marker="{}", tail=tail)
    else:
        invoker.unknown("find -exec: nothing to run")
    return end + 1


@special("fd")
def _fd(invoker: Invoker, call: Call) -> None:
    """What follows `-x` or `-X` is a command, up to a lone `;`."""
    words = list(call.words)
    at = next((i for i, word in enumerate(words) if word.text in _FD_RUNNERS), None)
    if at is not None:
        end = _find_runner(invoker, words, at + 1, tail=not any("{" in word.text for word in words[at:]))
        words = words[:at] + words[end:]
    invoker.judge(replace(call, words=words))


@special("scheduled")
def _scheduled(invoker: Invoker, call: Call) -> None:
    """`taskset -p 1` shows what a process has, `taskset -p 3 1` sets it; without `-p` they wrap a command."""
    *options, last = [word.text for word in call.words] or [""]
    shown = (
        {"-p", "--pid", "-a"}
        if call.name == "ionice"
        else {"-p", "--pid", "-a", "-c", "-cp", "-pc", "-ap", "--cpu-list"}
    )
    if any("p" in option for option in options) and shown.issuperset(options) and not last.startswith("-"):
        invoker.draft.command(call.name, "", options, [last])
        invoker.draft.effect({Effect.READ}, call.name)
    else:
        _wrapper(invoker, call)
