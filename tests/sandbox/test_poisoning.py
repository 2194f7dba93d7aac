"""What one call of a run leaves behind is data to the next: no program, module or setting of it is ever taken up."""

import uuid
from collections.abc import AsyncIterator

import pytest

from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from schemas.sandbox import Language, SandboxRequest, SandboxResult, SandboxStatus

_POISON = r"""
mkdir -p bin .git/hooks .local/bin
for name in ls cat env id python3 sh git; do
  printf '#!/bin/sh\necho POISONED\n' > bin/$name; chmod +x bin/$name; cp bin/$name .; cp bin/$name .local/bin
done
for name in sitecustomize usercustomize os json socket encodings; do echo 'print("POISONED")' > $name.py; done
echo 'import sys; print("POISONED")' > x.pth
for name in .bashrc .profile .bash_profile .bash_login .inputrc .env; do echo 'echo POISONED' > $name; cp $name /tmp; done
echo leak > /tmp/leak; echo leak > /dev/shm/leak
git init -q repository; cd repository; git config core.pager 'echo POISONED'; git config core.fsmonitor 'echo POISONED'
printf '#!/bin/sh\necho POISONED\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit
"""
_LATER = {
    Language.SH: "ls /tmp /dev/shm; id; env; cat /dev/null; cd /; python3 -c 'import json, socket'; echo end",
    Language.BASH: "ls /tmp; id; type -p ls python3; cd repository; git status; git commit --allow-empty -m x; echo end",
    Language.PYTHON: "import os, json, socket, encodings, sys; print(os.listdir('/tmp'), sys.path); print('end')",
}


@pytest.fixture(scope="module")
async def poisoned(sandbox: BubblewrapSandbox) -> AsyncIterator[str]:
    run = f"poisoned-{uuid.uuid4().hex}"
    assert (await sandbox.run(SandboxRequest(run=run, program=_POISON))).status is SandboxStatus.OK
    yield run
    await sandbox.forget(run)


@pytest.mark.parametrize("language", list(Language))
async def test_a_later_call_takes_nothing_up(
    language: Language, poisoned: str, sandbox: BubblewrapSandbox
) -> None:
    result = await sandbox.run(SandboxRequest(run=poisoned, language=language, program=_LATER[language]))
    said = result.stdout + result.stderr
    assert "POISONED" not in said
    assert "leak" not in said
    assert result.stdout.endswith("end\n")


async def test_a_file_is_placed_beside_what_was_planted_and_never_through_it(
    sandbox: BubblewrapSandbox,
) -> None:
    run = f"planted-{uuid.uuid4().hex}"

    async def call(program: str, **more: object) -> SandboxResult:
        return await sandbox.run(SandboxRequest.model_validate({"run": run, "program": program, **more}))

    await call("ln -s /tmp/elsewhere link; mkfifo pipe; ln -s /tmp way; mkdir full; echo x > full/f")
    over_link = await call("cat link; ls /tmp", files={"link": "placed"}, collect=("link",))
    through_link = await call("true", files={"way/f": "x"})
    over_directory = await call("true", files={"full": "x"})
    await sandbox.forget(run)
    assert (over_link.stdout, over_link.files["link"].ok) == ("placed", True)
    assert {through_link.status, over_directory.status} == {SandboxStatus.REFUSED}


async def test_a_locked_tree_does_not_lock_the_next_call_out(sandbox: BubblewrapSandbox) -> None:
    run = f"locked-{uuid.uuid4().hex}"
    lock = "mkdir -p a/b; echo kept > a/b/f; chmod 000 a/b/f a/b a ."
    await sandbox.run(SandboxRequest(run=run, program=lock))
    later = await sandbox.run(
        SandboxRequest(run=run, program="chmod u+r a/b/f; cat a/b/f", collect=("a/b/f",))
    )
    await sandbox.forget(run)
    assert (later.stdout, later.files["a/b/f"].ok) == ("kept\n", True)


async def test_no_name_collides_with_one_of_ours(sandbox: BubblewrapSandbox) -> None:
    """While a file is written back it has another name for a moment, which no entry of the tool's may have."""
    run = f"collides-{uuid.uuid4().hex}"
    program = (
        "mkdir .holdfast-incoming; for name in .holdfast-incoming/a b .holdfast c; do echo kept > $name; done"
    )
    await sandbox.run(SandboxRequest(run=run, program=program))
    found = await sandbox.run(
        SandboxRequest(run=run, program="cat .holdfast-incoming/a b .holdfast c; ls -A | wc -l")
    )
    assert found.stdout.split() == ["kept"] * 4 + ["4"]
    await sandbox.forget(run)
