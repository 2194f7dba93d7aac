"""`git.*` on a repository in the workspace, also one that would like to run programs of its own."""

import pytest

from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from holdfast.tools.builtin.git import git_tools
from holdfast.tools.builtin.programs import program_tools
from tests.tools.conftest import Caller, code_of

MAKE = """
git init -q -b main app && cd app && git config user.name A && git config user.email a@b
echo one > f && git add f && git commit -q -m first
echo two > f && git commit -q -am second
echo three > f
"""


@pytest.fixture
async def call(sandbox: BubblewrapSandbox) -> Caller:
    caller = Caller(*git_tools(sandbox), *program_tools(sandbox))
    made = await caller("shell", command=MAKE)
    assert made.ok, made
    return caller


async def test_a_repository_can_be_looked_at(call: Caller) -> None:
    status = await call("git.status", repository="app")
    assert status.output["text"] == "## main\n M f\n", status
    log = await call("git.log", repository="app")
    assert [line.split("\t")[3] for line in log.output["text"].splitlines()] == ["second", "first"]
    assert "+three" in (await call("git.diff", repository="app")).output["text"]
    assert "-one" in (await call("git.diff", repository="app", before="HEAD~1", after="HEAD")).output["text"]
    assert (await call("git.show", repository="app", revision="HEAD~1:f")).output["text"] == "one\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"repository": "nowhere"}, "no_repository"),
        ({"repository": "../app"}, "outside_workspace"),
        ({"repository": "app", "revision": "--output=/workspace/x"}, "bad_arguments"),
        ({"repository": "app", "revision": "nobody"}, "git_failed"),
        ({"repository": "app", "limit": 0}, "bad_arguments"),
    ],
)
async def test_wrong_places_and_options_are_refused(
    call: Caller, arguments: dict[str, object], code: str
) -> None:
    assert code_of(await call("git.log", **arguments)) == code


async def test_a_repository_cannot_run_programs_of_its_own(call: Caller) -> None:
    planted = await call(
        "shell",
        command="cd app && git config diff.external 'touch /workspace/ran' && git config core.fsmonitor 'touch /workspace/ran'"
        " && git config core.pager 'touch /workspace/ran' && echo '* diff=x' > .gitattributes"
        " && git config diff.x.textconv 'touch /workspace/ran; cat'",
    )
    assert planted.ok
    for verb in ("status", "log", "diff", "show"):
        assert (await call(f"git.{verb}", repository="app")).ok
    assert "ran" not in (await call("shell", command="ls")).output["stdout"].split()


async def test_filters_and_lazy_fetches_of_a_repository_are_not_run(call: Caller) -> None:
    """`clean` is run by `diff` and `status` over a changed file, a promisor's transport over a missing object."""
    await call(
        "shell",
        command="cd app && echo '* filter=x filter=a=b' > .git/info/attributes && echo more >> f"
        " && for name in x a=b; do for kind in clean smudge process; do"
        " git config filter.$name.$kind 'touch /workspace/ran; cat'; done; git config filter.$name.required true; done"
        " && git config core.repositoryFormatVersion 1 && git config extensions.partialClone far"
        " && git config remote.far.url 'ext::touch /workspace/ran' && git config remote.far.promisor true"
        " && git config protocol.ext.allow always",
    )
    for name, more in (
        ("git.diff", {}),
        ("git.status", {}),
        ("git.show", {"revision": "HEAD:f"}),
        ("git.show", {"revision": "0123456789abcdef0123456789abcdef01234567"}),
        ("git.log", {"revision": "0123456789abcdef0123456789abcdef01234567"}),
    ):
        await call(name, repository="app", **more)
    assert "ran" not in (await call("shell", command="ls")).output["stdout"].split()
    assert "+more" in (await call("git.diff", repository="app")).output["text"]
