"""Walks the way of a call once without one, in the spare: what it touches is copied from the launcher's memory now,
a page at a time, and not while somebody waits."""

from holdfast.adapters.bubblewrap.command import Descriptors, bubblewrap_arguments, stage_command
from holdfast.adapters.bubblewrap.spec import CallReport, CallSpec, LauncherSpec
from holdfast.adapters.bubblewrap.workspace import checked_name
from holdfast.sandbox.bounded import BoundedOutput
from holdfast.sandbox.profile import command_for, environment, etc_files
from holdfast.sandbox.seccomp import seccomp_filter

_NOTHING = CallSpec(
    workspace="",
    keep_workspace=False,
    language="sh",
    program="",
    argv=[],
    stdin="",
    limits={},
    files={},
    collect=[],
    collect_bytes=0,
    proxied=False,
    aliases=[],
)


def rehearse(launcher: LauncherSpec) -> None:
    call = CallSpec.from_bytes(_NOTHING.to_bytes())
    bubblewrap_arguments(
        environment=environment(proxied=call.proxied),
        descriptors=Descriptors(status=3, seccomp=4, files=dict.fromkeys(etc_files(call.aliases), 5)),
        readable=launcher.readable,
    )
    stage_command(command_for(call.language, call.argv), open_files=16)
    seccomp_filter()
    checked_name("a/b")
    output = BoundedOutput(16)
    output.take(b"x")
    CallReport(stdout=output.excerpt().text).to_bytes()
