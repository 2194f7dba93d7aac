"""What a call's failure means and what to do about it, by the code of its error: one place for all that runs in a sandbox."""

from collections.abc import Mapping

_MEANINGS: Mapping[str, str] = {
    "timeout": "The program took too long and was stopped.",
    "cpu": "The program used more processor time than it may.",
    "memory": "The program used more memory than it may.",
    "disk": "The program wrote more than its workspace holds.",
    "output_limit": "The program printed more than it may.",
    "refused": "The sandbox refused the program.",
}
_REMEDIES: Mapping[str, str] = {
    "timeout": "Do less in one call, or raise timeout_s or permissions.limits.wall_s in a manifest.",
    "cpu": "Do less in one call, or raise permissions.limits.cpu_s in a manifest.",
    "memory": "Work on smaller pieces, or raise permissions.limits.memory_mb in a manifest.",
    "disk": "Remove what is no longer needed, or raise permissions.limits.disk_mb in a manifest.",
    "output_limit": "Print less, or write to a file and read it piece by piece.",
    "answer_too_large": "Ask for less, or raise `result_bytes` of the server. What it was asked to do may be done.",
    "bad_answer": "Tell whoever runs the server. What it was asked to do may be done.",
    "tool_crashed": "Mend the tool's code, in a new version. What it did before it failed is done.",
    "bad_output": "Mend the tool, or its schema, in a new version. What it does has been done.",
    "not_found": "`files.list` shows what is there.",
    "odd_name": "Rename it with `shell`, such as `mv report* report.txt`.",
    "not_a_folder": "`files.list` of the folder above shows what is there, and of which kind.",
    "permission_denied": "`chmod` it with `shell`.",
    "name_too_long": "Choose a shorter name.",
    "io_error": "`files.list` shows what is there; another name or folder may do.",
    "not_a_file": "`files.list` shows what is there, and of which kind.",
    "outside_workspace": "Name it from the workspace, such as `reports/today.txt`.",
    "link": "Name the file itself: links are not followed.",
    "hard_link": "Copy it, and work on the copy.",
    "exists": "Choose another path, or leave create_only out to replace it.",
    "too_large": "Work on a piece of it: `files.read` takes an offset.",
    "binary": "`files.read` brings it as base64.",
    "bad_base64": "Write text as `text`; `base64` is for what is none.",
    "bad_pattern": "Mend the expression, or leave regex out to look for the text itself.",
    "bad_patch": "Write it as `diff -u` does: a head with line counts, then its lines.",
    "ambiguous": "Add lines of context, so that it fits in one place only.",
    "does_not_apply": "Read the file again, and write the patch against what stands there.",
    "error": "stdout and stderr hold what it said.",
    "signal": "stdout and stderr hold what it said before.",
    "http_status": "Its answer, in `text`, often says why.",
    "no_repository": "Clone or copy a repository into the workspace, and name its folder.",
    "git_failed": "`git.log` without a revision lists those there are; a repository without commits has none.",
    "network_denied": "Only hosts that the tool's permissions name can be reached; see docs/tools.md.",
    "unreachable": "Is the address right, and does the host answer from where the tools worker runs?",
    "tls": "Does that port speak https? Its certificate has to be valid for that name, by an authority that the worker's host trusts.",
    "redirects": "Ask the last address itself, or allow more redirects.",
    "bad_url": "Write scheme, host and path; credentials come from a secret that the tool's permissions name.",
}


def meaning_of(code: str) -> str:
    return _MEANINGS.get(code, code)


def remedy_of(code: str) -> str:
    return _REMEDIES.get(code, "")
