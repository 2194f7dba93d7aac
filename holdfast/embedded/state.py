"""What a running stack tells the commands beside it: its parts and addresses, in a file only its user can read."""

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from holdfast.embedded.lock import FolderLock, unusable
from holdfast.runtime.private import write_private
from schemas.base import Payload

PartStatus = Literal["waiting", "starting", "ready", "silent", "restarting", "stopping", "stopped"]
"""`silent`: it runs, and has not answered the last time it was asked."""


class PartState(Payload):
    """One part: what it is doing, where, and how often it had to be started again."""

    name: str
    status: PartStatus
    pid: int | None = None
    address: str = ""
    restarts: int = 0
    note: str = ""


class StackState(Payload):
    """A whole stack. `ready` once every part has been."""

    pid: int
    started_at: datetime
    ready: bool
    api_url: str
    temporal_address: str
    temporal_ui: str
    database_url: str
    parts: tuple[PartState, ...]


def state_file(data_dir: Path) -> Path:
    return data_dir / "state.json"


def api_key_file(data_dir: Path) -> Path:
    """The administrator's key of the dev stack, made at its first start."""
    return data_dir / "api-key"


def write_state(data_dir: Path, state: StackState) -> None:
    file = state_file(data_dir)
    try:
        write_private(file, state.model_dump_json(indent=1))
    except OSError as error:
        raise unusable(data_dir, error) from error


def read_state(data_dir: Path) -> StackState | None:
    """None where no stack runs, whatever a killed one left behind."""
    if not FolderLock(data_dir).is_held():
        return None
    try:
        return StackState.model_validate_json(state_file(data_dir).read_bytes())
    except (OSError, ValidationError):
        return None
