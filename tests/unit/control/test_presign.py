"""Signed URLs: the same as minio's where minio can make them, and bound to their bytes where it cannot."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from hypothesis import assume, given
from hypothesis import strategies as st
from minio import Minio

from control.storage import presign
from control.storage.presign import Place

PLACE = Place("http://127.0.0.1:8003", "seedlift", "us-east-1", "access", "secret/with+signs")
NOW = datetime(2026, 11, 21, 12, 30, 15, tzinfo=UTC)
MINIO = Minio("127.0.0.1:8003", access_key="access", secret_key="secret/with+signs", region="us-east-1", secure=False)


def theirs(key: str, query: dict[str, str], expires_s: int) -> str:
    lasts = timedelta(seconds=expires_s)
    return MINIO.get_presigned_url("GET", "seedlift", key, lasts, request_date=NOW, extra_query_params={**query})


def signature(url: str) -> str:
    return parse_qs(urlsplit(url).query)["X-Amz-Signature"][0]


@given(
    key=st.text(st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=("Cs", "Cc")), min_size=1),
    name=st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"))),
)
def test_a_link_is_signed_as_minio_signs_it(key: str, name: str) -> None:
    assume(key.strip() and key not in (".", ".."))  # minio signs no such names, and we make none
    disposition = f'attachment; filename="{name}"'
    query = {"response-content-disposition": disposition, "response-content-type": "text/plain; charset=utf-8"}
    ours = presign.get(
        PLACE, key, disposition=disposition, content_type="text/plain; charset=utf-8", now=NOW, expires_s=600
    )
    assert signature(ours) == signature(theirs(key, query, 600))


def test_a_grant_signs_length_and_checksum_and_nothing_else() -> None:
    put = presign.put(PLACE, "k", size_bytes=5, crc32=0x3610A686, query={}, now=NOW, expires_s=60)
    assert put.headers == {"content-length": "5", "x-amz-checksum-crc32": "NhCmhg=="}
    assert parse_qs(urlsplit(put.url).query)["X-Amz-SignedHeaders"] == ["content-length;host;x-amz-checksum-crc32"]


def test_other_bytes_have_another_signature() -> None:
    def signed(size_bytes: int, crc32: int) -> str:
        return signature(
            presign.put(PLACE, "k", size_bytes=size_bytes, crc32=crc32, query={}, now=NOW, expires_s=60).url
        )

    assert len({signed(5, 1), signed(6, 1), signed(5, 2)}) == 3


def test_a_grant_never_lasts_longer_than_a_quarter_of_an_hour() -> None:
    put = presign.put(PLACE, "k", size_bytes=5, crc32=1, query={}, now=NOW, expires_s=86_400)
    assert parse_qs(urlsplit(put.url).query)["X-Amz-Expires"] == ["900"]


def test_the_host_is_signed_as_clients_send_it() -> None:
    with_port = presign.sign(
        Place("http://store:80", "b", "r", "a", "s"), "GET", "k", query={}, headers={}, now=NOW, expires_s=60
    )
    without = presign.sign(
        Place("http://store", "b", "r", "a", "s"), "GET", "k", query={}, headers={}, now=NOW, expires_s=60
    )
    assert signature(with_port) == signature(without)
