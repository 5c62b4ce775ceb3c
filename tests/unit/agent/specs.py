"""Specs for the agent's tests."""

from msgspec.structs import replace

from wire.ids import TransferId, new_id
from wire.messages import Spec

PLAIN = Spec(
    transfer=TransferId(new_id()),
    epoch=1,
    correlation_id="c",
    v1="aa" * 20,
    v2=None,
    name="n",
    trackers=[],
    web_seeds=[],
    peers=[],
    has_info=False,
    go=False,
    allow=[],
    parts=[],
    files=[],
)


def spec(*, has_info: bool = False, go: bool = False, epoch: int = 1, v1: str = "aa" * 20) -> Spec:
    return replace(PLAIN, transfer=TransferId(new_id()), has_info=has_info, go=go, epoch=epoch, v1=v1)
