"""Python code through `ast`: imports and calls that are known to only look; everything else is not understood."""

# ruff: noqa: SIM905 - word lists read better as text

import ast
import re
import sys
import warnings
from collections.abc import Callable

from holdfast.guardian.facts.draft import Draft
from holdfast.guardian.facts.hosts import host_of, place_of
from holdfast.guardian.words import Word
from schemas.facts import Effect

SIZE_LIMIT = 20_000
NODE_LIMIT = 5_000
_NESTING = 60  # what the parser of the interpreter survives on the small stack of a thread
_OPERATORS = 1_000
_SIGNS = re.compile(r"(?:[-+~]\s*){100}")
_RECURSIVE = re.compile(r"\b(?:lambda|not|await|else|elif|yield)\b|\*\*|:=")
_PURE_MODULES = frozenset(
    """json math re datetime time collections itertools functools statistics string textwrap decimal fractions random
    calendar uuid hashlib base64 binascii platform sys typing dataclasses enum operator bisect heapq pprint difflib
    unicodedata ipaddress csv io struct zlib copy numbers cmath colorsys html locale keyword token tokenize ast
    abc contextlib secrets errno getpass pwd grp sysconfig site stat fnmatch posixpath os pathlib glob""".split()
)
_BUILTINS = frozenset(
    """print len range sorted reversed enumerate zip map filter sum min max abs round int float str repr bool list dict
    set tuple frozenset bytes bytearray chr ord hex oct bin divmod pow isinstance issubclass hash id iter next any all
    format type callable ascii slice complex memoryview object super property staticmethod classmethod open
    ValueError TypeError KeyError IndexError RuntimeError Exception StopIteration OSError help dir vars""".split()
)
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
_PATH_READS = frozenset(
    """exists is_file is_dir iterdir glob rglob stat read_text read_bytes name stem suffix parent parents resolve cwd
    home joinpath relative_to as_posix match parts absolute is_absolute with_suffix with_name expanduser open""".split()
)
_DELETES = frozenset("remove unlink rmdir removedirs rmtree".split())
_WRITES = frozenset(
    """write_text write_bytes mkdir makedirs rename replace symlink link chmod chown utime truncate touch symlink_to
    hardlink_to copy copy2 copyfile copytree move make_archive unpack_archive putenv unsetenv mkfifo mknod lchown
    setxattr removexattr""".split()
)
_KILLS = frozenset("kill killpg abort reboot setuid setgid seteuid setsid chroot".split())
_PASSAGES = frozenset(
    """os.path datetime.datetime datetime.date datetime.time datetime.timezone datetime.timedelta sys.stdout sys.stdin
    sys.stderr sys.version_info sys.flags sys.implementation sys.float_info sys.thread_info itertools.chain
    json.decoder collections.abc pathlib.Path pathlib.PurePath uuid.UUID decimal.Decimal fractions.Fraction
    string.Template calendar.TextCalendar os.environ sys.modules""".split()
)
"""A module holds others (`pathlib.os`): only these names may be walked through on the way to something else."""
_MODULES_INSIDE = frozenset({"os.path", "json.decoder", "json.encoder", "json.scanner", "collections.abc"})
_NOT_MODULES = frozenset({"datetime.time", "sys.platform", "statistics.statistics", "ast.keyword"})
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

    def read(self, nodes: list[ast.AST]) -> None:
        self._bases = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
        for node in nodes:
            self._imports(node)
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
            self._module(node.module or "")
            for name in node.names:
                self._aliases[name.asname or name.name] = f"{node.module}.{name.name}"
                if name.name == "*":
                    self._draft.unknown("python: star import")
                if f"{node.module}.{name.name}" in _MODULES_INSIDE:
                    self._modules.add(name.asname or name.name)
                elif _is_module(f"{node.module}.{name.name}"):
                    self._draft.unknown(f"python: {node.module}.{name.name} is another module")
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            self._local.add(node.name)

    def _module(self, module: str) -> None:
        self._draft.note("binaries", f"python:{module.partition('.')[0]}")
        root = module.partition(".")[0]
        self._roots.add(root)
        if root in _NETWORK:
            self._draft.effect({Effect.NETWORK}, f"python {root}")
            self._draft.unknown(f"python: {root} talks to other hosts")
        elif root not in _PURE_MODULES and not any(f"{root}.".startswith(runner) for runner in _RUNNERS):
            self._draft.unknown(f"python: module {root} is not known")

    def _look(self, node: ast.AST) -> None:
        if isinstance(node, ast.Constant):
            self._constant(node.value)
        elif isinstance(node, ast.Attribute):
            self._attribute(node)
        elif isinstance(node, ast.Name):
            self._name(node.id)
            if node.id in self._modules and id(node) not in self._bases:
                self._draft.unknown(f"python: the module {node.id} is passed around")
        elif isinstance(node, ast.Call):
            self._call(node)
        elif isinstance(node, ast.Delete | ast.AsyncFunctionDef | ast.Await) and not isinstance(
            node, ast.Delete
        ):
            self._draft.unknown("python: asynchronous code")
        elif getattr(node, "decorator_list", None):
            self._draft.unknown("python: decorators call")

    def _name(self, name: str) -> None:
        if name in _DYNAMIC:
            self._draft.unknown(f"python: {name} is dynamic")
        meant = self._aliases.get(name, "")
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
        if not rest or root not in self._roots:
            return
        *between, leaf = rest.split(".")
        if any(name.startswith(runner) for runner in _RUNNERS):
            self._draft.effect({Effect.EXEC}, f"python {name}")
        elif leaf in _DELETES | _KILLS:
            self._draft.effect({Effect.DELETE}, f"python {name}")
        elif not _is_passage(root, between) or leaf in {"methodcaller", "attrgetter"}:
            self._draft.unknown(f"python: {name} reaches through a module")

    def _call(self, node: ast.Call) -> None:
        name = self._resolve(node.func)
        method = name.rpartition(".")[2]
        if any(name.startswith(runner) or name == runner.rstrip(".") for runner in _RUNNERS):
            self._runs(node, name)
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
        elif root == "io" and name not in _MEMORY_FILES:
            self._draft.unknown(f"python: {name} opens something")
        elif root == "os" and rest.partition(".")[0] not in _OS_READS:
            self._draft.unknown(f"python: {name} is not known")
        elif name in {"sys.setprofile", "sys.settrace", "sys.addaudithook", "os.getenv", "sys._getframe"}:
            self._draft.unknown(f"python: {name} is not known to only look")
        elif not rest and name not in _BUILTINS and name not in self._local:
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
        path, mode = (node.args[0] if node.args else None), "r"
        if len(node.args) > 1:
            mode = node.args[1].value if isinstance(node.args[1], ast.Constant) else "w"  # type: ignore[assignment] # any mode
        if any(isinstance(argument, ast.Starred) for argument in node.args):
            mode = "w"
        for keyword in node.keywords:
            if keyword.arg in {"mode", None}:
                mode = keyword.value.value if isinstance(keyword.value, ast.Constant) else "w"  # type: ignore[assignment] # any mode
        writes = bool(set(str(mode)) & set("wax+")) or name == "os.open"
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
