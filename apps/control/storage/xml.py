"""The little XML that S3 speaks: what we send to complete an upload, and what we read of its answers."""

from collections.abc import Iterable
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from control.storage.errors import StoreRefused


def complete_body(parts: Iterable[tuple[int, str]]) -> bytes:
    """Parts by number, with their ETags; S3 wants them in order."""
    rows = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>" for number, etag in sorted(parts)
    )
    return f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()


def root(body: bytes) -> ElementTree.Element:
    """Of our own store's answer; entities are refused by never being defined: a DTD is not S3."""
    if b"<!" in body:
        raise StoreRefused("BadAnswer", "the store sent a DTD")
    try:
        return ElementTree.fromstring(body)
    except ElementTree.ParseError as bad:
        raise StoreRefused("BadAnswer", f"the store sent no XML: {bad}") from None


def text(element: ElementTree.Element, name: str) -> str:
    """Of the child of that name in whatever namespace, or nothing."""
    found = element.find(f"{{*}}{name}")
    return (found.text or "") if found is not None else ""


def error_of(body: bytes) -> tuple[str, str] | None:
    """Code and sentence, if the body is an error, whatever its status was."""
    if b"<Error" not in body[:512]:
        return None
    element = root(body)
    if element.tag.rpartition("}")[2] != "Error":
        return None
    return text(element, "Code"), text(element, "Message")
