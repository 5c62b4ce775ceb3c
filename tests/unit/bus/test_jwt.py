"""The JWTs have the shape NATS reads, and are signed by whom they name."""

import base64
from datetime import UTC, datetime

import msgspec
import nacl.signing
import pytest

from bus.jwt import Kind, Permissions, account_jwt, new_seed, operator_jwt, public_key, user_jwt
from wire.units import HOUR_S

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def claims(jwt: str) -> dict[str, object]:
    found: dict[str, object] = msgspec.json.decode(unpadded(jwt.split(".")[1]))
    return found


def body(jwt: str) -> dict[str, object]:
    return msgspec.convert(claims(jwt)["nats"], dict[str, object])


def a_user(permissions: Permissions) -> dict[str, object]:
    return body(user_jwt(new_seed("account"), public_key(new_seed("user")), "u", permissions, NOW, HOUR_S))


@pytest.mark.parametrize(
    ("kind", "seed", "key"), [("operator", "SO", "O"), ("account", "SA", "A"), ("user", "SU", "U")]
)
def test_keys_say_by_their_first_letters_what_they_are(kind: Kind, seed: str, key: str) -> None:
    made = new_seed(kind)
    assert made.startswith(seed)
    assert public_key(made).startswith(key)
    assert len(public_key(made)) == 56


def test_a_jwt_verifies_with_the_key_of_its_issuer() -> None:
    operator = new_seed("operator")
    jwt = account_jwt(operator, public_key(new_seed("account")), "FLEET", NOW, jetstream=True, revoked={})
    signed, _, signature = jwt.rpartition(".")
    issuer = claims(jwt)["iss"]
    assert issuer == public_key(operator)
    raw = base64.b32decode(str(issuer))[1:33]
    nacl.signing.VerifyKey(raw).verify(signed.encode(), unpadded(signature))
    assert msgspec.json.decode(unpadded(jwt.split(".")[0])) == {"typ": "JWT", "alg": "ed25519-nkey"}


def test_an_operator_names_the_system_account() -> None:
    system = public_key(new_seed("account"))
    jwt = operator_jwt(new_seed("operator"), system, "seedlift", NOW)
    assert body(jwt) == {"type": "operator", "system_account": system, "version": 2}
    assert claims(jwt)["sub"] == claims(jwt)["iss"]


def test_only_an_account_with_jetstream_has_storage() -> None:
    def storage(*, jetstream: bool) -> object:
        jwt = account_jwt(new_seed("operator"), "A", "a", NOW, jetstream=jetstream, revoked={})
        return msgspec.convert(body(jwt)["limits"], dict[str, object])["disk_storage"]

    assert (storage(jetstream=True), storage(jetstream=False)) == (-1, 0)


def test_revocations_are_in_the_account() -> None:
    jwt = account_jwt(new_seed("operator"), "A", "a", NOW, jetstream=True, revoked={"U1": 17})
    assert body(jwt)["revocations"] == {"U1": 17}


def test_two_account_jwts_of_one_second_have_two_ids() -> None:
    operator = new_seed("operator")
    ids = {
        claims(account_jwt(operator, "A", "a", NOW, jetstream=True, revoked=revoked))["jti"]
        for revoked in ({}, {"U1": 17}, {"U1": 17, "U2": 18})
    }
    assert len(ids) == 3
    assert all(len(str(each)) == 52 for each in ids)


def test_a_user_expires() -> None:
    jwt = user_jwt(new_seed("account"), "U", "u", Permissions(("a",), ("b",)), NOW, HOUR_S)
    assert claims(jwt)["iat"] == int(NOW.timestamp())
    assert claims(jwt)["exp"] == int(NOW.timestamp()) + HOUR_S


def test_a_user_may_what_is_listed() -> None:
    user = a_user(Permissions(publish=("a.b",), subscribe=("c", "d.>")))
    assert user["pub"] == {"allow": ["a.b"], "deny": []}
    assert user["sub"] == {"allow": ["c", "d.>"], "deny": []}


def test_an_empty_list_means_nothing_and_not_everything() -> None:
    assert a_user(Permissions(publish=(), subscribe=()))["pub"] == {"allow": [], "deny": [">"]}
