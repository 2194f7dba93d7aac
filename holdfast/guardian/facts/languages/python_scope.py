"""What the names in a piece of Python stand for: imports, functions of its own, containers in memory."""

import ast

from holdfast.guardian.facts.languages.python_names import CONTAINERS, MODULES_INSIDE


class Scope:
    def __init__(self, nodes: list[ast.AST]) -> None:
        self.roots: set[str] = set()
        """The first part of each module that is imported."""
        self.imports: list[tuple[str, tuple[str, ...]]] = []
        """Each module, with the names that are taken from it."""
        self._aliases: dict[str, str] = {}
        self._modules: set[str] = set()
        self._local: set[str] = set()
        self._bases = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
        self._called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
        for node in nodes:
            self._bind(node)
        self._contained = self._in_memory(nodes)

    def resolve(self, node: ast.expr) -> str:
        """The dotted name with import aliases replaced; a method of an expression keeps a leading `?`."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            parts.append(self.meaning(node.id))
        elif parts:
            parts.append("?")
        return ".".join(reversed(parts))

    def meaning(self, name: str) -> str:
        return self._aliases.get(name, name)

    def is_local(self, name: str) -> bool:
        """A function or class whose code stands in the same text."""
        return name in self._local

    def is_imported(self, name: str) -> bool:
        return name in self._aliases

    def reaches_into_module(self, name: str) -> bool:
        return name.partition(".")[0] in self.roots

    def is_handed_on(self, node: ast.Name | ast.Attribute) -> bool:
        """It is read, and not called there and then."""
        return id(node) not in self._called and isinstance(node.ctx, ast.Load)

    def is_bare_module(self, node: ast.Name) -> bool:
        """A module that stands for itself, and not on the way to something in it."""
        return node.id in self._modules and self.is_whole(node)

    def is_whole(self, node: ast.expr) -> bool:
        return id(node) not in self._bases

    def is_in_memory(self, node: ast.Call) -> bool:
        """A method of something that holds nothing but memory."""
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        return isinstance(owner, ast.Name) and owner.id in self._contained

    def _bind(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for name in node.names:
                root = name.name.partition(".")[0]
                self._aliases[name.asname or root] = name.name if name.asname else root
                self._modules.add(name.asname or root)
                self._import(name.name)
        elif isinstance(node, ast.ImportFrom):
            self._import(node.module or "", tuple(name.name for name in node.names))
            for name in node.names:
                self._aliases[name.asname or name.name] = f"{node.module}.{name.name}"
                if f"{node.module}.{name.name}" in MODULES_INSIDE:
                    self._modules.add(name.asname or name.name)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self._local.add(node.name)

    def _import(self, module: str, names: tuple[str, ...] = ()) -> None:
        self.roots.add(module.partition(".")[0])
        self.imports.append((module, names))

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
        return isinstance(value, ast.Call) and self.resolve(value.func) in CONTAINERS
