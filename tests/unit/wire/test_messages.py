"""Messages: every one survives the way through JSON, and what comes from agents has no unknown fields."""

import inspect
import typing
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire import messages
from wire.ids import AgentId, new_id

MESSAGES = [
    kind
    for _, kind in inspect.getmembers(messages, inspect.isclass)
    if issubclass(kind, msgspec.Struct) and kind.__module__ == messages.__name__
]
FROM_AGENTS = [
    messages.Enrol,
    messages.Renew,
    messages.Claim,
    messages.About,
    messages.Sync,
    messages.Report,
    messages.Found,
    messages.WantGrants,
]


def resolve(kind: object) -> st.SearchStrategy[object]:
    """Values of a field's type; ids are NewTypes of UUID and times are aware."""
    if isinstance(kind, typing.NewType):
        return st.uuids()
    if typing.get_origin(kind) is Annotated:
        return bounded(*typing.get_args(kind))
    if typing.get_origin(kind) is Literal:
        return st.sampled_from(typing.get_args(kind))
    if typing.get_origin(kind) is list:
        return st.lists(resolve(typing.get_args(kind)[0]), max_size=3)
    if typing.get_origin(kind) is dict:
        return st.dictionaries(*map(resolve, typing.get_args(kind)), max_size=2)
    if typing.get_args(kind):
        return st.one_of([resolve(one) for one in typing.get_args(kind)])
    if inspect.isclass(kind) and issubclass(kind, msgspec.Struct):
        return of(kind)
    return SIMPLE[kind] if kind in SIMPLE else st.from_type(typing.cast(type[object], kind))


def bounded(kind: object, meta: msgspec.Meta) -> st.SearchStrategy[object]:
    """What wire lets through, both ends included."""
    if kind is int:
        assert isinstance(meta.ge, int)
        assert isinstance(meta.le, int)
        return st.integers(meta.ge, meta.le)
    if kind is float:
        assert meta.ge is not None
        assert meta.le is not None
        return st.floats(meta.ge, meta.le)
    if meta.pattern is not None:
        return st.from_regex(meta.pattern)
    return resolve(kind)  # texts and lists are drawn shorter than any limit


SIMPLE: dict[object, st.SearchStrategy[object]] = {
    str: st.text(max_size=12),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    datetime: st.datetimes(timezones=st.just(UTC)),
    type(None): st.none(),
}


def of(kind: type[msgspec.Struct]) -> st.SearchStrategy[msgspec.Struct]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{name: resolve(hints[name]) for name in kind.__struct_fields__})


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_every_message_survives_json(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    message = data.draw(of(kind))
    assert msgspec.json.decode(msgspec.json.encode(message), type=kind) == message


@pytest.mark.parametrize("kind", FROM_AGENTS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=3, deadline=None)
def test_unknown_fields_from_an_agent_are_refused(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    body = msgspec.to_builtins(data.draw(of(kind))) | {"surprise": 1}
    with pytest.raises(msgspec.ValidationError, match="surprise"):
        msgspec.convert(body, kind)


@pytest.mark.parametrize(
    ("field", "value"),
    [("file", -1), ("file", 2**31), ("part", 2**31), ("size_bytes", -1), ("size_bytes", 2**63), ("crc32", 2**32),
     ("crc32", -1), ("etag", "e" * 257)],
)  # fmt: skip
def test_what_does_not_fit_is_refused_where_it_is_read(field: str, value: object) -> None:
    good = messages.PartStored(0, 1, 1, 1, "e")
    bad = msgspec.structs.astuple(good)
    at = good.__struct_fields__.index(field)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert([*bad[:at], value, *bad[at + 1 :]], messages.PartStored)


def test_answers_to_a_claim_are_told_apart() -> None:
    refused = msgspec.json.encode(messages.Refused(code="gone"))
    assert msgspec.json.decode(refused, type=messages.ClaimAnswer) == messages.Refused(code="gone")


def test_ids_sort_by_age_and_are_version_seven() -> None:
    ids = [AgentId(new_id()) for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(made.version == 7 for made in ids)
    assert [made.int >> 80 for made in ids] == sorted(made.int >> 80 for made in ids)
