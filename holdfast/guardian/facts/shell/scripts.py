"""Commands that run shell text: sh -c, eval, watch, trap. Constant text is read one level deeper."""

import re
from collections.abc import Sequence

from holdfast.guardian.facts.shell.invoke import Call, Invoker, special
from holdfast.guardian.facts.shell.wrappers import own_part
from holdfast.guardian.words import Certainty, Word
from schemas.facts import Effect


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
    if _only_checks(words[:at]):
        invoker.draft.effect({Effect.READ}, f"{call.name} -n")
        return
    if not command or at >= len(words):
        _shell_without_text(invoker, call, words[at:])
        return
    _shell_text(invoker, call, words[at], words[at + 1 :])


def _only_checks(options: Sequence[Word]) -> bool:
    """`-n` reads a script without running it; an interactive shell ignores that."""
    letters = "".join(word.text[1:] for word in options if word.text[:2] != "--" and word.text[0] == "-")
    return "n" in letters and not set(letters) & set("ciso") and not any(w.text[0] == "+" for w in options)


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
    """`watch` hands its words to `sh -c`, or with `-x` runs them as they are."""
    rest = own_part(invoker, call, skip=0)
    own = {word.text for word in call.words[: len(call.words) - len(rest)]}
    if rest and any(text == "--exec" or (text[:2] != "--" and "x" in text) for text in own):
        invoker.invoke(rest)
        return
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
