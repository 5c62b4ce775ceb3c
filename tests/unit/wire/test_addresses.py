"""Addresses: nothing that is not public is ever contacted, however it is spelled, unless a pool allows it."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.addresses import (
    REFUSED_RANGES,
    BadRange,
    allowed,
    filter_peers,
    filter_trackers,
    filter_web_seeds,
    is_public,
    parse_allow,
    refused_ranges,
)

REFUSED = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.8.9.10",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "100::1",
    "2001:db8::1",
    "2001::1",
    "3fff::1",
    "64:ff9b:1::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "64:ff9b::10.0.0.1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]
PUBLIC = ["1.1.1.1", "100.63.255.255", "100.128.0.0", "172.32.0.1", "192.0.1.1", "223.255.255.255", "2606:4700::1111"]
PUBLIC += ["2a00::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]


def in_ranges(address: IPv4Address | IPv6Address, ranges: list[tuple[str, str]]) -> bool:
    pairs = [(ip_address(first), ip_address(last)) for first, last in ranges]
    return any(int(first) <= int(address) <= int(last) for first, last in pairs if first.version == address.version)


@pytest.mark.parametrize("ip", REFUSED)
def test_refused_addresses(ip: str) -> None:
    assert not is_public(ip)
    assert not allowed(ip)
    assert not allowed(f"http://[{ip}]:80/a" if ":" in ip else f"http://{ip}:80/a")
    assert in_ranges(ip_address(ip), REFUSED_RANGES)


@pytest.mark.parametrize("ip", PUBLIC)
def test_public_addresses(ip: str) -> None:
    assert is_public(ip)
    assert allowed(ip)
    assert allowed(f"udp://[{ip}]:80" if ":" in ip else f"udp://{ip}:80")
    assert not in_ranges(ip_address(ip), REFUSED_RANGES)


@given(st.ip_addresses())
@settings(max_examples=300, deadline=None)
def test_the_ranges_for_the_engine_say_the_same(address: IPv4Address | IPv6Address) -> None:
    assert in_ranges(address, REFUSED_RANGES) is not is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.0.0.01",
        "017700000001",
        "1.1",
        "16843009",
        "256.1.1.1",
        "1.2.3.4.5",
        "１２７.0.0.1",
        "127。0。0。1",
        "%31%32%37.0.0.1",
        "127.0.0.1.",
        "[::1]",
        "[::ffff:7f00:1]",
        "[fe80::1%25eth0]",
        "user@1.1.1.1",
        "1.1.1.1\\@127.0.0.1",
        "1.1.1.1?@127.0.0.1",
        "1.1.1.1#@127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "printer.local",
        "metadata.google.internal",
        "foo。local",
        "nats",
        "a..b",
        ".example.org",
        "exa mple.org",
        "example.org:0",
        "example.org:65536",
        "example.org:80:80",
        "",
    ],
)
def test_every_odd_spelling_is_refused(host: str) -> None:
    assert not allowed(f"http://{host}/announce")
    assert not allowed(host)
    assert filter_trackers([[f"udp://{host}/announce"]]) == []


@pytest.mark.parametrize(
    "host", ["tracker.example.org", "tracker.example.org:6969", "xn--bcher-kva.example", "bücher.example", "1e100.net"]
)
def test_ordinary_names_are_left_to_dns(host: str) -> None:
    assert allowed(f"http://{host}/announce?passkey=a@b")
    assert allowed(host)


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_text_has_an_answer(text: str) -> None:
    assert allowed(text) in (True, False)
    assert allowed(f"http://{text}") in (True, False)
    assert isinstance(filter_peers([text, f"{text}:1"]), list)


def test_a_pool_may_allow_what_is_refused() -> None:
    allow = parse_allow(["127.0.0.2/32", " fd00::/8 "])
    assert allowed("http://127.0.0.2:80/", allow)
    assert allowed("[::ffff:127.0.0.2]:80", allow)
    assert allowed("fd00::1", allow)
    assert not allowed("http://127.0.0.1:80/", allow)
    assert not allowed("http://localhost/", allow)
    ranges = refused_ranges(allow)
    assert not in_ranges(ip_address("127.0.0.2"), ranges)
    assert not in_ranges(ip_address("::ffff:127.0.0.2"), ranges)
    assert in_ranges(ip_address("127.0.0.1"), ranges)
    assert in_ranges(ip_address("127.0.0.3"), ranges)
    assert in_ranges(ip_address("fc00::1"), ranges)
    assert not in_ranges(ip_address("fd12::1"), ranges)


@given(
    st.ip_addresses(), st.integers(0, 3).map(["127.0.0.0/8", "10.0.0.0/7", "fe80::/10", "2001:db8::/31"].__getitem__)
)
@settings(max_examples=150, deadline=None)
def test_ranges_with_holes_say_what_allowed_says(address: IPv4Address | IPv6Address, hole: str) -> None:
    allow = parse_allow([hole])
    assert in_ranges(address, refused_ranges(allow)) is not allowed(str(address), allow)


@pytest.mark.parametrize("text", ["", "127.0.0.2/8", "example.org", "1.2.3.4/33"])
def test_a_range_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(BadRange, match="is not an address range"):
        parse_allow([text])


def test_only_schemes_that_are_spoken_pass() -> None:
    urls = [
        f"{scheme}://t.example:80/a" for scheme in ("udp", "http", "https", "wss", "ftp", "file", "ws", "javascript")
    ]
    assert filter_trackers([urls, ["http://127.0.0.1/a"]]) == [urls[:4]]
    assert filter_web_seeds(urls) == urls[1:3]
    assert filter_web_seeds(["HTTP://t.example/a", "http:/t.example", "//t.example", "http://t.example/\r\nx"]) == [
        "HTTP://t.example/a"
    ]


def test_peers_are_literal_addresses() -> None:
    peers = [
        "1.1.1.1:6881",
        "[2606:4700::1]:1",
        "127.0.0.1:1",
        "[::1]:1",
        "peer.example:1",
        "1.1.1.1",
        "1.1.1.1:0",
        "1.1.1.1:x",
    ]
    assert filter_peers(peers) == peers[:2]
    assert filter_peers(peers, parse_allow(["127.0.0.1"])) == peers[:3]
