"""`files.*` in the real sandbox: text, bytes, floods, and everything that only looks like a file of the workspace."""

import base64
from dataclasses import replace

import pytest

from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from holdfast.tools.builtin.files import file_tools
from holdfast.tools.builtin.programs import program_tools
from holdfast.tools.declare import Tool
from tests.tools.conftest import Caller, code_of


@pytest.fixture
def call(sandbox: BubblewrapSandbox) -> Caller:
    return Caller(*file_tools(sandbox), *program_tools(sandbox))


async def test_what_was_written_is_read_again(call: Caller) -> None:
    written = await call("files.write", path="notes/today.txt", text="grün\n")
    assert written.output == {"path": "notes/today.txt", "bytes": 6, "created": True}
    read = await call("files.read", path="/workspace/notes/today.txt")
    assert read.ok, read.error
    assert (read.output["text"], read.output["size"], read.output["more"]) == ("grün\n", 6, False)
    assert read.untrusted


async def test_a_long_file_comes_in_pieces_that_never_cut_a_character(call: Caller) -> None:
    await call("files.write", path="long", text="ü" * 200_000)
    first = await call("files.read", path="long", limit=99_999)
    assert first.output["more"]
    assert set(first.output["text"]) == {"ü"}
    assert first.output["bytes"] == 99_998
    amid = await call("files.read", path="long", offset=399_997)
    assert (amid.output["text"], amid.output["offset"], amid.output["more"]) == ("ü", 399_998, False)


async def test_no_byte_is_left_out_of_what_only_nearly_is_text(call: Caller) -> None:
    for data in (b"caf\xe9", b"\xbcber", b"a\xff"):
        await call("files.write", path="latin", base64=base64.b64encode(data).decode())
        read = await call("files.read", path="latin")
        assert base64.b64decode(read.output["base64"]) == data


async def test_what_is_in_the_way_is_named(call: Caller) -> None:
    await call("shell", command="echo key > one; mkdir d; ln -s d there; echo key > shut; chmod 000 shut")
    assert code_of(await call("files.list", path="one")) == "not_a_folder"
    assert code_of(await call("files.read", path="one/two")) == "not_a_folder"
    assert code_of(await call("files.write", path="there/x", text="x")) == "link"
    assert code_of(await call("files.read", path="x" * 300)) == "name_too_long"
    assert code_of(await call("files.read", path="shut")) == "permission_denied"
    found = await call("files.search", pattern="key")
    assert [match["path"] for match in found.output["matches"]] == ["one"]
    assert found.output["locked"] == 1


async def test_a_name_that_is_no_text_is_shown_escaped_and_its_way_out_is_told(call: Caller) -> None:
    await call("shell", command="printf key > \"$(printf 'bad\\377')\"; mkdir d; printf x > 'd/a\\xff'")
    listed = await call("files.list", depth=2)
    assert [entry["path"] for entry in listed.output["entries"]] == ["bad\\xff", "d", "d/a\\xff"]
    found = await call("files.search", pattern="key")
    assert [match["path"] for match in found.output["matches"]] == ["bad\\xff"]
    refused = await call("files.read", path="bad\\xff")
    assert code_of(refused) == "odd_name"
    assert refused.error is not None
    assert "shell" in refused.error.remedy
    assert (await call("files.read", path="d/a\\xff")).output["text"] == "x"
    await call("shell", command="mv bad* good")
    assert (await call("files.read", path="good")).output["text"] == "key"
    assert code_of(await call("files.read", path="bad\\xff")) == "not_found"


async def test_bytes_come_as_base64_and_go_back_as_they_were(call: Caller) -> None:
    data = bytes(range(256))
    await call("files.write", path="b", base64=base64.b64encode(data).decode())
    read = await call("files.read", path="b")
    assert base64.b64decode(read.output["base64"]) == data
    assert code_of(await call("files.write", path="b", base64="!no base64!")) == "bad_base64"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("missing", "not_found"),
        ("../other", "outside_workspace"),
        ("/etc/passwd", "outside_workspace"),
        ("/workspaces/x", "outside_workspace"),
        ("a\0b", "outside_workspace"),
        ("link", "link"),
        ("linked_folder/passwd", "link"),
        ("pipe", "not_a_file"),
        ("twin", "hard_link"),
        ("folder", "not_a_file"),
        (".", "not_a_file"),
        ("", "bad_arguments"),
    ],
)
async def test_only_plain_files_of_the_workspace_are_read(call: Caller, path: str, code: str) -> None:
    made = await call(
        "shell",
        command="mkdir folder && ln -s /etc/passwd link && ln -s /etc linked_folder && mkfifo pipe"
        " && echo x > one && ln one twin",
    )
    assert made.ok, made.error
    # Pipes do not outlive a call; one that is read in the same call is the operating system's to refuse.
    expected = {"not_a_file", "not_found"} if path == "pipe" else {code}
    assert code_of(await call("files.read", path=path)) in expected
    if path not in ("missing", "pipe"):
        assert code_of(await call("files.write", path=path, text="x")) in {
            code,
            "link",
            "not_a_file",
            "io_error",
        }


async def test_an_answer_that_is_too_large_is_refused_with_a_word(call: Caller) -> None:
    await call(
        "shell",
        command="for i in $(seq 1100); do echo ERROR $i; done > log; mkdir d; cd d; touch $(seq 1100)",
    )
    found = await call("files.search", pattern="ERROR", limit=1000)
    assert (len(found.output["matches"]), found.output["more"]) == (1000, True)
    listed = await call("files.list", path="d", limit=1000)
    assert (len(listed.output["entries"]), listed.output["more"]) == (1000, True)


async def test_search_passes_over_binaries_links_and_other_names(call: Caller) -> None:
    await call(
        "shell", command="echo key > a.txt; echo key > b.log; printf 'key\\0' > c.txt; ln -s a.txt d.txt"
    )
    found = await call("files.search", pattern="KEY", ignore_case=True, glob="*.txt")
    assert [match["path"] for match in found.output["matches"]] == ["a.txt"]
    assert code_of(await call("files.search", pattern="(", regex=True)) == "bad_pattern"


async def test_a_hopeless_pattern_ends_with_its_limit(sandbox: BubblewrapSandbox) -> None:
    call = Caller(*[_hurried(tool) for tool in file_tools(sandbox)])
    await call("files.write", path="a", text="a" * 5000 + "!")
    assert code_of(await call("files.search", pattern="(a+)+$", regex=True)) in {"timeout", "cpu"}


def _hurried(tool: Tool) -> Tool:
    limits = tool.spec.permissions.limits.model_copy(update={"wall_s": 2.0, "cpu_s": 1.0})
    permissions = tool.spec.permissions.model_copy(update={"limits": limits})
    return replace(tool, spec=tool.spec.model_copy(update={"permissions": permissions}))


async def test_a_difference_can_be_applied_and_is_applied_once(call: Caller) -> None:
    await call("files.write", path="old", text="a\nb\nc\n")
    await call("files.write", path="new", text="a\nB\nc\nd")
    change = (await call("files.diff", path="old", other="new")).output["diff"]
    first = await call("files.patch", path="old", patch=change)
    again = await call("files.patch", path="old", patch=change)
    assert (first.output["applied"], again.output["applied"]) == (True, False), (first, again)
    assert (await call("files.diff", path="old", other="new")).output["same"]


async def test_a_patch_that_does_not_fit_changes_nothing(call: Caller) -> None:
    await call("files.write", path="f", text="a\nb\nc\n")
    patch = "@@ -1 +1 @@\n-a\n+A\n@@ -3 +3 @@\n-x\n+y\n"
    assert code_of(await call("files.patch", path="f", patch=patch)) == "does_not_apply"
    assert code_of(await call("files.patch", path="f", patch="hello")) == "bad_patch"
    assert (await call("files.read", path="f")).output["text"] == "a\nb\nc\n"


async def test_a_patch_that_could_mean_two_things_is_sent_back(call: Caller) -> None:
    await call("files.write", path="f", text="x\nx\n")
    assert code_of(await call("files.patch", path="f", patch="@@ -1 +1,2 @@\n x\n+x\n")) == "ambiguous"


async def test_create_only_keeps_what_stands_and_may_be_repeated(call: Caller) -> None:
    assert (await call("files.write", path="f", text="a", create_only=True)).ok
    assert (await call("files.write", path="f", text="a", create_only=True)).ok
    assert code_of(await call("files.write", path="f", text="b", create_only=True)) == "exists"


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"path": 3},
        {"path": "a"},
        {"path": "a", "text": "x", "base64": "eA=="},
        {"path": "a", "text": "x", "no": 1},
    ],
)
async def test_wrong_arguments_are_named(call: Caller, arguments: dict[str, object]) -> None:
    result = await call("files.write", **arguments)
    assert code_of(result) == "bad_arguments"
    assert result.error is not None
    assert result.error.message


async def test_what_was_printed_before_the_time_ran_out_is_kept(sandbox: BubblewrapSandbox) -> None:
    (shell, _) = program_tools(sandbox)
    call = Caller(replace(shell, spec=shell.spec.model_copy(update={"timeout_s": 3.0})))
    result = await call("shell", command="echo so far; exec sleep 100")
    assert (code_of(result), result.output["stdout"]) == ("timeout", "so far\n")
    assert result.error is not None
    assert result.error.remedy
