"""`git.*`: looking at a repository in the run's workspace, inside the sandbox, without network and without writing."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from holdfast.sandbox.port import Sandbox
from holdfast.tools.builtin.files import written
from holdfast.tools.builtin.sandboxed import inside_tool
from holdfast.tools.declare import Tool
from schemas.base import Request
from schemas.sandbox import Limits
from schemas.tools import EffectClass, ExampleCall, Permissions, ToolExample

_HISTORY = """\
commit refs/heads/main
committer Ada <ada@example.com> 1767225600 +0000
data 5
First
M 100644 inline README.md
data 6
# App

commit refs/heads/main
committer Ada <ada@example.com> 1767229200 +0000
data 6
Second
M 100644 inline README.md
data 20
# App

It is small.

"""
_CHANGE = """\
diff --git a/README.md b/README.md
index 95f541a..4fb4fae 100644
--- a/README.md
+++ b/README.md
@@ -1 +1,3 @@
 # App
+
+It is small.
"""
_LAID_OUT = (
    written("history", _HISTORY),
    ExampleCall(
        tool="shell",
        arguments={
            "command": "git init -q -b main app && git -C app fast-import --quiet < history && git -C app checkout -q main"
        },
    ),
)
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
    kinds: dict[str, tuple[type[Request], dict[str, Any], str]] = {
        "status": (Status, {}, "## main\n"),
        "log": (
            Log,
            {"limit": 1},
            "0fc0727632f51984092cac9591448d928b006721\tAda\t2026-01-01T01:00:00+00:00\tSecond\n",
        ),
        "diff": (Diff, {"before": "HEAD~1", "after": "HEAD"}, _CHANGE),
        "show": (Show, {"revision": "HEAD:README.md"}, "# App\n\nIt is small.\n"),
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
            version="1.0.2",
            examples=(
                ToolExample(
                    title=f"git {verb}",
                    arguments={"repository": "app", **example},
                    output={"text": text},
                    first=_LAID_OUT,
                ),
            ),
        )
        for verb, (arguments, example, text) in kinds.items()
    )
