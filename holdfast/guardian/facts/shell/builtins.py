"""Builtins that change the shell itself."""

import re
from collections.abc import Sequence

from holdfast.guardian.facts.shell.invoke import Call, Invoker, runs_when_evaluated, special
from holdfast.guardian.words import Certainty, Word
from schemas.facts import Effect


def refuse_subscripts(invoker: Invoker, name: str, words: Sequence[Word]) -> None:
    """`printf -v 'a[$(cmd)]'`: quoted text that the builtin evaluates as a subscript."""
    if any(runs_when_evaluated(word.text) for word in words):
        invoker.unknown(f"{name} evaluates a subscript")


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
    refuse_subscripts(invoker, call.name, call.words)
    for word in call.words:
        if word.text.isidentifier():
            invoker.assign(word.text, Word(""), exported=False)
            invoker.scope.taint(word.text, Certainty.CRAFTED)


@special("printf")
def _printf(invoker: Invoker, call: Call) -> None:
    invoker.judge(call)
    if call.words and call.words[0].text.startswith("-v"):
        refuse_subscripts(invoker, call.name, call.words[:2])
        invoker.assign(
            call.words[1].text if len(call.words) > 1 else "", Word("", Certainty.CRAFTED), exported=False
        )


@special("declare")
def _declare(invoker: Invoker, call: Call) -> None:
    """`export A=b` under a disguised name (`"export"`): the grammar sees an ordinary command."""
    invoker.draft.effect({Effect.READ}, call.name)
    invoker.draft.command(call.name, "", (), [word.text for word in call.words])
    for word in call.words:
        name, _, value = word.text.partition("=")
        if not word.constant:
            invoker.unknown(f"{call.name} of a computed name")
        elif word.text.startswith(("-", "+")):
            invoker.declare_option(call.name, word.text)
        else:
            invoker.assign(name.removesuffix("+"), Word(value, Certainty.CRAFTED), exported=True)
            invoker.scope.taint(name, Certainty.CRAFTED)


@special("test")
def _test(invoker: Invoker, call: Call) -> None:
    """`test -v 'a[$(cmd)]'` runs the subscript."""
    invoker.judge(call)
    if any(word.text in {"-v", "-R"} for word in call.words) and any("[" in word.text for word in call.words):
        invoker.unknown("test -v evaluates a subscript")


@special("cd")
def _cd(invoker: Invoker, call: Call) -> None:
    """What follows may name files relative to where it goes."""
    match = invoker.judge(call)
    for word in match.args[:1]:
        if word.constant:
            invoker.draft.enter(word.text)


@special("unset")
def _evaluates_subscripts(invoker: Invoker, call: Call) -> None:
    """A builtin that takes names runs what stands in their subscripts."""
    invoker.judge(call)
    refuse_subscripts(invoker, call.name, call.words)
