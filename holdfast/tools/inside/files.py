"""File tools, inside the sandbox: one request, one answer. The parts it is made of are carried in with it."""

from __future__ import annotations

import errno
import json
import sys

from holdfast.tools.inside.contents import read, write
from holdfast.tools.inside.finding import list_, search
from holdfast.tools.inside.patching import diff, patch
from holdfast.tools.inside.paths import Refused, is_escaped, odd_part

OPERATIONS = {"read": read, "write": write, "list": list_, "search": search, "diff": diff, "patch": patch}


def said_of(path: str, error: OSError) -> dict[str, str]:
    shown = repr(path[:200])
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        odd = odd_part(path)
        if odd and odd[1] == "link":
            return {"code": "link", "message": f"{shown} leads through {odd[0]!r}, which is a link."}
        return {"code": "not_a_folder", "message": f"{odd[0] if odd else path!r} is no folder."}
    if error.errno in (errno.EACCES, errno.EPERM):
        return {
            "code": "permission_denied",
            "message": f"{shown} may not be read or written, as its mode says.",
        }
    if error.errno == errno.ENAMETOOLONG:
        return {"code": "name_too_long", "message": f"{shown}… is longer than a name may be."}
    return {"code": "io_error", "message": f"{shown}: {error.strerror}."}


def not_there(path: str) -> dict[str, str]:
    if is_escaped(path):
        return {"code": "odd_name", "message": f"The name of {path!r} is not UTF-8: no tool can be told it."}
    return {"code": "not_found", "message": f"There is no {path!r} in the workspace."}


def main() -> None:
    request = json.load(sys.stdin)
    try:
        answer = OPERATIONS[request["operation"]](request)
    except Refused as error:
        answer = {"error": {"code": error.code, "message": str(error)}}
    except FileNotFoundError:
        answer = {"error": not_there(request["path"])}
    except OSError as error:
        answer = {"error": said_of(request["path"], error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
