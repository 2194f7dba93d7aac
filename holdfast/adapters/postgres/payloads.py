"""Keeps payloads that are too large for a Temporal history in Postgres, and leaves a claim of a few bytes behind.

A payload is named by the history that has to replay it and by its content. Storing it twice stores it once; deleting
a history's payloads can never take one away that another history needs.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    StorageDriver,
    StorageDriverActivityInfo,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
)
from typing_extensions import override

from holdfast.adapters.postgres.database import Database
from holdfast.errors import TooLarge
from holdfast.runtime.converter import not_kept

LARGEST = 64 * 1024 * 1024
"""One value over this is a mistake, not a payload."""

_STORE = "select store_payloads(%b::text[], %b::text[], %b::bytea[])"
_READ = "select key, data from read_payloads(%b::text[])"


class PostgresPayloads(StorageDriver):
    """One statement for a batch. What this process has seen is kept, so that a replay costs no round trip."""

    def __init__(self, database: Database, *, cache_bytes: int = 32 * 1024 * 1024) -> None:
        self._database = database
        self._seen = _Cache(cache_bytes)

    @override
    def name(self) -> str:
        return "holdfast-postgres"

    @override
    async def store(
        self, context: StorageDriverStoreContext, payloads: Sequence[Payload]
    ) -> list[StorageDriverClaim]:
        owner = _owner(context)
        blobs = [payload.SerializeToString(deterministic=True) for payload in payloads]
        keys = [_key(owner, blob) for blob in blobs]
        new = {key: blob for key, blob in zip(keys, blobs, strict=True) if key not in self._seen}
        if new:
            await self._insert(owner, new)
        return [StorageDriverClaim(claim_data={"key": key}) for key in keys]

    @override
    async def retrieve(
        self, context: StorageDriverRetrieveContext, claims: Sequence[StorageDriverClaim]
    ) -> list[Payload]:
        keys = [claim.claim_data.get("key", "") for claim in claims]
        found = {key: data for key in keys if (data := self._seen.get(key)) is not None}
        if missing := {key for key in keys if key not in found and "\0" not in key}:
            found |= await self._select(missing)
        return [_intact(key, found.get(key)) for key in keys]

    async def _insert(self, owner: str, rows: Mapping[str, bytes]) -> None:
        _refuse_giants(owner, rows.values())
        async with self._database.statement() as connection:
            await connection.execute(_STORE, (list(rows), [owner] * len(rows), list(rows.values())))
        self._seen.put(rows)

    async def _select(self, keys: Iterable[str]) -> dict[str, bytes]:
        async with self._database.statement() as connection:
            cursor = await connection.execute(_READ, (list(keys),), binary=True)
            rows = {row["key"]: row["data"] for row in await cursor.fetchall()}
        self._seen.put(rows)
        return rows


class _Cache:
    """The bytes used last, up to a sum."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._entries: OrderedDict[str, bytes] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def get(self, key: str) -> bytes | None:
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, rows: Mapping[str, bytes]) -> None:
        for key, data in rows.items():
            if key not in self._entries:
                self._entries[key] = data
                self._room -= len(data)
        while self._room < 0:
            _, dropped = self._entries.popitem(last=False)
            self._room += len(dropped)


def _owner(context: StorageDriverStoreContext) -> str:
    """The workflow, or, for an activity that runs without one, the activity."""
    target = context.target
    if target is None or not target.id:
        return "unowned"
    return f"activity:{target.id}" if isinstance(target, StorageDriverActivityInfo) else target.id


def _key(owner: str, data: bytes) -> str:
    return f"{owner}/{hashlib.sha256(data).hexdigest()}"


def _intact(key: str, data: bytes | None) -> Payload:
    """No error where it is missing: a claim may be forged, and one in a signal must not hold up its run."""
    if data is None:
        return not_kept(
            f"Payload {key} is not in this database. "
            "Connect to the database the run was started with, or restore its table `payloads`."
        )
    if hashlib.sha256(data).hexdigest() != key.rpartition("/")[2]:
        return not_kept(f"Payload {key} was changed in the database. Restore it.")
    return Payload.FromString(data)


def _refuse_giants(owner: str, rows: Iterable[bytes]) -> None:
    for data in rows:
        if len(data) > LARGEST:
            raise TooLarge(
                f"A value of {len(data)} bytes is too large to pass through a run.",
                remedy="Keep it as an artifact and pass its reference.",
                workflow_id=owner,
            )
