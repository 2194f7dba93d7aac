import base64

import pytest
from temporalio.api.common.v1 import Payload

from holdfast.errors import Misconfigured
from holdfast.runtime.converter import ProcessPayloadConverter, Unreadable
from holdfast.runtime.encryption import EncryptionCodec, Keyring

OLD, NEW = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
SECRET = Payload(metadata={"encoding": b"json/plain"}, data=b'"the root password"')


def codec(keys: str) -> EncryptionCodec:
    return EncryptionCodec(Keyring.parse(keys))


async def test_what_is_encrypted_comes_back_and_shows_nothing() -> None:
    [sealed] = await codec(f"a:{OLD}").encode([SECRET])
    assert b"password" not in sealed.SerializeToString()
    assert b"json/plain" not in sealed.SerializeToString()
    assert await codec(f"a:{OLD}").decode([sealed]) == [SECRET]


async def test_a_new_key_encrypts_and_the_old_one_still_reads() -> None:
    before = await codec(f"a:{OLD}").encode([SECRET])
    rotated = codec(f"b:{NEW}, a:{OLD}")
    after = await rotated.encode([SECRET])
    assert after[0].metadata["encryption-key-id"] == b"b"
    assert await rotated.decode(before + after) == [SECRET, SECRET]


async def test_a_key_that_left_the_ring_is_named() -> None:
    sealed = await codec(f"a:{OLD}").encode([SECRET])
    with pytest.raises(Misconfigured, match="key 'a', which is not in the keyring"):
        await codec(f"b:{NEW}").decode(sealed)


async def test_a_changed_payload_or_key_does_not_open_and_its_reader_is_told() -> None:
    [sealed] = await codec(f"a:{OLD}").encode([SECRET])
    changed = Payload(metadata=sealed.metadata, data=sealed.data[:-1] + bytes([sealed.data[-1] ^ 1]))
    short = Payload(metadata=sealed.metadata, data=b"x")
    of_no_key = Payload(metadata={"encoding": b"binary/encrypted"}, data=sealed.data)
    for key, payload in ((NEW, sealed), (OLD, changed), (OLD, short), (OLD, of_no_key)):
        found = await codec(f"a:{key}").decode([payload, SECRET])
        assert found[1] == SECRET
        with pytest.raises(Unreadable, match="does not open here"):
            ProcessPayloadConverter().from_payloads(found)


async def test_histories_from_before_encryption_are_read() -> None:
    assert await codec(f"a:{OLD}").decode([SECRET]) == [SECRET]


@pytest.mark.parametrize("text", ["", "a", "a:c2hvcnQ=", "a:???", f":{OLD}", f"a:{OLD},a:{NEW}"])
def test_a_wrong_keyring_says_how_to_make_a_key(text: str) -> None:
    with pytest.raises(Misconfigured, match="openssl rand -base64 32"):
        Keyring.parse(text)


def test_a_keyring_does_not_print_its_keys() -> None:
    assert "x01" not in repr(Keyring.parse(f"a:{OLD}"))
