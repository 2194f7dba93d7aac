"""Keeps small secrets in a database that must not know them: AES-256-GCM under a key of the installation, bound to what
the secret belongs to, so that a sealed secret moved to another row does not open.

Temporal's payloads and these secrets are encrypted with different keys: each is derived for its purpose.
"""

import base64
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from holdfast.errors import Misconfigured
from holdfast.runtime.encryption import Keyring
from holdfast.runtime.settings import Settings

_PREFIX = "sealed"
_NONCE_BYTES = 12


@dataclass(frozen=True)
class Seal:
    """Seals with the first key of the ring, opens with the key that a sealed secret names."""

    keyring: Keyring
    purpose: str

    @property
    def mark(self) -> str:
        """What every secret begins with that needs no sealing anew."""
        return f"{_PREFIX}:{self.keyring.active}:"

    def close(self, secret: str, *, owner: str) -> str:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher(self.keyring.active).encrypt(nonce, secret.encode(), owner.encode())
        return self.mark + base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str, *, owner: str) -> str:
        """The secret. One that was stored before there was a key is still in clear, and comes back as it is."""
        prefix, _, rest = sealed.partition(":")
        if prefix != _PREFIX:
            return sealed
        key_id, _, encoded = rest.partition(":")
        raw = base64.b64decode(encoded)
        try:
            opened = self._cipher(key_id).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], owner.encode())
        except InvalidTag:
            raise Misconfigured(
                f"The secret of {owner} does not open with key {key_id!r}: the key was changed under its id.",
                remedy="Give every new key a new id, and keep the old one behind it.",
            ) from None
        return opened.decode()

    def _cipher(self, key_id: str) -> AESGCM:
        if key_id not in self.keyring.keys:
            raise Misconfigured(
                f"A secret is sealed with key {key_id!r}, which is not in the keyring.",
                remedy="Keep a retired key after the active one until every API process has run with the new one.",
            )
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"holdfast {self.purpose}".encode())
        return AESGCM(derived.derive(self.keyring.keys[key_id]))


def webhook_seal(settings: Settings) -> Seal | None:
    """What the signing secrets of webhooks are sealed with: the installation's encryption keys, or on a developer's
    machine the key that `holdfast up` made there."""
    given = settings.temporal.encryption_keys
    if given is not None:
        return Seal(Keyring.parse(given.get_secret_value()), "webhook secrets")
    kept = sealing_key_file(settings.data_dir)
    return Seal(_kept(kept), "webhook secrets") if kept.exists() else None


def _kept(file: Path) -> Keyring:
    try:
        return Keyring.parse(file.read_text().strip())
    except (Misconfigured, OSError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"{file} holds no key that secrets were sealed with.",
            remedy="Put the file back. Moved away, a new one is made, and the webhooks there are have to be made again.",
        ) from error


def sealing_key_file(data_dir: Path) -> Path:
    return data_dir / "sealing-key"


def new_keyring_text() -> str:
    """A keyring of one fresh key, as the setting is written."""
    return f"dev:{base64.b64encode(secrets.token_bytes(32)).decode()}"
