"""Magnet links: what is read out of one, what is refused by which code, and the way back."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.errors import BadMagnet
from wire.infohash import InfoHashes
from wire.magnet import CHARS_MAX, PEERS_MAX, TRACKERS_MAX, WEB_SEEDS_MAX, Magnet, hashes_in, parse_magnet
from wire.names import clean_name

V1 = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a"
V2 = "caf1e1c30e81cb361b9ee167c4aa64228a7fa4fa9f6105232b28ad099f3a302e"
BTIH = f"xt=urn:btih:{V1}"


def refusal(text: str) -> str:
    with pytest.raises(BadMagnet) as bad:
        parse_magnet(text)
    assert str(bad.value).endswith(".")
    return bad.value.code


def repeated(field: str, count: int) -> str:
    return f"magnet:?{BTIH}" + "".join("&" + field.format(n) for n in range(1, count + 1))


urls = st.builds(
    "{}://{}.example/{}".format,
    st.sampled_from(["http", "https", "udp", "wss"]),
    st.text("abcdefgh0123456789", min_size=1, max_size=8),
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=12),
)
ranges = st.lists(st.integers(0, 300), min_size=1, max_size=8, unique=True).map(
    lambda starts: tuple((3 * n, 3 * n + n % 2) for n in sorted(starts))
)
magnets = st.builds(
    Magnet,
    hashes=st.builds(
        InfoHashes,
        v1=st.binary(min_size=20, max_size=20).filter(any),
        v2=st.none() | st.binary(min_size=32, max_size=32).filter(any),
    ),
    name=st.none() | st.text(max_size=60).map(clean_name),
    trackers=st.lists(urls, max_size=4, unique=True).map(tuple),
    web_seeds=st.lists(urls, max_size=4, unique=True).map(tuple),
    peers=st.lists(st.sampled_from(["192.0.2.1:6881", "[2001:db8::1]:80", "peer.example:1"]), unique=True).map(tuple),
    selected=st.none() | ranges,
    size_bytes=st.none() | st.integers(0, 2**63 - 1),
)


@given(magnets)
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read_back(magnet: Magnet) -> None:
    assert parse_magnet(magnet.uri()) == magnet


@given(st.text(max_size=80), st.booleans())
@settings(max_examples=250, deadline=None)
def test_any_text_is_read_or_refused(text: str, behind_a_hash: bool) -> None:
    try:
        magnet = parse_magnet(f"magnet:?{BTIH}&{text}" if behind_a_hash else text)
    except BadMagnet:
        return
    assert parse_magnet(magnet.uri()) == magnet


def test_everything_a_link_can_say() -> None:
    magnet = parse_magnet(
        f"  MAGNET:?XT=urn:BTIH:{V1.upper()}&xt.2=urn:btmh:1220{V2}&xt=urn:ed2k:31D6CFE0D16AE931B73C59D7E0C089C0"
        "&dn=My+caf%C3%A9%2Fshow&tr=udp%3A%2F%2Ft.example%3A80&tr.1=http://u.example/announce&amp;tr=udp%3A%2F%2Ft.example%3A80"
        "&ws=https%3A%2F%2Fw.example%2Fa%20b&ws=https%3A%2F%2Fw.example%2Fa%2520b&x.pe=192.0.2.1:6881&x.pe=%5B2001:db8::1%5D:6882"
        "&x.pe=nonsense&so=0,2,4-6,3&xl=1048576&unknown=1\n"
    )
    assert magnet == Magnet(
        hashes=InfoHashes.of_hex(V1, V2),
        name="My café_show",
        trackers=("udp://t.example:80", "http://u.example/announce"),
        web_seeds=("https://w.example/a%20b",),
        peers=("192.0.2.1:6881", "[2001:db8::1]:6882"),
        selected=((0, 0), (2, 6)),
        size_bytes=1_048_576,
    )


def test_base32_and_hex_are_the_same_hash() -> None:
    text = base64.b32encode(bytes.fromhex(V1)).decode()
    assert parse_magnet(f"magnet:?xt=urn:btih:{text}").hashes.v1_hex == V1
    assert parse_magnet(f"magnet:?xt=urn:btih:{text.lower()}&{BTIH}").hashes.v1_hex == V1


def test_a_link_of_version_two_alone() -> None:
    assert parse_magnet(f"magnet:?xt=urn:btmh:1220{V2}").hashes == InfoHashes.of_hex(None, V2)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "magnet_malformed"),
        ("http://example.org/", "magnet_malformed"),
        ("magnet:", "magnet_malformed"),
        ("magnet:?", "magnet_no_hash"),
        ("magnet:?dn=x", "magnet_no_hash"),
        ("magnet:?xt=urn:sha1:YNCKHTQCWBTRNJIV4WNAE52SJUQCZO5C", "magnet_no_hash"),
        ("magnet:?xt=urn:btih:", "magnet_bad_hash"),
        (f"magnet:?xt=urn:btih:{V1[:-1]}", "magnet_bad_hash"),
        (f"magnet:?xt=urn:btih:{V1[:-1]}g", "magnet_bad_hash"),
        ("magnet:?xt=urn:btih:" + "1" * 32, "magnet_bad_hash"),
        ("magnet:?xt=urn:btih:" + "é" * 32, "magnet_bad_hash"),
        ("magnet:?xt=urn:btih:" + "0" * 40, "magnet_bad_hash"),
        (f"magnet:?xt=urn:btmh:{V2}", "magnet_bad_hash"),
        (f"magnet:?xt=urn:btmh:1114{V1}", "magnet_bad_hash"),
        (f"magnet:?{BTIH}&xt=urn:btih:{V1[::-1]}", "magnet_conflicting_hashes"),
        (f"magnet:?xt=urn:btmh:1220{V2}&xt=urn:btmh:1220{V2[::-1]}", "magnet_conflicting_hashes"),
        (f"magnet:?{BTIH}&so=a", "magnet_bad_selection"),
        (f"magnet:?{BTIH}&so=3-1", "magnet_bad_selection"),
        (f"magnet:?{BTIH}&so=-1", "magnet_bad_selection"),
        (f"magnet:?{BTIH}&so=0-99999999999", "magnet_bad_selection"),
        (f"magnet:?{BTIH}&so=" + "1,3," * 600, "magnet_bad_selection"),
        (f"magnet:?{BTIH}&dn=" + "x" * CHARS_MAX, "magnet_too_long"),
        (f"magnet:?{BTIH}" + "&" * 2_000, "magnet_too_long"),
        (
            f"magnet:?{BTIH}" + "".join(f"&tr=udp://{n}.example" for n in range(TRACKERS_MAX + 1)),
            "magnet_too_many_trackers",
        ),
        (
            f"magnet:?{BTIH}" + "".join(f"&ws=http://{n}.example" for n in range(WEB_SEEDS_MAX + 1)),
            "magnet_too_many_web_seeds",
        ),
        (f"magnet:?{BTIH}" + "".join(f"&x.pe=192.0.2.1:{n}" for n in range(1, PEERS_MAX + 2)), "magnet_too_many_peers"),
    ],
)
def test_each_refusal_has_its_code(text: str, code: str) -> None:
    assert refusal(text) == code


def test_a_range_that_covers_two_thousand_million_files_costs_nothing() -> None:
    assert parse_magnet(f"magnet:?{BTIH}&so=0-2147483647").selected == ((0, 2**31 - 1),)


def test_urls_with_control_characters_are_left_out() -> None:
    assert parse_magnet(f"magnet:?{BTIH}&tr=http://a.example/%0d%0aHost:b&tr=http://a.example/%00").trackers == ()


@pytest.mark.parametrize(
    "text",
    [V1, V1.upper(), f" {V1}\n", base64.b32encode(bytes.fromhex(V1)).decode(), f"urn:btih:{V1}", f"magnet:?{BTIH}"],
)
def test_a_hash_is_read_however_people_write_it(text: str) -> None:
    assert hashes_in(text) == InfoHashes.of_hex(V1, None)


@pytest.mark.parametrize("text", [V2, f"1220{V2}", f"URN:btmh:1220{V2}"])
def test_so_is_one_of_v2(text: str) -> None:
    assert hashes_in(text) == InfoHashes.of_hex(None, V2)


@pytest.mark.parametrize("text", ["", "0" * 40, "0" * 64, V1[:-1], V2 + "0", "urn:sha1:x", "é" * 40, "1221" + V2])
def test_what_is_no_hash_is_refused(text: str) -> None:
    with pytest.raises(BadMagnet):
        hashes_in(text)
