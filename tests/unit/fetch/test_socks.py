"""SOCKS5, byte by byte: what is said to a proxy, and that nothing but a plain yes is taken for one."""

import pytest

from fetch.socks import BadProxy, Proxy, ProxyRefuses, connect, parse_proxy


class Line:
    """A proxy that has said all it says already."""

    def __init__(self, answers: bytes) -> None:
        self.heard = b""
        self._answers = answers

    async def send(self, data: bytes) -> None:
        self.heard += data

    async def read(self, count: int) -> bytes:
        data, self._answers = self._answers[:count], self._answers[count:]
        if len(data) < count:
            raise ProxyRefuses("it hung up")
        return data


YES = b"\x05\x00\x00\x01" + bytes(6)


async def test_the_address_is_what_the_proxy_hears() -> None:
    line = Line(b"\x05\x00" + YES)
    await connect(Proxy("p", 1), "93.184.216.34", 443, line.send, line.read)
    assert line.heard == b"\x05\x01\x00" + b"\x05\x01\x00\x01" + bytes([93, 184, 216, 34]) + b"\x01\xbb"


async def test_a_password_is_said_where_there_is_one() -> None:
    line = Line(b"\x05\x02\x01\x00\x05\x00\x00\x03\x02abxx")
    await connect(Proxy("p", 1, "me", "word"), "2606:4700::1", 80, line.send, line.read)
    assert line.heard.startswith(b"\x05\x01\x02\x01\x02me\x04word\x05\x01\x00\x04\x26\x06")


@pytest.mark.parametrize("answers", [b"", b"\x05\xff", b"\x04\x00", b"\x05\x00\x05\x05\x00\x01", b"\x05\x00" + YES[:6]])
async def test_anything_but_yes_is_no(answers: bytes) -> None:
    line = Line(answers)
    with pytest.raises(ProxyRefuses):
        await connect(Proxy("p", 1), "93.184.216.34", 443, line.send, line.read)


def test_a_proxy_is_written_as_a_url() -> None:
    assert parse_proxy("socks5://proxy.example.org") == Proxy("proxy.example.org", 1080)
    assert parse_proxy("socks5://a%40b:c@[::1]:9050/") == Proxy("::1", 9050, "a@b", "c")


@pytest.mark.parametrize(
    "text",
    ["", "http://p:1", "socks5://", "socks5://p:x", "socks5://p/path", "socks5://user@p", f"socks5://{'u' * 256}:p@h"],
)
def test_what_is_no_proxy_is_refused(text: str) -> None:
    with pytest.raises(BadProxy):
        parse_proxy(text)
