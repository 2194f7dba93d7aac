"""`git.*`: looking at a repository in the run's workspace, inside the sandbox, without network and without writing."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from holdfast.sandbox.port import Sandbox
from holdfast.tools.builtin.sandboxed import inside_tool
from holdfast.tools.declare import Tool
from schemas.base import Request
from schemas.sandbox import Limits
from schemas.tools import EffectClass, Permissions, ToolExample

_LIMITS = Permissions(limits=Limits(wall_s=30, cpu_s=20, pids=16, output_kb=2048))
Inside = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Revision = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_@][A-Za-z0-9_./@^~{}-]*$", max_length=200)]


class _Repository(Request):
    repository: str = Field(
        default=".", max_length=1000, description="The folder inside the workspace, such as `app`."
    )
    paths: tuple[Inside, ...] = Field(default=(), max_length=50, description="Only these paths.")


class Status(_Repository):
    """Shows the branch of a repository in the workspace, and which files differ."""


class Log(_Repository):
    """Lists the newest commits: hash, author, time, subject."""

    revision: Revision = "HEAD"
    limit: int = Field(default=30, ge=1, le=500)


class Diff(_Repository):
    """Shows what differs: in the working tree, in the index, or between two revisions."""

    before: Revision | None = None
    after: Revision | None = None
    staged: bool = False


class Show(_Repository):
    """Shows a commit and its changes, or a file as it stood: `HEAD~1:app.py`."""

    revision: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9_@][A-Za-z0-9_./@^~{}:-]*$", max_length=300)
    ] = "HEAD"


def git_tools(sandbox: Sandbox) -> Sequence[Tool]:
    kinds: dict[str, tuple[type[Request], dict[str, Any]]] = {
        "status": (Status, {"repository": "app"}),
        "log": (Log, {"repository": "app", "limit": 5}),
        "diff": (Diff, {"repository": "app", "before": "HEAD~1", "after": "HEAD"}),
        "show": (Show, {"repository": "app", "revision": "HEAD:README.md"}),
    }
    return tuple(
        inside_tool(
            sandbox,
            f"git.{verb}",
            program="repository",
            arguments=arguments,
            told=lambda answer: f"{answer['text'].count(chr(10))} lines",
            effect=EffectClass.READ_ONLY,
            permissions=_LIMITS,
            timeout_s=60,
            version="1.0.1",
            examples=(ToolExample(title=f"git {verb}", arguments=example, needs="a repository in app"),),
        )
        for verb, (arguments, example) in kinds.items()
    )
