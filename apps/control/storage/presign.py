"""Signed URLs (AWS Signature Version 4, in the query): whoever has one may do exactly that, until it expires.

Ours, because a grant must bind what is put: the length and the CRC-32 are signed headers, so that the store refuses
any other bytes. Pure; `now` is passed.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote, urlsplit

from msgspec import Struct

PUT_S_MAX = 900
"""A grant is asked for when its bytes are ready; what takes longer than this is asked for again."""
GET_S_MAX = 7 * 86_400
"""The signature's own limit."""
_ALGORITHM = "AWS4-HMAC-SHA256"


class Place(Struct, frozen=True):
    """A bucket, as one side sees it: inside and outside may know the store by different names."""

    url: str
    bucket: str
    region: str
    access_key: str
    secret_key: str


class SignedPut(Struct, frozen=True):
    url: str
    headers: dict[str, str]
    """To be sent as they are; the store refuses the request without them, or with others."""


def put(
    place: Place, key: str, *, size_bytes: int, crc32: int, query: Mapping[str, str], now: datetime, expires_s: int
) -> SignedPut:
    """May put these bytes there, and no others."""
    headers = {"content-length": str(size_bytes), "x-amz-checksum-crc32": crc32_text(crc32)}
    url = sign(place, "PUT", key, query=query, headers=headers, now=now, expires_s=min(expires_s, PUT_S_MAX))
    return SignedPut(url, headers)


def get(place: Place, key: str, *, disposition: str, content_type: str, now: datetime, expires_s: int) -> str:
    """May read it (or a range of it), under the name and the kind that we say."""
    query = {"response-content-disposition": disposition, "response-content-type": content_type}
    return sign(place, "GET", key, query=query, headers={}, now=now, expires_s=min(expires_s, GET_S_MAX))


def sign(
    place: Place,
    method: str,
    key: str,
    *,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    now: datetime,
    expires_s: int,
) -> str:
    """`headers` are signed beside `host`; their names are lower case. An empty key is the bucket itself."""
    base = urlsplit(place.url)
    path = quote(f"{base.path.rstrip('/')}/{place.bucket}" + (f"/{key}" if key else ""), safe="/-_.~")
    signed = {"host": _host(base.scheme, base.netloc), **headers}
    names = ";".join(sorted(signed))
    at = _stamp(now)
    scope = f"{at[:8]}/{place.region}/s3/aws4_request"
    everything = {
        **query,
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{place.access_key}/{scope}",
        "X-Amz-Date": at,
        "X-Amz-Expires": str(expires_s),
        "X-Amz-SignedHeaders": names,
    }
    pairs = sorted((_quote(name), _quote(value)) for name, value in everything.items())
    canonical_query = "&".join(f"{name}={value}" for name, value in pairs)
    canonical_headers = "".join(f"{name}:{' '.join(signed[name].split())}\n" for name in sorted(signed))
    request = "\n".join((method, path, canonical_query, canonical_headers, names, "UNSIGNED-PAYLOAD"))
    to_sign = "\n".join((_ALGORITHM, at, scope, hashlib.sha256(request.encode()).hexdigest()))
    signature = hmac.digest(_signing_key(place.secret_key, scope), to_sign.encode(), "sha256").hex()
    return f"{base.scheme}://{base.netloc}{path}?{canonical_query}&X-Amz-Signature={signature}"


def crc32_text(crc32: int) -> str:
    """As S3 writes it: base64 of four big-endian bytes."""
    return b64encode(crc32.to_bytes(4, "big")).decode()


@lru_cache(maxsize=16)
def _signing_key(secret_key: str, scope: str) -> bytes:
    """The same for a whole day."""
    key = f"AWS4{secret_key}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    return key


@lru_cache(maxsize=16)
def _stamp(now: datetime) -> str:
    """The same for a whole batch."""
    return f"{now:%Y%m%dT%H%M%SZ}"


def _host(scheme: str, netloc: str) -> str:
    """As clients send it: without the scheme's own port."""
    host = netloc.rpartition("@")[2].lower()
    return host.removesuffix(":80" if scheme == "http" else ":443")


@lru_cache(maxsize=256)
def _quote(text: str) -> str:
    """Of a hundred names and values that a batch signs, all but a few are the same."""
    return quote(text, safe="-_.~")
