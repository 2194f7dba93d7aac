"""`holdfast tools new`: what it writes is a tool as it stands, and nothing is written over."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from holdfast.cli.tools import tools
from holdfast.testing.tools import call, tools_in
from holdfast.tools.manifests import read_manifest


def wrote(folder: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(tools, ["new", *words, "--folder", str(folder)])
    return result.exit_code, result.output or str(result.exception)


def test_a_manifest_is_a_tool_as_it_is_written(tmp_path: Path) -> None:
    assert wrote(tmp_path, "reports.count")[0] == 0
    manifest = read_manifest((tmp_path / "reports_count.yaml").read_text())
    assert (manifest.name, len(manifest.examples)) == ("reports.count", 1)


def test_a_module_is_a_tool_and_its_test_passes(tmp_path: Path) -> None:
    assert wrote(tmp_path, "reports.count", "--python")[0] == 0
    [tool] = tools_in(tmp_path / "reports_count.py")
    result = asyncio.run(call(tool, text="to be sure"))
    assert result.output == tool.spec.examples[0].output == {"words": 3}
    test = (tmp_path / "tests" / "test_reports_count.py").read_text()
    names: dict[str, object] = {"__file__": str(tmp_path / "tests" / "test_reports_count.py")}
    exec(compile(test, "test", "exec"), names)  # noqa: S102 - what the command wrote is what is tested
    for name, check in list(names.items()):
        if name.startswith("test_") and callable(check):
            check()


@pytest.mark.parametrize("name", ["Bad Name", "a/../b", "9lives", ""])
def test_a_bad_name_writes_nothing(tmp_path: Path, name: str) -> None:
    code, said = wrote(tmp_path, name)
    assert code == 2
    assert "no name of a tool" in said
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(tmp_path: Path) -> None:
    assert wrote(tmp_path, "reports.count")[0] == 0
    (tmp_path / "reports_count.yaml").write_text("mine")
    assert wrote(tmp_path, "reports.count")[0] != 0
    assert (tmp_path / "reports_count.yaml").read_text() == "mine"
