"""What stands inside a sandbox: how a language is run, the environment, and the few files below /etc.

An earlier call of the same run may have written anything into the workspace, so nothing there is ever on a search
path: HOME is fresh, PATH is fixed, Python runs isolated, and shells read no start-up file.
"""

from collections.abc import Mapping, Sequence

WORKSPACE = "/workspace"
PROGRAM = "/run/tool/program"
PROXY_PORT = 3128
ALIAS_PORT = 80
USER_ID = 1000

INTERPRETERS: Mapping[str, tuple[str, ...]] = {
    "sh": ("/bin/sh",),
    "bash": ("/bin/bash", "--noprofile", "--norc"),
    "python": ("/usr/bin/python3", "-I", "-B", "-u", "-X", "utf8"),
}


_GIT: Mapping[str, str] = {
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "core.hooksPath",
    "GIT_CONFIG_VALUE_0": "/dev/null",
    "GIT_CONFIG_KEY_1": "core.fsmonitor",
    "GIT_CONFIG_VALUE_1": "false",
}
"""A repository that an earlier call left names no program that a later `git status` or `git commit` would start."""


def command_for(language: str, argv: Sequence[str]) -> list[str]:
    """The program is a read-only file, not an argument: arguments end at 128 KiB."""
    return [*INTERPRETERS[language], PROGRAM, *argv]


def environment(*, proxied: bool) -> dict[str, str]:
    """Built from nothing: no variable of the host, and above all no secret, has a way in."""
    variables = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",  # noqa: S108 - the sandbox's own, private to the call
        "TMPDIR": "/tmp",  # noqa: S108
        "USER": "tool",
        "LOGNAME": "tool",
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "PWD": WORKSPACE,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        **_GIT,
    }
    if proxied:
        proxy = f"http://127.0.0.1:{PROXY_PORT}"
        variables |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), proxy)
    return variables


def etc_files(aliases: Sequence[str]) -> dict[str, str]:
    """Name services without the host's: one user, loopback names, and no resolver at all."""
    names = " ".join(("localhost", "sandbox", *aliases))
    return {
        "/etc/passwd": f"tool:x:{USER_ID}:{USER_ID}::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
        "/etc/group": f"tool:x:{USER_ID}:\nnogroup:x:65534:\n",
        "/etc/hosts": f"127.0.0.1 {names}\n::1 localhost\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        "/etc/resolv.conf": "# names are resolved by the egress proxy\n",
    }
