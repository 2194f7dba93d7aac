"""Different wordings of one goal, brought to one. Each rule changes how something is said, never what is said: where a
rule could be wrong for some goal, it is narrowed until it is not, or left out, and a paraphrase then costs a model call.

Goals come here as words with places, as `check disk of <host:0>`; articles and other neutral words are gone already.
"""

import re

_WHERE = r"<(?:host|name|address):\d+>"
_ATTRIBUTE = (
    r"(?:disk|disks|memory|CPU|swap|load|uptime|kernel|inodes|filesystems?|hostname|temperature|"
    r"(?:disk|memory|CPU|swap|inode|network) (?:usage|load|space|pressure)|(?:free|used) (?:disk space|memory)|"
    r"(?:running|failed|installed) (?:services|processes|packages|containers|pods))"
)
_AMOUNT = r"<number:\d+>(?: (?:seconds?|minutes?|hours?|days?|weeks?|months?|years?))?"
_OBJECTS = r"(?:files?|folders?|directory|directories|logs?|backups?|archives?)"

_RULES: tuple[tuple[str, str], ...] = (
    # Manners.
    (r"^(?:hi|hello|hey)(?: there)?(?: [,!.])? ", ""),
    (r"^(?:i|we)(?:'d)? (?:want|need|like|wish) to (?:know|see) ", "show "),
    (r"^(?:i|we)(?:'d)? (?:want|need|like|wish) to ", ""),
    (r"^go ahead and ", ""),
    (r"(?: [,.!?])*(?: (?:for (?:me|us)|thanks|thank))*(?: [,.!?])*$", ""),
    (r"^, ", ""),
    # Asking to be told.
    (r"^(?:tell|show|give) (?:me|us) ", "show "),
    (r"^let (?:me|us) (?:know|see) ", "show "),
    (r"^(?:find out|report) (?=what |how |if |whether )", "show "),
    (r"^(?:show )?what (?:is|are) ", "show "),
    (r"^what's ", "show "),
    (r"\bwhether\b", "if"),
    (r"^show if ", "check if "),
    (r"^(?:(?:have|take) )?look at ", "check "),
    (r"\b(?:search|look) for\b", "find"),
    (r"^is ((?!not )[\w<>:-]+) (running|up|down|reachable|healthy|ready)\b", r"check if \1 is \2"),
    # Counting.
    (r"^(?:show )?how many (\w+) (?:are there|exist)\b", r"count \1"),
    (r"^(?:show )?how many (\w+) are (?=in |on |under )", r"count \1 "),
    (r"^(?:show|count) number of ", "count "),
    # Where: said first, as an owner, or behind.
    (r"^((?:on|in|at) <(?:host|name|address|path):\d+>)(?: ,)? (?!.*(?:[,;:.]| and | or | then | but | if ))(.+)$", r"\2 \1"),
    (rf"({_WHERE}) 's ({_ATTRIBUTE}|\w+)$", r"\2 of \1"),
    (rf"^(show|check|count) ({_WHERE}) ({_ATTRIBUTE})$", r"\1 \3 of \2"),
    (rf"^((?:show|check|count) {_ATTRIBUTE}) (?:on|for|in|at) (?={_WHERE}$)", r"\1 of "),
    (rf"^(?:show )?how full (?:is disk (?:of|on) ({_WHERE})|disk (?:of|on) ({_WHERE}) is)$", r"show disk usage of \1\2"),
    (rf"^(?:show )?how much (disk|memory|CPU)(?: space)? is (?:used|in use) on ({_WHERE})$", r"show \1 usage of \2"),
    # Comparing.
    (r"\b(?:that|which) (?:are|is) (?=(?:older|newer|larger|bigger|smaller|more) than )", ""),
    (rf"\bmore than ({_AMOUNT}) old\b", r"older than \1"),
    (r"\b(?:bigger|greater) than (?=<number)", "larger than "),
    (r"\b(is|are|goes|rises) (?:over|above|higher than|larger than|more than) (?=<number)", r"\1 above "),
    (r"\b(is|are|goes|falls) (?:under|below|lower than|smaller than|less than) (?=<number)", r"\1 below "),
    (rf"\b(in <path:\d+>) ((?:older|newer|larger|smaller) than {_AMOUNT})", r"\2 \1"),
    # One word for one thing.
    (rf"^(?:remove|erase) (?!.*\bfrom\b)(?=(?:\S+ ){{0,2}}{_OBJECTS}\b)", "delete "),
    (r"\bmost recent\b", "newest"),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern), into) for pattern, into in _RULES)


def reworded(goal: str) -> str:
    for pattern, into in _COMPILED:
        goal = pattern.sub(into, goal, count=1)
    return " ".join(goal.split())
