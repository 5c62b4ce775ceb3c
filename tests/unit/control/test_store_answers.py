"""What the store says, read as it is meant: an error is an error whatever its status."""

import httpx
import pytest

from control.storage import store, xml
from control.storage.errors import InvalidPart, NoSuchUpload, StoreDown, StoreError, StoreRefused


def said(code: str, status: int) -> httpx.Response:
    return httpx.Response(status, content=f'<?xml version="1.0"?>\n<Error><Code>{code}</Code></Error>'.encode())


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("NoSuchUpload", 404, NoSuchUpload),
        ("NoSuchUpload", 200, NoSuchUpload),
        ("InvalidPart", 400, InvalidPart),
        ("InternalError", 200, StoreDown),
        ("SlowDown", 503, StoreDown),
        ("AccessDenied", 403, StoreRefused),
    ],
)
def test_errors_have_their_types(code: str, status: int, error: type[StoreError]) -> None:
    with pytest.raises(error):
        store._check(said(code, status))


def test_an_empty_failure_is_a_failure() -> None:
    with pytest.raises(StoreDown):
        store._check(httpx.Response(500))
    with pytest.raises(StoreRefused):
        store._check(httpx.Response(403))
    store._check(httpx.Response(204))


def test_completing_names_parts_in_order() -> None:
    body = xml.complete_body([(2, "b"), (10, "c"), (1, 'a"<')])
    numbers = [xml.text(part, "PartNumber") for part in xml.root(body)]
    assert numbers == ["1", "2", "10"]
    assert xml.text(xml.root(body)[0], "ETag") == 'a"<'


def test_what_is_no_xml_or_too_much_of_it_is_refused() -> None:
    for body in (b"", b"<a>", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'):
        with pytest.raises(StoreRefused):
            xml.root(body)


def test_an_upload_is_told_apart_without_giving_its_id_away() -> None:
    assert store.upload_mark("one") != store.upload_mark("two")
    assert "one" not in store.upload_mark("one")
