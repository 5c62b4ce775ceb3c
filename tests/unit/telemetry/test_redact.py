"""Log lines never show secrets."""

import pytest

from telemetry.redact import HIDDEN, clean_text, redact


@pytest.mark.parametrize(
    "key", ["secret", "token", "password", "Authorization", "cookie", "csrf_token", "nats_seed", "jwt"]
)
def test_a_secret_is_hidden_by_its_key(key: str) -> None:
    assert redact(None, "", {key: "hunter2"}) == {key: HIDDEN}
    assert redact(None, "", {"headers": {key: "hunter2"}}) == {"headers": {key: HIDDEN}}


def test_what_is_no_secret_stays() -> None:
    event = {"event": "transfer.claimed", "tokens_left": 3, "epoch": 2, "url": "https://example.org/a?page=2"}
    assert redact(None, "", event) == event


@pytest.mark.parametrize(
    "text",
    [
        "https://tracker.example/announce?passkey=0123456789abcdef",
        "https://tracker.example/announce.php?x=1&torrent_pass=0123456789abcdef",
        "https://tracker.example/0123456789abcdef/announce",
        "https://tracker.example:443/0123456789abcdef/scrape?info_hash=x",
        "could not read https://store.example/b/k?X-Amz-Signature=0123456789abcdef&x=1",
        "postgresql://seedlift:0123456789abcdef@127.0.0.1/seedlift",
        "cannot connect: host=127.0.0.1 password=0123456789abcdef port=1",
        "Authorization: Bearer 0123456789abcdef",
    ],
)
def test_a_secret_inside_a_text_is_hidden(text: str) -> None:
    assert "0123456789abcdef" in text
    assert "0123456789abcdef" not in clean_text(text)
    assert "0123456789abcdef" not in str(redact(None, "", {"errors": [{"detail": text}]}))


def test_the_trackers_host_is_still_seen() -> None:
    assert clean_text("https://t.example/0123456789abcdef/announce") == f"https://t.example/{HIDDEN}/announce"
