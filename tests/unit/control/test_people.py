"""People, the pure parts: passwords that are guessed first, codes of RFC 6238, devices, the vault, letters."""

import os
import secrets

import pytest

from control import vault
from control.accounts import devices, totp
from control.accounts.weak import is_weak
from control.mail import letters
from control.mail.service import PAUSE_MAX_S, pause_s
from control.vault import CannotOpen, Vault

ABOUT = ["ada.lovelace@example.org", "Analytical Engines"]
RFC_6238 = {59: "94287082", 1111111109: "07081804", 1234567890: "89005924", 20000000000: "65353130"}


@pytest.mark.parametrize(
    "password",
    ["password123!", "P@ssw0rd2024", "qwertyuiop[]", "1q2w3e4r5t6z", "aaaaaaaaaaaaaa", "abcabcabcabc", "letmein1234",
     "adalovelace1815", "iloveyou2023", "9876543210", "qazwsxedcrfv", "Seedlift2026", "m0nk3ydragon", "analytical!!"],
)  # fmt: skip
def test_what_is_guessed_first_is_weak(password: str) -> None:
    assert is_weak(password, ABOUT)


def test_words_that_do_not_belong_together_and_random_signs_are_not() -> None:
    assert not is_weak("correct horse battery", ABOUT)
    assert not is_weak("Tr0ub4dor&3", ABOUT)
    assert not any(is_weak(secrets.token_urlsafe(12), ABOUT) for _ in range(500))


@pytest.mark.parametrize(("at", "code"), RFC_6238.items())
def test_codes_are_those_of_rfc_6238(at: int, code: str) -> None:
    assert totp.code_at(b"12345678901234567890", at // totp.STEP_S) == code[-totp.DIGITS :]


def test_a_clock_may_be_one_step_off_and_no_more() -> None:
    secret, now = os.urandom(20), 1_800_000_015
    accepted = [totp.step_of(secret, totp.code_at(secret, now // 30 + off), now) for off in (-2, -1, 0, 1, 2)]
    assert accepted == [None, now // 30 - 1, now // 30, now // 30 + 1, None]


def test_what_is_typed_into_an_app_is_what_the_qr_code_says() -> None:
    said = totp.uri(b"12345678901234567890", "a+b@example.org")
    assert said == "otpauth://totp/Seedlift:a%2Bb%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Seedlift"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"
         " Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
         " Version/18.0 Mobile/15E148 Safari/604.1", "Safari on iPhone"),
        ("curl/8.5.0", "curl"),
        ("<script>alert(1)</script>", "Unknown device"),
        (None, "Unknown device"),
    ],
)  # fmt: skip
def test_a_device_is_named_in_few_words(said: str | None, shown: str) -> None:
    assert devices.device(said) == shown


@pytest.mark.parametrize(
    ("ip", "kept"),
    [("203.0.113.77", "203.0.113.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48"),
     ("::ffff:203.0.113.77", "203.0.113.0/24"),
     ("fe80::1%eth0", "fe80::/48"), ("unknown", "unknown")],
)  # fmt: skip
def test_of_an_address_only_the_network_is_kept(ip: str, kept: str) -> None:
    assert devices.network(ip) == kept


def test_the_vault_opens_with_old_keys_and_encrypts_with_the_newest() -> None:
    old, new = os.urandom(32), os.urandom(32)
    kept = Vault({1: old}).put(b"secret", "totp:a")
    both = Vault({1: old, 2: new})
    assert both.open(kept, "totp:a") == b"secret"
    assert both.put(b"secret", "totp:a")[0] == 2
    assert both.put(b"secret", "totp:a") != both.put(b"secret", "totp:a")


def test_what_was_put_for_one_row_opens_in_no_other_and_not_when_changed() -> None:
    keys = Vault({1: os.urandom(32)})
    kept = keys.put(b"secret", "totp:a")
    for tampered, purpose in (
        (kept, "totp:b"),
        (kept[:-1] + bytes([kept[-1] ^ 1]), "totp:a"),
        (b"", "totp:a"),
        (kept[:9], "totp:a"),
    ):
        with pytest.raises(CannotOpen):
            keys.open(tampered, purpose)
    with pytest.raises(CannotOpen, match="version"):
        Vault({2: os.urandom(32)}).open(kept, "totp:a")


def test_what_the_key_of_the_secret_before_encrypted_is_readable_while_that_is_named() -> None:
    old, new = (vault.derived(os.urandom(32)) for _ in range(2))
    kept = Vault({vault.DERIVED: old}).put(b"secret", "totp:a")
    both = Vault({vault.DERIVED: new}, [old])
    assert both.open(kept, "totp:a") == b"secret"
    assert Vault({vault.DERIVED: new}).open(both.put(b"now", "totp:a"), "totp:a") == b"now"
    with pytest.raises(CannotOpen):
        Vault({vault.DERIVED: new}).open(kept, "totp:a")


def test_the_vaults_keys_are_lines_of_version_and_key() -> None:
    assert vault.read_keys(f"# comment\n1 {'00' * 32}\n\n2 {'ff' * 32}\n") == {1: bytes(32), 2: b"\xff" * 32}
    for bad in (f"0 {'00' * 32}", f"256 {'00' * 32}", "1 00", f"1 {'00' * 32}\n1 {'00' * 32}", "x y"):
        with pytest.raises(ValueError, match=r".+"):
            vault.read_keys(bad)


def test_a_letter_says_the_same_as_text_and_as_html_and_runs_nothing() -> None:
    letter = letters.notice("<b>&")
    assert "<b>&" in letter.text
    assert "&lt;b&gt;&amp;" in letter.html
    url = letters.link("https://seedlift.example.org/", "reset", "abc")
    assert url == "https://seedlift.example.org/account.html#reset=abc"
    assert url in letters.reset(url).text
    assert f'href="{url}"' in letters.reset(url).html


def test_tries_to_send_a_mail_come_further_and_further_apart() -> None:
    pauses = [pause_s(tries) for tries in range(1, 20)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (30, PAUSE_MAX_S)
