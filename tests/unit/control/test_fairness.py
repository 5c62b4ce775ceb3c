"""Who is next when many wait."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from control.loops.fairness import Waiting, fair


def org(number: int) -> UUID:
    return UUID(int=number)


def line(*orgs: int) -> list[Waiting]:
    return [Waiting(UUID(int=1000 + place), org(number)) for place, number in enumerate(orgs)]


def limits(most: int) -> dict[UUID, int]:
    return {org(number): most for number in range(10)}


def chosen(waiting: list[Waiting], room: int, active: dict[UUID, int] | None = None, most: int = 10) -> list[int]:
    return [each.scope.int for each in fair(waiting, active or {}, limits(most), room)]


def test_organisations_take_turns_however_many_one_of_them_asks_for() -> None:
    assert chosen(line(1, 1, 1, 1, 2, 3), room=4) == [1, 2, 3, 1]


def test_the_one_with_least_at_work_is_first() -> None:
    assert chosen(line(1, 1, 2, 2), room=3, active={org(1): 2}) == [2, 2, 1]


def test_nobody_gets_more_than_the_limit() -> None:
    assert chosen(line(1, 1, 1, 2), room=4, active={org(1): 1}, most=2) == [2, 1]


def test_one_organisation_gets_its_oldest_first() -> None:
    waiting = line(1, 1, 1)
    assert fair(waiting, {}, limits(10), 2) == waiting[:2]


@given(st.lists(st.integers(1, 5), max_size=40), st.integers(0, 30), st.integers(0, 6))
def test_room_and_limits_hold_and_nothing_is_left_idle(orgs: list[int], room: int, most: int) -> None:
    got = chosen(line(*orgs), room, most=most)
    assert len(got) <= room
    assert all(got.count(number) <= most for number in set(got))
    could = sum(min(most, orgs.count(number)) for number in set(orgs))
    assert len(got) == min(room, could)
