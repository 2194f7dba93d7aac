"""Python code through `ast`: imports and calls that are known to only look; everything else is not understood."""

# ruff: noqa: SIM905 - word lists read better as text

import ast
import re
import sys
import warnings
from collections.abc import Callable

from holdfast.guardian.facts.draft import Draft
from holdfast.guardian.facts.hosts import host_of, place_of
from holdfast.guardian.facts.languages.python_names import (
    BUILTINS,
    CONTAINERS,
    DECORATORS,
    EVERYTHING,
    MODULES,
    NEVER,
    OPENERS,
    READERS_OF_PATHS,
)
from holdfast.guardian.words import Word
from schemas.facts import Effect

SIZE_LIMIT = 20_000
NODE_LIMIT = 5_000
_NESTING = 60  # what the parser of the interpreter survives on the small stack of a thread
_OPERATORS = 1_000
_SIGNS = re.compile(r"(?:[-+~]\s*){100}")
_RECURSIVE = re.compile(r"\b(?:lambda|not|await|else|elif|yield)\b|\*\*|:=")
_DYNAMIC = frozenset(
    "eval exec compile __import__ getattr setattr delattr globals locals vars breakpoint input __builtins__ "
    "__loader__ __spec__ memoryview".split()
)
_RUNNERS = frozenset(
    """os.system os.popen os.exec os.spawn os.posix_spawn os.fork subprocess. pty. commands. popen2. asyncio.create_subprocess
    multiprocessing. ctypes. cffi. importlib. runpy. code. pickle. marshal. shelve. webbrowser. distutils. pip.""".split()
)
_OS_READS = frozenset(
    """getcwd listdir scandir stat lstat walk getpid getppid getuid geteuid getgid getlogin uname cpu_count getloadavg
    path sep linesep name access readlink get_terminal_size times sched_getaffinity fspath statvfs getenv""".split()
)
_OS_VALUES = frozenset(
    "environ environb error DirEntry PathLike stat_result devnull curdir pardir extsep pathsep".split()
)
_DELETES = frozenset("remove unlink rmdir removedirs rmtree".split())
_WRITES = frozenset(
    """write_text write_bytes mkdir makedirs rename replace symlink link chmod chown utime truncate touch symlink_to
    hardlink_to copy copy2 copyfile copytree move make_archive unpack_archive putenv unsetenv mkfifo mknod lchown
    setxattr removexattr extract extractall""".split()
)
_PASSED_ON = frozenset("open write writelines".split())
"""Beside deleting and writing: methods that must not be handed to somebody who calls them."""
_KILLS = frozenset("kill killpg abort reboot setuid setgid seteuid setsid chroot".split())
_PASSAGES = frozenset(
    """os.path datetime.datetime datetime.date datetime.time datetime.timezone datetime.timedelta sys.stdout sys.stdin
    sys.stderr sys.version_info sys.flags sys.implementation sys.float_info sys.thread_info itertools.chain
    json.decoder collections.abc pathlib.Path pathlib.PurePath uuid.UUID decimal.Decimal fractions.Fraction
    string.Template calendar.TextCalendar os.environ sys.modules sys.argv string.ascii_letters
    string.ascii_lowercase string.ascii_uppercase string.digits string.punctuation string.printable string.whitespace
    string.hexdigits asyncio.Queue logging.Logger zipfile.ZipFile tarfile.TarFile
    email.utils concurrent.futures urllib.parse""".split()
)
"""A module holds others (`pathlib.os`): only these names may be walked through on the way to something else."""
_MODULES_INSIDE = frozenset(
    {*(name for name in MODULES if "." in name), "json.decoder", "json.encoder", "json.scanner"}
)
_NOT_MODULES = frozenset(
    {"datetime.time", "sys.platform", "statistics.statistics", "ast.keyword", "collections.abc"}
)
_FRAMES = frozenset(
    """gi_frame gi_code cr_frame ag_frame tb_frame f_back f_globals f_builtins f_locals f_code func_globals
    modules""".split()
)
_RUNNING_METHODS = frozenset(
    """system popen execl execle execlp execlpe execv execve execvp execvpe spawnl spawnle spawnlp spawnv spawnve
    spawnvp posix_spawn posix_spawnp fork forkpty startfile Popen check_output check_call getoutput getstatusoutput
    create_subprocess_shell create_subprocess_exec import_module addsitedir""".split()
)
_FORMATS_INSIDE = re.compile(r"\{[^{}]*[.\[]_")
_MEMORY_FILES = frozenset({"io.StringIO", "io.BytesIO", "io.TextIOWrapper"})
_MODE = re.compile(r"[rwaxbtU+]{1,4}\Z")
_NETWORK = frozenset(
    "socket urllib http requests httpx aiohttp ftplib smtplib telnetlib paramiko ssl xmlrpc poplib".split()
)


def read_python(code: str, draft: Draft, shell: Callable[[str], None]) -> None:
    """Adds the effects of `code` to `draft`; literal commands for a shell are handed to `shell`."""
    if len(code) > SIZE_LIMIT or _deeply_nested(code):
        draft.unknown("python: the code is too long or too deeply nested")
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        draft.unknown("python: the code does not parse")
        return
    nodes = list(ast.walk(tree))
    if len(nodes) > NODE_LIMIT:
        draft.unknown("python: the code has too many parts")
        return
    draft.effect({Effect.READ}, "python")
    _Code(draft, shell).read(nodes)


def _deeply_nested(code: str) -> bool:
    """The parser of the interpreter recurses on the C stack: what nests deeply must not reach it."""
    depth = deepest = 0
    for char in code:
        depth += (char in "([{") - (char in ")]}")
        deepest = max(deepest, depth)
    if sum(map(code.count, "+-*/%|&^@<>")) > _OPERATORS:
        return True
    return deepest > _NESTING or bool(_SIGNS.search(code)) or len(_RECURSIVE.findall(code)) > _NESTING


class _Code:
    def __init__(self, draft: Draft, shell: Callable[[str], None]) -> None:
        self._draft = draft
        self._shell = shell
        self._aliases: dict[str, str] = {}
        self._roots: set[str] = set()
        self._modules: set[str] = set()
        self._bases: set[int] = set()
        self._local: set[str] = set()
        self._called: set[int] = set()
        self._contained: set[str] = set()

    def read(self, nodes: list[ast.AST]) -> None:
        self._bases = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
        self._called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
        for node in nodes:
            self._imports(node)
        self._contained = set(self._in_memory(nodes))
        for node in nodes:
            self._look(node)

    def _imports(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for name in node.names:
                self._aliases[name.asname or name.name.partition(".")[0]] = (
                    name.name if name.asname else name.name.partition(".")[0]
                )
                self._modules.add(name.asname or name.name.partition(".")[0])
                self._module(name.name)
        elif isinstance(node, ast.ImportFrom):
            self._module(node.module or "", tuple(name.name for name in node.names))
            for name in node.names:
                self._aliases[name.asname or name.name] = f"{node.module}.{name.name}"
                if name.name == "*":
                    self._draft.unknown("python: star import")
                if f"{node.module}.{name.name}" in _MODULES_INSIDE:
                    self._modules.add(name.asname or name.name)
                elif _is_module(f"{node.module}.{name.name}"):
                    self._draft.unknown(f"python: {node.module}.{name.name} is another module")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self._local.add(node.name)

    def _module(self, module: str, names: tuple[str, ...] = ()) -> None:
        self._draft.note("binaries", f"python:{module.partition('.')[0]}")
        root = module.partition(".")[0]
        self._roots.add(root)
        if module in MODULES or (names and all(f"{module}.{name}" in MODULES for name in names)):
            return
        if root in _NETWORK:
            self._talks(root)
        elif not any(f"{root}.".startswith(runner) for runner in _RUNNERS):
            self._draft.unknown(f"python: module {module} is not known")

    def _talks(self, name: str) -> None:
        self._draft.effect({Effect.NETWORK}, f"python {name.partition('.')[0]}")
        self._draft.unknown(f"python: {name} talks to other hosts")

    def _in_memory(self, nodes: list[ast.AST]) -> set[str]:
        """Variables that hold nothing but containers and files in memory, wherever they are set."""
        held: set[str] = set()
        other: set[str] = set()
        made = {
            id(target): node.value
            for node in nodes
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        }
        for node in nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                (held if self._is_container(made.get(id(node))) else other).add(node.id)
            elif isinstance(node, ast.arg):
                other.add(node.arg)
            elif isinstance(node, ast.MatchAs | ast.MatchStar | ast.ExceptHandler) and node.name:
                other.add(node.name)
        if CONTAINERS & {*held, *other, *self._local}:  # `list` may mean anything then
            return set()
        return held - other - self._local - set(self._aliases)

    def _is_container(self, value: ast.expr | None) -> bool:
        if isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.SetComp | ast.DictComp):
            return True
        return isinstance(value, ast.Call) and self._resolve(value.func) in CONTAINERS

    def _look(self, node: ast.AST) -> None:
        if isinstance(node, ast.Constant):
            self._constant(node.value)
        elif isinstance(node, ast.Attribute):
            self._attribute(node)
        elif isinstance(node, ast.Name):
            self._name(node)
            if node.id in self._modules and id(node) not in self._bases:
                self._draft.unknown(f"python: the module {node.id} is passed around")
        elif isinstance(node, ast.Call):
            self._call(node)
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            name = self._resolve(node.value)
            if "." in name and name.partition(".")[0] in self._roots:
                self._draft.unknown(f"python: {name} is changed")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for decorator in node.decorator_list:
                self._decorator(decorator)

    def _decorator(self, node: ast.expr) -> None:
        """One of the known, or a function whose code stands in the same text."""
        name = self._resolve(node.func if isinstance(node, ast.Call) else node)
        owner, _, leaf = name.rpartition(".")
        accessor = leaf in {"setter", "getter", "deleter"} and owner in self._local
        if not (name in DECORATORS or (name in self._local and name not in self._aliases) or accessor):
            self._draft.unknown("python: decorators call")

    def _name(self, node: ast.Name) -> None:
        name = node.id
        if name in _DYNAMIC:
            self._draft.unknown(f"python: {name} is dynamic")
        meant = self._aliases.get(name, name)
        if meant in OPENERS and id(node) not in self._called and isinstance(node.ctx, ast.Load):
            self._draft.unknown(f"python: {name} is passed around")
        if "." in meant:
            self._reference(meant)

    def _constant(self, value: object) -> None:
        text = value.decode(errors="replace") if isinstance(value, bytes) else value
        if not isinstance(text, str):
            return
        self._draft.look_at(Word(text[:4000]), reads_content=True)
        if _FORMATS_INSIDE.search(text):
            self._draft.unknown("python: text that reaches inside when it is formatted")
        if "environ" in text:
            self._draft.effect({Effect.SECRET}, "python: may format the environment")
        if host_of(text):
            self._draft.note("hosts", host_of(text))
            if place_of(host_of(text)) == "metadata":
                self._draft.effect({Effect.SECRET}, "python: metadata service")

    def _attribute(self, node: ast.Attribute) -> None:
        if node.attr.startswith("__") and node.attr not in {"__name__", "__doc__", "__version__", "__file__"}:
            self._draft.unknown(f"python: {node.attr} reaches inside")
        name = self._resolve(node)
        if not isinstance(node.ctx, ast.Load) and name.partition(".")[0] in self._roots:
            self._draft.unknown(f"python: {name} is changed")
        if id(node) not in self._called and isinstance(node.ctx, ast.Load) and node.attr in _HANDED:
            self._draft.unknown(f"python: {node.attr} is passed around")
        if node.attr in _FRAMES or (name.partition(".")[0] in self._roots and _is_module(name)):
            self._draft.unknown(f"python: {name} is another module")
        if name in _MODULES_INSIDE and id(node) not in self._bases:
            self._draft.unknown(f"python: the module {name} is passed around")
        self._reference(name)

    def _reference(self, name: str) -> None:
        """A function need not be called by name: `map(os.system, …)`."""
        if name in {"os.environ", "os.environb", "sys.modules", "os.path.expandvars"}:
            self._draft.effect({Effect.SECRET}, "python: reads the environment")
        root, _, rest = name.partition(".")
        if not rest or root not in self._roots or name in MODULES:
            return
        module = _module_of(name)
        if module is None and root in _NETWORK:
            self._talks(name)
        first, *_ = name.removeprefix(f"{module or root}.").split(".")
        *between, leaf = name.removeprefix(f"{module or root}.").split(".")
        if module == "os" and not (first in _OS_READS or first.isupper() or first in _OS_VALUES):
            self._draft.unknown(f"python: {name} is not known")
        elif module and not _is_trusted(module, first):
            self._draft.unknown(f"python: {name} is not known to only look")
        if any(name.startswith(runner) for runner in _RUNNERS):
            self._draft.effect({Effect.EXEC}, f"python {name}")
        elif leaf in _DELETES | _KILLS:
            self._draft.effect({Effect.DELETE}, f"python {name}")
        elif leaf in _WRITES and root in {"os", "pathlib", "shutil"} and name != "pathlib.Path.replace":
            self._draft.effect({Effect.WRITE}, f"python {name}")
        elif not _is_passage(module or root, between) or leaf in {"methodcaller", "attrgetter"}:
            self._draft.unknown(f"python: {name} reaches through a module")

    def _call(self, node: ast.Call) -> None:
        name = self._resolve(node.func)
        method = name.rpartition(".")[2]
        if any(name.startswith(runner) or name == runner.rstrip(".") for runner in _RUNNERS):
            self._runs(node, name)
        elif name == "platform.system" or self._is_in_memory(node):
            return
        elif method in _RUNNING_METHODS:
            self._draft.effect({Effect.EXEC}, f"python {name}")
        elif method in _DELETES:
            self._draft.effect({Effect.DELETE}, f"python {name}")
        elif method in _KILLS:
            self._draft.effect({Effect.KILL}, f"python {name}")
        elif method in _WRITES and not self._is_text_method(node, method):
            self._draft.effect({Effect.WRITE}, f"python {name}")
        elif method == "open":
            self._open(node, name)
        else:
            self._known(node, name, method)

    def _is_in_memory(self, node: ast.Call) -> bool:
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        return isinstance(owner, ast.Name) and owner.id in self._contained

    def _is_text_method(self, node: ast.Call, method: str) -> bool:
        """`text.replace(a, b)` and `thing.copy()` are no file operations; `path.replace(target)` is."""
        return (
            method == "replace" and len(node.args) >= 2 and not self._resolve(node.func).startswith("os.")
        ) or (method == "copy" and not node.args)

    def _known(self, node: ast.Call, name: str, method: str) -> None:
        root, _, rest = name.partition(".")
        if not name or isinstance(node.func, ast.Call | ast.Subscript | ast.Lambda):
            self._draft.unknown("python: calls a computed function")
        elif method in {"read_text", "read_bytes"} and not self._on_plain_path(node):
            self._draft.unknown("python: reads a computed path")
        elif name in READERS_OF_PATHS:
            self._open(node, name)
        elif name == "logging.basicConfig" and any(
            keyword.arg not in {"level", "format", "datefmt", "style"} for keyword in node.keywords
        ):
            self._draft.unknown("python: the log goes somewhere")
        elif method == "read" and rest and any(not isinstance(each, ast.Constant) for each in node.args):
            self._draft.unknown(f"python: {name} reads a computed path")
        elif root == "io" and name not in _MEMORY_FILES:
            self._draft.unknown(f"python: {name} opens something")
        elif root == "os" and rest.partition(".")[0] not in _OS_READS:
            self._draft.unknown(f"python: {name} is not known")
        elif name in {"sys.setprofile", "sys.settrace", "sys.addaudithook", "os.getenv", "sys._getframe"}:
            self._draft.unknown(f"python: {name} is not known to only look")
        elif not rest and name not in BUILTINS and name not in self._local:
            self._draft.unknown(f"python: {name} is not known")
        elif method == "write" and root != "sys" and rest:
            self._draft.effect({Effect.WRITE}, f"python {name}")

    def _runs(self, node: ast.Call, name: str) -> None:
        self._draft.effect({Effect.EXEC}, f"python {name}")
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            self._shell(first.value)
        elif isinstance(first, ast.List) and all(isinstance(item, ast.Constant) for item in first.elts):
            self._draft.note("binaries", str(first.elts[0].value) if first.elts else "")  # type: ignore[attr-defined] # constants only
        else:
            self._draft.unknown(f"python: {name} runs a computed command")

    def _open(self, node: ast.Call, name: str) -> None:
        if name not in OPENERS | READERS_OF_PATHS and _is_mode_given(node):
            self._draft.effect({Effect.WRITE}, f"python {name}")
            return
        path, mode = (node.args[0] if node.args else None), "r"
        if len(node.args) > 1:
            mode = node.args[1].value if isinstance(node.args[1], ast.Constant) else "w"  # type: ignore[assignment] # any mode
        if any(isinstance(argument, ast.Starred) for argument in node.args):
            mode = "w"
        for keyword in node.keywords:
            if keyword.arg in {"mode", None}:
                mode = keyword.value.value if isinstance(keyword.value, ast.Constant) else "w"  # type: ignore[assignment] # any mode
        writes = bool(set(str(mode)) & set("wax+")) or name in {"os.open", "os.fdopen"}
        if isinstance(path, ast.Constant) and isinstance(path.value, str):
            (self._draft.writes if writes else self._draft.reads)(path.value)
        elif not writes and not self._on_plain_path(node):
            self._draft.unknown("python: opens a computed path")
        if writes:
            self._draft.effect({Effect.WRITE}, f"python {name}")

    def _on_plain_path(self, node: ast.Call) -> bool:
        """`Path("notes.txt").open()`: the path is one literal, which was looked at."""
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        return (
            isinstance(owner, ast.Call)
            and self._resolve(owner.func) in {"pathlib.Path", "pathlib.PurePath"}
            and len(owner.args) == 1
            and isinstance(owner.args[0], ast.Constant)
        )

    def _resolve(self, node: ast.expr) -> str:
        """The dotted name with import aliases replaced; a method of an expression keeps a leading `?`."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            parts.append(self._aliases.get(node.id, node.id))
        elif parts:
            parts.append("?")
        return ".".join(reversed(parts))


_HANDED = _DELETES | _WRITES | _PASSED_ON


def _is_mode_given(node: ast.Call) -> bool:
    """`Path("x").open("w")`: whether some argument of a method is, or may be, a mode that writes."""
    given = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg in {"mode", None})]
    texts = [each.value if isinstance(each, ast.Constant) else "w" for each in given]
    return any(_MODE.match(str(text)) and set(str(text)) & set("wax+") for text in texts)


def _module_of(name: str) -> str | None:
    """The longest known module that this dotted name lies in."""
    parts = name.split(".")
    prefixes = (".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))
    return next((prefix for prefix in prefixes if prefix in MODULES), None)


def _is_trusted(module: str, name: str) -> bool:
    if name.startswith("_") or name in NEVER:
        return False
    return MODULES[module] is EVERYTHING or name in MODULES[module]


def _is_module(name: str) -> bool:
    """Whether the last part of `re.sys` or `random._os` names a module that the first one happens to hold."""
    root, _, leaf = name.rpartition(".")
    if (
        name in _NOT_MODULES
        or leaf == root
        or (root == "os" and leaf in _OS_READS)
        or name == "datetime.datetime"
    ):
        return False
    return bool(root) and leaf.lstrip("_") in sys.stdlib_module_names


def _is_passage(root: str, between: list[str]) -> bool:
    return not between or (f"{root}.{between[0]}" in _PASSAGES and set(between[1:]) <= {"buffer"})
