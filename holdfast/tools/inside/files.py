"""File tools, inside the sandbox: one request, one answer. The parts it is made of are carried in with it."""

from __future__ import annotations

import errno
import json
import sys

from holdfast.tools.inside.contents import read, write
from holdfast.tools.inside.finding import list_, search
from holdfast.tools.inside.patching import diff, patch
from holdfast.tools.inside.paths import Refused

OPERATIONS = {"read": read, "write": write, "list": list_, "search": search, "diff": diff, "patch": patch}


def said_of(path: str, error: OSError) -> dict[str, str]:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return {"code": "link", "message": f"{path!r} leads through what is no folder, or a link."}
    return {"code": "io_error", "message": f"{path[:200]!r}: {error.strerror}."}


def main() -> None:
    request = json.load(sys.stdin)
    try:
        answer = OPERATIONS[request["operation"]](request)
    except Refused as error:
        answer = {"error": {"code": error.code, "message": str(error)}}
    except FileNotFoundError:
        answer = {
            "error": {"code": "not_found", "message": f"There is no {request['path']!r} in the workspace."}
        }
    except OSError as error:
        answer = {"error": said_of(request["path"], error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
