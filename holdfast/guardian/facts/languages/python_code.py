"""Looks at each part of a piece of Python: what is not known to only look is an effect, or not understood."""

import ast
import re
from collections.abc import Callable

from holdfast.guardian.facts.draft import Draft
from holdfast.guardian.facts.hosts import host_of, place_of
from holdfast.guardian.facts.languages.python_names import (
    BUILTINS,
    DECORATORS,
    DELETES,
    DYNAMIC,
    FRAMES,
    HANDED,
    KILLS,
    MEMORY_FILES,
    MODULES,
    MODULES_INSIDE,
    NETWORK,
    OPENERS,
    OS_READS,
    OS_VALUES,
    READERS_OF_PATHS,
    RUNNERS,
    RUNNING_METHODS,
    WRITES,
    is_module,
    is_passage,
    is_trusted,
    module_of,
)
from holdfast.guardian.facts.languages.python_scope import Scope
from holdfast.guardian.words import Word
from schemas.facts import Effect

_FORMATS_INSIDE = re.compile(r"\{[^{}]*[.\[]_")
_MODE = re.compile(r"[rwaxbtU+]{1,4}\Z")


class Reading:
    def __init__(self, scope: Scope, draft: Draft, shell: Callable[[str], None]) -> None:
        self._scope = scope
        self._draft = draft
        self._shell = shell

    def read(self, nodes: list[ast.AST]) -> None:
        for module, names in self._scope.imports:
            self._module(module, names)
        for node in nodes:
            self._look(node)

    def _module(self, module: str, names: tuple[str, ...]) -> None:
        root = module.partition(".")[0]
        self._draft.note("binaries", f"python:{root}")
        for name in names:
            if name == "*":
                self._draft.unknown("python: star import")
            elif f"{module}.{name}" not in MODULES_INSIDE and is_module(f"{module}.{name}"):
                self._draft.unknown(f"python: {module}.{name} is another module")
        if module in MODULES or (names and all(f"{module}.{name}" in MODULES for name in names)):
            return
        if root in NETWORK:
            self._talks(root)
        elif not any(f"{root}.".startswith(runner) for runner in RUNNERS):
            self._draft.unknown(f"python: module {module} is not known")

    def _talks(self, name: str) -> None:
        self._draft.effect({Effect.NETWORK}, f"python {name.partition('.')[0]}")
        self._draft.unknown(f"python: {name} talks to other hosts")

    def _look(self, node: ast.AST) -> None:
        if isinstance(node, ast.Constant):
            self._constant(node.value)
        elif isinstance(node, ast.Attribute):
            self._attribute(node)
        elif isinstance(node, ast.Name):
            self._name(node)
            if self._scope.is_bare_module(node):
                self._draft.unknown(f"python: the module {node.id} is passed around")
        elif isinstance(node, ast.Call):
            self._call(node)
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            name = self._scope.resolve(node.value)
            if "." in name and self._scope.reaches_into_module(name):
                self._draft.unknown(f"python: {name} is changed")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for decorator in node.decorator_list:
                self._decorator(decorator)

    def _decorator(self, node: ast.expr) -> None:
        """One of the known, or a function whose code stands in the same text."""
        name = self._scope.resolve(node.func if isinstance(node, ast.Call) else node)
        owner, _, leaf = name.rpartition(".")
        accessor = leaf in {"setter", "getter", "deleter"} and self._scope.is_local(owner)
        own = self._scope.is_local(name) and not self._scope.is_imported(name)
        if not (name in DECORATORS or own or accessor):
            self._draft.unknown("python: decorators call")

    def _name(self, node: ast.Name) -> None:
        name = node.id
        if name in DYNAMIC:
            self._draft.unknown(f"python: {name} is dynamic")
        meant = self._scope.meaning(name)
        if meant in OPENERS and self._scope.is_handed_on(node):
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
        name = self._scope.resolve(node)
        if not isinstance(node.ctx, ast.Load) and self._scope.reaches_into_module(name):
            self._draft.unknown(f"python: {name} is changed")
        if self._scope.is_handed_on(node) and node.attr in HANDED:
            self._draft.unknown(f"python: {node.attr} is passed around")
        if node.attr in FRAMES or (self._scope.reaches_into_module(name) and is_module(name)):
            self._draft.unknown(f"python: {name} is another module")
        if name in MODULES_INSIDE and self._scope.is_whole(node):
            self._draft.unknown(f"python: the module {name} is passed around")
        self._reference(name)

    def _reference(self, name: str) -> None:
        """A function need not be called by name: `map(os.system, …)`."""
        if name in {"os.environ", "os.environb", "sys.modules", "os.path.expandvars"}:
            self._draft.effect({Effect.SECRET}, "python: reads the environment")
        root, _, rest = name.partition(".")
        if not rest or root not in self._scope.roots or name in MODULES:
            return
        module = module_of(name)
        if module is None and root in NETWORK:
            self._talks(name)
        first, *_ = name.removeprefix(f"{module or root}.").split(".")
        *between, leaf = name.removeprefix(f"{module or root}.").split(".")
        if module == "os" and not (first in OS_READS or first.isupper() or first in OS_VALUES):
            self._draft.unknown(f"python: {name} is not known")
        elif module and not is_trusted(module, first):
            self._draft.unknown(f"python: {name} is not known to only look")
        if any(name.startswith(runner) for runner in RUNNERS):
            self._draft.effect({Effect.EXEC}, f"python {name}")
        elif leaf in DELETES | KILLS:
            self._draft.effect({Effect.DELETE}, f"python {name}")
        elif leaf in WRITES and root in {"os", "pathlib", "shutil"} and name != "pathlib.Path.replace":
            self._draft.effect({Effect.WRITE}, f"python {name}")
        elif not is_passage(module or root, between) or leaf in {"methodcaller", "attrgetter"}:
            self._draft.unknown(f"python: {name} reaches through a module")

    def _call(self, node: ast.Call) -> None:
        name = self._scope.resolve(node.func)
        method = name.rpartition(".")[2]
        if any(name.startswith(runner) or name == runner.rstrip(".") for runner in RUNNERS):
            self._runs(node, name)
        elif name == "platform.system" or self._scope.is_in_memory(node):
            return
        elif method in RUNNING_METHODS:
            self._draft.effect({Effect.EXEC}, f"python {name}")
        elif method in DELETES:
            self._draft.effect({Effect.DELETE}, f"python {name}")
        elif method in KILLS:
            self._draft.effect({Effect.KILL}, f"python {name}")
        elif method in WRITES and not self._is_text_method(node, method):
            self._draft.effect({Effect.WRITE}, f"python {name}")
        elif method == "open":
            self._open(node, name)
        else:
            self._known(node, name, method)

    def _is_text_method(self, node: ast.Call, method: str) -> bool:
        """`text.replace(a, b)` and `thing.copy()` are no file operations; `path.replace(target)` is."""
        return (
            method == "replace"
            and len(node.args) >= 2
            and not self._scope.resolve(node.func).startswith("os.")
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
        elif root == "io" and name not in MEMORY_FILES:
            self._draft.unknown(f"python: {name} opens something")
        elif root == "os" and rest.partition(".")[0] not in OS_READS:
            self._draft.unknown(f"python: {name} is not known")
        elif name in {"sys.setprofile", "sys.settrace", "sys.addaudithook", "os.getenv", "sys._getframe"}:
            self._draft.unknown(f"python: {name} is not known to only look")
        elif not rest and name not in BUILTINS and not self._scope.is_local(name):
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
            and self._scope.resolve(owner.func) in {"pathlib.Path", "pathlib.PurePath"}
            and len(owner.args) == 1
            and isinstance(owner.args[0], ast.Constant)
        )


def _is_mode_given(node: ast.Call) -> bool:
    """`Path("x").open("w")`: whether some argument of a method is, or may be, a mode that writes."""
    given = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg in {"mode", None})]
    texts = [each.value if isinstance(each, ast.Constant) else "w" for each in given]
    return any(_MODE.match(str(text)) and set(str(text)) & set("wax+") for text in texts)
