"""`todo.*`: what a run has set itself to do. The list is the run's own and outlives every worker."""

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol

from pydantic import Field, StringConstraints

from holdfast.tools.declare import Tool, ToolContext, declared
from schemas.base import Payload, Request
from schemas.tools import EffectClass, ExampleCall, Lane, ToolExample

TodoState = Literal["open", "doing", "done", "dropped"]


class Todo(Payload):
    id: str
    text: str
    state: TodoState = "open"
    note: str = ""


class Todos(Protocol):
    """Where the lists are kept. Adding the same key twice adds one entry."""

    async def add(self, tenant: str, run_id: str, texts: Sequence[str], *, key: str) -> Sequence[Todo]: ...
    async def change(self, tenant: str, run_id: str, todo: Todo) -> Todo: ...
    async def all(self, tenant: str, run_id: str) -> Sequence[Todo]: ...


class NewTodos(Request):
    items: tuple[Annotated[str, StringConstraints(min_length=1, max_length=2000)], ...] = Field(
        min_length=1, max_length=100, description="One text for each entry."
    )


class TodoChange(Request):
    id: str = Field(min_length=1, max_length=20, description="As todo.list shows it, such as `t3`.")
    state: TodoState
    note: str = Field(default="", max_length=2000)


class Wanted(Request):
    state: TodoState | None = Field(default=None, description="Only entries in this state.")


class TodoList(Payload):
    items: tuple[Todo, ...]
    open: int

    def told(self) -> str:
        return f"{self.open} of {len(self.items)} open"


def todo_writers(todos: Todos) -> Sequence[Tool]:
    """What changes the list."""

    @declared(
        "todo.add",
        version="1.0.1",
        effect=EffectClass.IDEMPOTENT,
        timeout_s=15,
        examples=(ToolExample(title="Three steps", arguments={"items": ["look", "change", "check"]}),),
    )
    async def add(arguments: NewTodos, context: ToolContext) -> TodoList:
        """Adds entries to the run's list of things to do."""
        action = context.action
        return _listed(
            await todos.add(action.tenant, action.run_id, arguments.items, key=context.idempotency_key)
        )

    @declared(
        "todo.set",
        effect=EffectClass.IDEMPOTENT,
        timeout_s=15,
        version="1.0.2",
        examples=(
            ToolExample(
                title="Done",
                arguments={"id": "t1", "state": "done"},
                output={"text": "look", "state": "done"},
                first=(ExampleCall(tool="todo.add", arguments={"items": ["look"]}),),
            ),
        ),
    )
    async def change(arguments: TodoChange, context: ToolContext) -> Todo:
        """Changes the state of an entry: open, doing, done or dropped."""
        todo = Todo(id=arguments.id, text="", state=arguments.state, note=arguments.note)
        return await todos.change(context.action.tenant, context.action.run_id, todo)

    return (add, change)


def todo_reader(todos: Todos) -> Tool:
    @declared(
        "todo.list",
        version="1.0.1",
        effect=EffectClass.READ_ONLY,
        lane=Lane.FAST,
        timeout_s=10,
        outside=True,
        examples=(ToolExample(title="What is left", arguments={"state": "open"}),),
    )
    async def read(arguments: Wanted, context: ToolContext) -> TodoList:
        """Reads the run's list of things to do."""
        found = await todos.all(context.action.tenant, context.action.run_id)
        return _listed([todo for todo in found if arguments.state in (None, todo.state)])

    return read


def _listed(found: Sequence[Todo]) -> TodoList:
    return TodoList(items=tuple(found), open=sum(todo.state in ("open", "doing") for todo in found))
