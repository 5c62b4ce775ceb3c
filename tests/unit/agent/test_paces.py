"""An agent's limit among its torrents: fair, beside each one's own, and gone when it is taken away."""

from agent.engine.api import Figures, Steering
from agent.engine.paces import Paces
from wire.ids import TransferId, new_id
from wire.messages import Pace
from wire.units import MIB


def some(count: int) -> list[TransferId]:
    return [TransferId(new_id()) for _ in range(count)]


def moves(paces: Paces, transfer: TransferId, down: int, up: int = 0) -> None:
    paces.hear(Figures(transfer, down_rate=down, up_rate=up, peers=1, seeds=1))


def test_without_a_limit_everybody_goes_by_his_own_steering() -> None:
    (transfer,) = some(1)
    paces, wanted = Paces(), Steering(sequential=True, down_max=100_000)
    assert paces.steer(transfer, wanted) == wanted
    assert list(paces.divide()) == []


def test_a_limit_is_shared_evenly_and_what_one_does_not_use_goes_to_the_other() -> None:
    paces, (slow, fast) = Paces(), some(2)
    for each in (slow, fast):
        paces.steer(each, Steering())
    assert paces.limit(Pace(down_max=8 * MIB))
    assert not paces.limit(Pace(down_max=8 * MIB))
    assert dict(paces.divide()) == dict.fromkeys((slow, fast), Steering(down_max=4 * MIB))
    moves(paces, slow, MIB)
    moves(paces, fast, 4 * MIB)
    told = dict(paces.divide())
    assert (told[slow].down_max, told[fast].down_max) == (3 * MIB // 2, 13 * MIB // 2)
    paces.leave(slow)
    assert dict(paces.divide()) == {fast: Steering(down_max=8 * MIB)}
    paces.limit(Pace())
    assert dict(paces.divide()) == {fast: Steering()}


def test_who_comes_has_an_even_part_at_once_and_never_more_than_he_wants() -> None:
    paces, (first, second) = Paces(), some(2)
    paces.limit(Pace(down_max=8 * MIB, up_max=2 * MIB))
    assert paces.steer(first, Steering()) == Steering(down_max=8 * MIB, up_max=2 * MIB)
    assert paces.steer(second, Steering(up_max=MIB // 2)) == Steering(down_max=4 * MIB, up_max=MIB // 2)
    assert dict(paces.divide())[first] == Steering(down_max=4 * MIB, up_max=MIB)


def test_the_least_goes_to_everybody_however_small_the_limit() -> None:
    paces, many = Paces(), some(200)
    for each in many:
        paces.steer(each, Steering())
    paces.limit(Pace(down_max=MIB))
    assert {told.down_max for _, told in paces.divide()} == {16 * 1024}
