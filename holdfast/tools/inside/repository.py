"""Read-only git, inside the sandbox. A repository's own configuration may name programs; none of them is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

SAFE = (
    "git",
    "--no-pager",
    "--no-optional-locks",
    "--literal-pathspecs",
    *("-c", "safe.directory=*"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "log.showSignature=false"),
    *("-c", "color.ui=never"),
)
PLAIN = ("--no-ext-diff", "--no-textconv", "--ignore-submodules=all")
MOST_CHARS = 400_000


def arguments(request: dict[str, Any]) -> list[str]:
    """Revisions and paths come last and after a mark, so that none of them can be an option."""
    paths = ["--", *request.get("paths", [])]
    if request["operation"] == "status":
        return ["status", "--porcelain=v1", "--branch", "--ignore-submodules=all", *paths]
    if request["operation"] == "log":
        form = "--format=%H%x09%an%x09%aI%x09%s"
        return [
            "log",
            form,
            f"--max-count={request['limit']}",
            "--end-of-options",
            request["revision"],
            *paths,
        ]
    if request["operation"] == "diff":
        between = [revision for revision in (request.get("before"), request.get("after")) if revision]
        staged = ["--cached"] if request["staged"] else []
        return ["diff", *PLAIN, *staged, "--end-of-options", *between, *paths]
    return ["show", *PLAIN, "--format=fuller", "--end-of-options", request["revision"], *paths]


def without_filters(place: list[str]) -> dict[str, str]:
    """Empties each filter that the configuration names: `status` and `diff` would run it over a changed file.

    In the environment and not as `-c`, which splits a name at its first `=`.
    """
    listing = [*place, "config", "--includes", "--name-only", "--null", "--get-regexp", r"^filter\..*\."]
    named = subprocess.run(listing, capture_output=True, check=False, stdin=subprocess.DEVNULL).stdout.split(
        b"\0"
    )
    count = int(os.environ.get("GIT_CONFIG_COUNT", "0"))
    added: dict[str, str] = {}
    for name in sorted({os.fsdecode(name).rpartition(".")[0] for name in named if name}):
        for kind, value in (("clean", ""), ("smudge", ""), ("process", ""), ("required", "false")):
            added |= {f"GIT_CONFIG_KEY_{count}": f"{name}.{kind}", f"GIT_CONFIG_VALUE_{count}": value}
            count += 1
    return added | {"GIT_CONFIG_COUNT": str(count)}


def main() -> None:
    request = json.load(sys.stdin)
    folder = request["repository"]
    if ".." in folder.split("/") or folder.startswith("/"):
        said = f"{folder!r} is not a folder of the workspace."
        json.dump({"error": {"code": "outside_workspace", "message": said}}, sys.stdout)
        return
    place = [*SAFE, "-C", f"/workspace/{folder}"]
    surroundings = os.environ | {"GIT_ALLOW_PROTOCOL": "none"} | without_filters(place)
    done = subprocess.run(
        [*place, *arguments(request)],
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=surroundings,
    )
    text = done.stdout.decode(errors="replace").replace("\0", "\ufffd")
    answer: dict[str, Any] = {"text": text[:MOST_CHARS], "more": len(text) > MOST_CHARS}
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[:1000]
        nowhere = "not a git repository" in said or "cannot change to" in said
        code = "no_repository" if nowhere else "git_failed"
        answer["error"] = {"code": code, "message": said or f"git ended with {done.returncode}."}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
