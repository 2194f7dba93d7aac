"""Commands that need more than options to be understood: searches for secrets, downloads, old spellings."""

import re
from dataclasses import replace

from holdfast.guardian.facts.hosts import host_of, normal_host, place_of
from holdfast.guardian.facts.shell.invoke import Call, Invoker, special
from holdfast.guardian.knowledge import match_command
from schemas.facts import Effect

_HUNT = re.compile(
    r"passw|passphrase|secret|credential|api.?key|access.?key|private.?key|aws_|AKIA|ASIA[0-9A-Z]|ghp_|xox[bp]-|token|BEGIN .*KEY",
    re.IGNORECASE,
)
_NAMES = re.compile(r"pass|secret|cred|key|token|auth|pwd", re.IGNORECASE)
_EXTRACTS = frozenset({"-x", "--extract", "--get"})
_ENVIRONMENT = frozenset({"env", "printenv", "export", "declare", "typeset", "set", "compgen"})


@special("grep")
def _grep(invoker: Invoker, call: Call) -> None:
    """Searching a tree for words like `password` is looking for secrets, wherever they lie."""
    match = invoker.judge(call)
    recursive = bool({"-r", "-R", "--recursive", "--dereference-recursive"} & set(match.flags))
    recursive = (
        recursive
        or call.name in {"rg", "ag", "ack"}
        or any(word.text.endswith("/*") for word in match.args[1:])
        or call.tail
    )
    patterns = [value for name, value in match.options if name in {"-e", "--regexp"}]
    patterns += [word.text for word in match.args[:1]]
    environment = bool(invoker.upstream & _ENVIRONMENT)
    if environment and any(_NAMES.search(pattern) for pattern in patterns):
        invoker.draft.effect({Effect.SECRET}, f"{call.name} searches the environment for credentials")
    through_history = call.fed and "history" in invoker.upstream
    if (through_history or (recursive and not call.fed)) and any(map(_HUNT.search, patterns)):
        invoker.draft.effect({Effect.SECRET}, f"{call.name} searches for credentials")


@special("endless")
def _endless(invoker: Invoker, call: Call) -> None:
    """Prints until its reader has had enough; whether there is a reader is seen from the pipe it stands in."""
    invoker.judge(call)
    if not invoker.read_by:
        invoker.unknown(f"{call.name} never ends")


@special("http")
def _http(invoker: Invoker, call: Call) -> None:
    """A download to standard output reads; where it reads from decides the rest."""
    match = invoker.judge(call)
    if match.look and not match.args:
        return
    if not match.args:
        invoker.unknown(f"{call.name}: no address")
    for word in match.args:
        if not word.constant:
            invoker.unknown(f"{call.name}: the address is computed")
            continue
        text = word.text if "://" in word.text else f"http://{word.text}"
        host = host_of(text)
        if "@" in text.partition("://")[2].partition("/")[0]:
            invoker.draft.effect({Effect.SECRET}, f"{call.name}: credentials in the address")
        invoker.draft.note("hosts", host)
        if not text.lower().startswith(("http://", "https://")):
            invoker.unknown(f"{call.name}: {text.partition(':')[0]} addresses are not understood")
        _note_place(invoker, host)


def _note_place(invoker: Invoker, host: str) -> None:
    place = place_of(normal_host(host))
    if place == "metadata":
        invoker.draft.effect({Effect.SECRET}, f"{host} hands out credentials")
    elif place == "public":
        invoker.unknown(f"{host} is outside")


@special("tar")
def _tar(invoker: Invoker, call: Call) -> None:
    """`tar tvf x` is the old spelling of `tar -tvf x`; what is unpacked to standard output is not written."""
    words = list(call.words)
    if words and words[0].text[:1] not in {"-", ""}:
        words[0] = replace(words[0], text=f"-{words[0].text}")
    tool = call.tool
    if {"-O", "--to-stdout"} & set(match_command(tool, words).flags):
        kept = {name: effects for name, effects in tool.flags.items() if name not in _EXTRACTS}
        tool = replace(tool, flags=kept)
    invoker.judge(replace(call, words=words, tool=tool))


@special("dc")
def _dc(invoker: Invoker, call: Call) -> None:
    """The desk calculator hands a line that begins with `!` to a shell, so its program must be seen."""
    match = invoker.judge(call)
    programs = [value for name, value in match.options if name in {"-e", "--expression"}]
    if match.look:
        return
    if not programs or match.args or not all(word.constant for word in call.words):
        invoker.unknown("dc: the program is not seen")
    if any(re.search(r"!(?![<>=])", program) for program in programs):
        invoker.draft.effect({Effect.EXEC}, "dc runs commands")


@special("to_stdout")
def _to_stdout(invoker: Invoker, call: Call) -> None:
    """A converter that writes a file unless its last argument is `-`."""
    if call.words and call.words[-1].text == "-":
        call = replace(call, tool=replace(call.tool, effects=frozenset({Effect.READ})))
    invoker.judge(call)
