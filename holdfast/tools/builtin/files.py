"""`files.*`: the files of the run's workspace. The work is done inside the sandbox, by `holdfast.tools.inside.files`."""

from collections.abc import Sequence
from typing import Any, Self

from pydantic import Field, model_validator

from holdfast.sandbox.port import Sandbox
from holdfast.tools.builtin.sandboxed import inside_tool
from holdfast.tools.declare import Tool
from schemas.base import Request
from schemas.sandbox import Limits
from schemas.tools import EffectClass, ExampleCall, Permissions, ToolExample

_MOST_TEXT = 1_000_000
_LIMITS = Permissions(limits=Limits(wall_s=30, cpu_s=20, pids=8, output_kb=2048))


class Reading(Request):
    """Reads a file of the workspace: text as text, anything else as base64. Long files are read piece by piece."""

    path: str = Field(min_length=1, max_length=4096, description="A path inside the workspace.")
    offset: int = Field(default=0, ge=0, description="The byte to begin at.")
    limit: int = Field(default=120_000, ge=1, le=120_000, description="How many bytes at most.")


class Writing(Request):
    """Writes a file of the workspace, whole or not at all. Missing folders are made."""

    path: str = Field(min_length=1, max_length=4096, description="A path inside the workspace.")
    text: str | None = Field(default=None, max_length=_MOST_TEXT)
    base64: str | None = Field(default=None, max_length=_MOST_TEXT, description="Instead of text.")
    create_only: bool = Field(
        default=False, description="Refuse to replace a file that holds something else."
    )

    @model_validator(mode="after")
    def _one_content(self) -> Self:
        if (self.text is None) == (self.base64 is None):
            raise ValueError("give either text or base64")
        return self


class Listing(Request):
    """Lists files and folders of the workspace. Links are named, and never followed."""

    path: str = Field(default=".", max_length=4096)
    depth: int = Field(default=1, ge=1, le=32, description="How many levels of folders.")
    glob: str = Field(default="*", max_length=200, description="Only names like this, such as `*.log`.")
    limit: int = Field(default=500, ge=1, le=2000)


class Searching(Request):
    """Finds lines in the workspace's text files."""

    pattern: str = Field(min_length=1, max_length=1000)
    path: str = Field(default=".", max_length=4096, description="A file, or a folder to look below.")
    regex: bool = Field(default=False, description="The pattern is a regular expression (Python's).")
    ignore_case: bool = False
    glob: str = Field(default="*", max_length=200, description="Only files with names like this.")
    limit: int = Field(default=100, ge=1, le=1000)


class Comparing(Request):
    """Compares a file with another one, or with a text, as a unified diff."""

    path: str = Field(min_length=1, max_length=4096)
    other: str | None = Field(default=None, min_length=1, max_length=4096, description="The newer file.")
    text: str | None = Field(default=None, max_length=_MOST_TEXT, description="Or the newer text.")

    @model_validator(mode="after")
    def _one_other(self) -> Self:
        if (self.other is None) == (self.text is None):
            raise ValueError("give either other or text")
        return self


class Patching(Request):
    """Applies a unified diff to one file, to the letter or not at all. Applying it twice changes nothing more."""

    path: str = Field(min_length=1, max_length=4096)
    patch: str = Field(min_length=1, max_length=_MOST_TEXT, description="Hunks as `diff -u` writes them.")


def written(path: str, text: str) -> ExampleCall:
    """A file that an example finds."""
    return ExampleCall(tool="files.write", arguments={"path": path, "text": text})


def file_tools(sandbox: Sandbox) -> Sequence[Tool]:
    reads: dict[str, Any] = {
        "effect": EffectClass.READ_ONLY,
        "payload": "file",
        "permissions": _LIMITS,
        "timeout_s": 60,
    }
    writes = {**reads, "effect": EffectClass.IDEMPOTENT}
    example = ToolExample
    return (
        inside_tool(
            sandbox,
            "files.read",
            program="files",
            arguments=Reading,
            told=lambda answer: f"{answer['bytes']} of {answer['size']} bytes of {answer['path']}",
            version="1.0.2",
            examples=(
                example(
                    title="Read a report",
                    arguments={"path": "report.txt"},
                    output={"text": "all good\n", "size": 9},
                    first=(written("report.txt", "all good\n"),),
                ),
            ),
            **reads,
        ),
        inside_tool(
            sandbox,
            "files.write",
            program="files",
            arguments=Writing,
            told=lambda answer: f"{answer['bytes']} bytes in {answer['path']}",
            examples=(example(title="Keep a note", arguments={"path": "notes/today.txt", "text": "done\n"}),),
            **writes,
        ),
        inside_tool(
            sandbox,
            "files.list",
            program="files",
            arguments=Listing,
            told=lambda answer: f"{len(answer['entries'])} entries below {answer['path']}",
            examples=(example(title="All logs", arguments={"glob": "*.log", "depth": 4}),),
            **reads,
        ),
        inside_tool(
            sandbox,
            "files.search",
            program="files",
            arguments=Searching,
            told=lambda answer: f"{len(answer['matches'])} lines in {answer['files']} files",
            examples=(example(title="Find errors", arguments={"pattern": "ERROR", "glob": "*.log"}),),
            **reads,
        ),
        inside_tool(
            sandbox,
            "files.diff",
            program="files",
            arguments=Comparing,
            told=lambda answer: "no difference" if answer["same"] else "they differ",
            version="1.0.2",
            examples=(
                example(
                    title="What changed",
                    arguments={"path": "old.cfg", "other": "new.cfg"},
                    output={"same": False},
                    first=(written("old.cfg", "debug=1\n"), written("new.cfg", "debug=0\n")),
                ),
            ),
            **reads,
        ),
        inside_tool(
            sandbox,
            "files.patch",
            program="files",
            arguments=Patching,
            told=lambda answer: f"{answer['hunks']} hunks in {answer['path']}",
            version="1.0.2",
            examples=(
                example(
                    title="Change one line",
                    arguments={"path": "app.cfg", "patch": "@@ -1 +1 @@\n-debug=1\n+debug=0\n"},
                    output={"hunks": 1, "applied": True},
                    first=(written("app.cfg", "debug=1\n"),),
                ),
            ),
            **writes,
        ),
    )
