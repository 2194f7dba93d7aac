"""Encrypts what Temporal stores: AES-256-GCM under a named key, so that keys can be changed while runs are under way.

New payloads use the first key of the ring; old ones are read with the key they name. What is not encrypted is read as
it is: histories begun before encryption was switched on, and signals sent from Temporal's own tools.
"""

import base64
import binascii
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from holdfast.errors import Misconfigured

_ENCODING = b"binary/encrypted"
_KEY_ID = "encryption-key-id"
_NONCE_BYTES = 12
_KEY_BYTES = 32


@dataclass(frozen=True)
class Keyring:
    """Keys by id. The first encrypts; all decrypt."""

    keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """`2026b:<base64>,2026a:<base64>`, the newest first."""
        entries = [entry.strip().partition(":") for entry in text.split(",") if entry.strip()]
        keys = {key_id: _key(key_id, encoded) for key_id, _, encoded in entries}
        if not keys or len(keys) < len(entries):
            raise Misconfigured(
                "The encryption keys are empty or name one id twice.",
                remedy="Write `id:key,older-id:older-key`; make a key with `openssl rand -base64 32`.",
            )
        return cls(keys)

    @property
    def active(self) -> str:
        return next(iter(self.keys))

    def cipher(self, key_id: str) -> AESGCM:
        if key_id not in self.keys:
            raise Misconfigured(
                f"A payload is encrypted with key {key_id!r}, which is not in the keyring.",
                remedy="Keep a retired key after the active one until the last history that used it has expired.",
                key_id=key_id,
            )
        return AESGCM(self.keys[key_id])


def is_encrypted(payload: Payload) -> bool:
    return payload.metadata.get("encoding") == _ENCODING


class EncryptionCodec(PayloadCodec):
    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._encrypt(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._decrypt(payload) for payload in payloads]

    def _encrypt(self, payload: Payload) -> Payload:
        key_id = self._keyring.active
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._keyring.cipher(key_id).encrypt(nonce, payload.SerializeToString(), key_id.encode())
        return Payload(metadata={"encoding": _ENCODING, _KEY_ID: key_id.encode()}, data=nonce + sealed)

    def _decrypt(self, payload: Payload) -> Payload:
        """As it is where it does not open: whoever needs it says so, and a signal that nobody sealed holds up no run."""
        if not is_encrypted(payload) or _KEY_ID not in payload.metadata:
            return payload
        key_id = payload.metadata[_KEY_ID].decode(errors="replace")
        nonce, sealed = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
        try:
            return Payload.FromString(self._keyring.cipher(key_id).decrypt(nonce, sealed, key_id.encode()))
        except (InvalidTag, ValueError):
            return payload


def _key(key_id: str, encoded: str) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if not key_id or len(key) != _KEY_BYTES:
        raise Misconfigured(
            f"Encryption key {key_id!r} is not {_KEY_BYTES} bytes in base64.",
            remedy="Make one with `openssl rand -base64 32`.",
        )
    return key
