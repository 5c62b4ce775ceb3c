"""Ports: a row, kept, refused by name."""

import socket
from pathlib import Path

import pytest

from stack import ports
from stack.errors import CannotStart


def test_the_row_begins_with_what_others_are_told() -> None:
    row = ports.row(9000)
    assert [row[name] for name in ("api", "fleet", "nats", "s3", "postgres")] == [9000, 9001, 9002, 9003, 9004]


def test_no_port_has_two_purposes() -> None:
    row = ports.row(9000)
    numbers = [*row.by_name.values(), *(row.agent_metrics(n) for n in range(1, 6))]
    assert len(set(numbers)) == len(numbers)


def test_the_data_folder_keeps_its_ports(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = ports.kept(file, 9100, agents=1)
    assert ports.kept(file, None, agents=1) == first
    assert ports.kept(file, 9200, agents=1)["api"] == 9200
    assert ports.kept(file, None, agents=1)["api"] == 9200


def test_without_a_wish_the_first_row_is_the_default(tmp_path: Path) -> None:
    assert ports.kept(tmp_path / "ports.json", None, agents=1)["api"] == ports.DEFAULT


@pytest.mark.parametrize("first", [0, -1, 65_530])
def test_a_row_that_does_not_fit_is_refused(tmp_path: Path, first: int) -> None:
    with pytest.raises(CannotStart, match="choose one below"):
        ports.kept(tmp_path / "ports.json", first, agents=1)


def test_a_taken_port_is_refused_with_its_purpose() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"{port} \(NATS, on 127.0.0.1\) is taken"):
            ports.must_be_free({"NATS": ("127.0.0.1", port)}, within_s=0)
    ports.must_be_free({"NATS": ("127.0.0.1", port)}, within_s=0)


def test_an_address_of_another_machine_is_refused_as_such() -> None:
    with pytest.raises(CannotStart, match=r"--host 192\.0\.2\.7 is not an address of this machine"):
        ports.must_be_free({"the public listener": ("192.0.2.7", 9000)}, within_s=0)


def test_only_the_public_listener_and_the_store_follow_the_host() -> None:
    found = ports.addresses(ports.row(9000), "192.0.2.7", None, [1])
    assert {purpose for purpose, (host, _) in found.items() if host == "192.0.2.7"} == {
        "the public listener",
        "the S3 gateway",
    }
    assert "the demo's tracker" not in found
