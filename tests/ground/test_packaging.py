"""What is installed: all of it, and nothing beside it."""

import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import files
from pathlib import Path
from zipfile import ZipFile

import pytest

from holdfast.cli.demo import example_runbooks

_CHECKOUT = Path(__file__).parents[2]
_EXAMPLES = {path.name for path in (_CHECKOUT / "examples" / "runbooks").iterdir()}
_PACKAGES = {"schemas", "holdfast", "activities", "workflows", "workers", "api"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of what Git knows, out of uv's cache if the network is away: the editable install filled it."""
    checkout, folder = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("wheel")
    for name in (*_PACKAGES, "examples"):
        shutil.copytree(_CHECKOUT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(_CHECKOUT / name, checkout)
    build = [
        str(Path(sys.executable).with_name("uv")),
        "build",
        "-q",
        "--wheel",
        "-o",
        str(folder),
        str(checkout),
    ]
    if subprocess.run([*build, "--offline"], capture_output=True, check=False).returncode:
        subprocess.run(build, check=True)
    return next(folder.glob("*.whl"))


def test_a_wheel_holds_the_packages_their_types_and_the_example_runbooks(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()
    folders = {name.split("/")[0] for name in names}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == _PACKAGES
    assert {Path(name).name for name in names if name.startswith("holdfast/examples/runbooks/")} == _EXAMPLES
    assert {"holdfast/py.typed", "schemas/py.typed"} <= set(names)
    assert [name for name in names if name.endswith((".toml", ".pyc"))] == []


def test_an_installed_wheel_finds_the_example_runbooks(wheel: Path, tmp_path: Path) -> None:
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    asked = "from holdfast.cli.demo import example_runbooks; print(example_runbooks())"
    found = subprocess.run(
        [sys.executable, "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == str(tmp_path / "holdfast" / "examples" / "runbooks")


def test_an_editable_install_copies_nothing_and_finds_them_in_the_checkout() -> None:
    copied = {path.parts[0] for path in files("holdfast") or () if path.parts[0] in _PACKAGES}
    assert copied == set()
    assert not (Path(sysconfig.get_path("purelib")) / "holdfast").exists()
    assert {path.name for path in example_runbooks().iterdir()} == _EXAMPLES
