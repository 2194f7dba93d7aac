"""Different wordings of one goal, brought to one. Each rule changes how something is said, never what is said: where a
rule could be wrong for some goal, it is narrowed until it is not, or left out, and a paraphrase then costs a model call.

Goals come here as words with places, as `check disk of <host:0>`; articles and other neutral words are gone already.
"""

import re

_WHERE = r"<(?:host|name|address):\d+>"
_AT = rf"(?:on|in|at|for|of) (?={_WHERE})"
_THINGS = r"(?:services|processes|packages|containers|pods|units|timers|interfaces|deployments|volumes|snapshots|sessions)"
_STATE = r"(?:running|failed|installed|stopped|active|enabled|pending)"
_ATTRIBUTE = (
    r"(?:disk|disks|memory|CPU|swap|load|uptime|kernel|inodes|filesystems?|hostname|temperature|"
    r"(?:disk|memory|CPU|swap|inode|network) (?:usage|load|space|pressure)|(?:free|used) (?:disk space|memory)|"
    rf"(?:load average|kernel version)|{_STATE} {_THINGS})"
)
_AMOUNT = r"<number:\d+>(?: (?:seconds?|minutes?|hours?|days?|weeks?|months?|years?))?"
_TIME = r"<number:\d+> (?:seconds?|minutes?|hours?|days?|weeks?|months?|years?)"
_SIZE_AHEAD = (
    r"(?=<number:\d+>(?! (?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|lines?|files?|times?)\b))"
)
_OBJECTS = r"(?:files?|folders?|directory|directories|logs?|backups?|archives?)"
_NUMBER = r"<number:\d+>"
_SUM = rf"{_NUMBER} (?:[-+*/]|plus|minus|times) {_NUMBER}"

_RULES: tuple[tuple[str, str], ...] = (
    # Manners.
    (r"^(?:hi|hello|hey)(?: there)?(?: [,!.])? ", ""),
    (r"^would you mind (?=\w+ing )", ""),
    (r"^(?:can|could|would) you ", ""),
    (r"^(?:(?:i|we) (?:want|need|wish|would like)|i'd like) (?:you )?to (?:know|see|get) ", "show "),
    (r"^(?:(?:i|we) (?:want|need|wish|would like)|i'd like) (?:you )?to ", ""),
    (rf"^(?:i|we) (?:want|need) (?=(?:{_WHERE} 's )?{_ATTRIBUTE}\b)", "show "),
    (r"^(?:can|could|may) (?:i|we) (?:get|see|have) ", "show "),
    (r"^(?:go ahead and|just) ", ""),
    (r"(?: ,| [!.])*(?: (?:for me|[Tt]hanks|[Tt]hank you))*(?: ,| !)*$", ""),
    (r"^, ", ""),
    # Asking to be told.
    (r"^(?:tell) (?:me|us) ", "show "),
    (r"^(?:show|give) me ", "show "),
    (r"^let (?:me|us) (?:know|see) ", "show "),
    (r"^(?:find out|report) (?=what |how |if |whether )", "show "),
    (rf"^(?:(?:show )?(?:what|how much) is|what's) (?={_SUM})", "calculate "),
    (r"^(?:show )?what (?:is|are) ", "show "),
    (rf"^(?:show )?what does ({_ATTRIBUTE}) look like (?={_AT})", r"show \1 "),
    (r"^what's ", "show "),
    (rf"^(?:get|fetch|report|print) (?=(?:current )?{_ATTRIBUTE}\b)", "show "),
    (rf"^(show|check) current (?={_ATTRIBUTE}\b)", r"\1 "),
    (rf"^(?={_ATTRIBUTE} (?:{_AT}){_WHERE}$)", "show "),
    (r"\bwhether\b", "if"),
    (r"^(?:show|see|verify) if ", "check if "),
    (r"^verify that (?=\S+ is )", "check if "),
    (r"^(?:(?:have|take) )?look at ", "check "),
    (rf"^(?:verify|inspect|examine) (?=(?:{_WHERE} (?:'s )?)?{_ATTRIBUTE}\b)", "check "),
    (r"\b(?:search|look) for\b", "find"),
    (r"^is ((?!not )[\w<>:-]+) (running|up|down|reachable|healthy|ready)\b", r"check if \1 is \2"),
    (rf"^is (port {_NUMBER}) (open|closed|free|in use) (?={_AT})", r"check if \1 is \2 "),
    (rf"^does (\w+) run (?={_AT})", r"check if \1 is running "),
    (r"^(?:check|show) (?=status of )", "show "),
    (r"^(?:check|show) (?!(?:if|how|what|why|when)\b)(\w+) status\b", r"show status of \1"),
    (rf"^(?:show )?how long (?:has|is) ({_WHERE}) (?:been )?(?:up|running)$", r"show uptime of \1"),
    # Lists of what runs somewhere.
    (r"^(?:show|give me) list of ", "list "),
    (rf"^list (?={_STATE} {_THINGS}\b)", "show "),
    (rf"^(?:which|show|what|list) ({_THINGS}) (?:that )?are ({_STATE}) (?={_AT})", r"show \2 \1 "),
    (rf"^(?:which|show|what) ({_THINGS}) (?:have )?failed (?={_AT})", r"show failed \1 "),
    # Counting.
    (r"^(?:show )?how many (\w+) (?:are there|exist)\b", r"count \1"),
    (r"^(?:show )?how many (\w+) are (?=in |on |under )", r"count \1 "),
    (r"^(?:show )?how many (\w+) does (<path:\d+>) (?:contain|have|hold)$", r"count \1 in \2"),
    (r"^(?:show|count) number of ", "count "),
    # Where: said first, as an owner, or behind.
    (rf"\b(on|at|in|for|of) (?:host|machine|server) (?={_WHERE})", r"\1 "),
    (rf"^(drain|cordon|uncordon|ping|reboot) (?:host|machine|server|node) (?={_WHERE}$)", r"\1 "),
    (r"^((?:on|in|at) <(?:host|name|address|path):\d+>)(?: ,)? (?!.*(?: [,;:.] | and | or | then | but | if ))(.+)$", r"\2 \1"),
    (rf"({_WHERE}) 's ({_ATTRIBUTE}|\w+)$", r"\2 of \1"),
    (rf"^(show|check|count) ({_WHERE}) ({_ATTRIBUTE})$", r"\1 \3 of \2"),
    (rf"^((?:show|check|count) {_ATTRIBUTE}) (?:on|for|in|at) (?={_WHERE}$)", r"\1 of "),
    (rf"^(?:show )?how full (?:is disk (?:of|on) ({_WHERE})|disk (?:of|on) ({_WHERE}) is)$", r"show disk usage of \1\2"),
    (rf"^(?:show )?how much (disk|memory|CPU)(?: space)? is (?:used|in use) on ({_WHERE})$", r"show \1 usage of \2"),
    (rf"^(?:show )?how much (disk|memory|CPU)(?: space)? is ({_WHERE}) using$", r"show \1 usage of \2"),
    (rf"^(?:show )?how much (free (?:memory|disk space)) does ({_WHERE}) have$", r"show \1 of \2"),
    (rf"^(?:which|show|what) (kernel version) (?:is ({_WHERE}) running|does ({_WHERE}) run)$", r"show \1 of \2\3"),
    (rf"^(?:print|list) (?=(?:first|last) {_NUMBER} lines\b)", "show "),
    (rf"^(show (?:first|last) {_NUMBER} lines) (?:from|in) (?=<path)", r"\1 of "),
    (rf"^(?:list|find) (?={_NUMBER} (?:largest|smallest|newest|oldest) {_OBJECTS} )", "show "),
    # Services.
    (rf"^(restart|stop|start|reload) (\w+) service (?={_AT})", r"\1 \2 "),
    (rf"^(\w+) (on {_WHERE}) needs to be restarted$", r"restart \1 \2"),
    (r"^restarting ", "restart "),
    # Comparing.
    (rf"^which ({_OBJECTS}) (in <path:\d+>) are (?=(?:older|newer|larger|smaller) than )", r"find \1 \2 "),
    (r"\b(?:that|which) (?:are|is) (?=(?:older|newer|larger|bigger|smaller|more) than )", ""),
    (rf"\b(?:more than|over) ({_AMOUNT}) old\b", r"older than \1"),
    (r"\b(?:bigger|greater) than (?=<number)", "larger than "),
    (rf"^((?:find|show|list|count|delete) {_OBJECTS}) over {_SIZE_AHEAD}", r"\1 larger than "),
    (r"\b(is|are|goes|rises) (?:over|above|higher than|larger than|more than) (?=<number)", r"\1 above "),
    (r"\b(is|are|goes|falls) (?:under|below|lower than|smaller than|less than) (?=<number)", r"\1 below "),
    (rf"\b(in <path:\d+>) ((?:older|newer|larger|smaller) than {_AMOUNT})", r"\2 \1"),
    # One word for one thing.
    (rf"^(?:remove|erase|get rid of) (?!.*\bfrom\b)(?=(?:\S+ ){{0,2}}{_OBJECTS}\b)", "delete "),
    (rf"^(?:make|create|take) backup of (?={_WHERE}$)", "back up "),
    (rf"^backup (?={_WHERE}$)", "back up "),
    (rf"^rollback (?={_WHERE}$)", "roll back "),
    (r"\bmost recent\b", "newest"),
    (r"^(?:compute|evaluate|work out) (?=<number)", "calculate "),
    (rf"^(calculate {_NUMBER}) plus (?={_NUMBER}$)", r"\1 + "),
    (rf"^(calculate {_NUMBER}) minus (?={_NUMBER}$)", r"\1 - "),
    (rf"^(calculate {_NUMBER}) times (?={_NUMBER}$)", r"\1 * "),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern), into) for pattern, into in _RULES)


def reworded(goal: str) -> str:
    for pattern, into in _COMPILED:
        goal = pattern.sub(into, goal, count=1)
    return " ".join(goal.split())
