"""One limit among several: nobody is starved, nothing is wasted, and it comes to rest."""

from hypothesis import given
from hypothesis import strategies as st

from wire.shares import SPEED_MIN, User, divide, tightest
from wire.units import MIB

users = st.lists(
    st.builds(User, rate=st.integers(0, 64 * MIB), share=st.integers(0, 64 * MIB)), min_size=1, max_size=40
)


def settled(limit: int, appetites: list[int], rounds: int = 12) -> list[int]:
    """Everybody moves what he can get of his appetite, round after round."""
    shares = divide(limit, [User(0, 0) for _ in appetites])
    for _ in range(rounds):
        moving = [min(pair) for pair in zip(appetites, shares, strict=True)]
        shares = divide(limit, [User(*pair) for pair in zip(moving, shares, strict=True)])
    return [min(pair) for pair in zip(appetites, shares, strict=True)]


@given(st.integers(1, 64 * MIB), users)
def test_together_they_never_get_more_than_the_limit_but_for_the_least_of_each(limit: int, some: list[User]) -> None:
    assert sum(divide(limit, some)) <= max(limit, len(some) * SPEED_MIN) + len(some)
    fresh = divide(limit, [User(user.rate, 0) for user in some])
    assert min(fresh) >= SPEED_MIN
    assert sum(fresh) > min(limit, len(some) * SPEED_MIN) - len(some)


@given(st.integers(1, 64 * MIB), st.integers(1, 40))
def test_whoever_wants_all_he_can_get_gets_as_much_as_the_others(limit: int, count: int) -> None:
    shares = divide(limit, [User(0, 0)] * count)
    assert max(shares) - min(shares) <= 1


@given(users)
def test_without_a_limit_nobody_has_one(some: list[User]) -> None:
    assert divide(0, [User(user.rate, 0) for user in some]) == [0] * len(some)


def test_what_one_does_not_need_is_the_others() -> None:
    slow, *fast = settled(9 * MIB, [MIB // 2, 100 * MIB, 100 * MIB])
    assert slow == MIB // 2
    assert fast[0] == fast[1] > 3.5 * MIB


def test_who_wakes_up_has_his_part_again() -> None:
    shares = divide(8 * MIB, [User(8 * MIB - SPEED_MIN, 8 * MIB - SPEED_MIN), User(SPEED_MIN, SPEED_MIN)])
    assert shares == [4 * MIB, 4 * MIB]


def test_where_nobody_is_hungry_there_is_room_for_whoever_will_be() -> None:
    assert sum(divide(8 * MIB, [User(0, 4 * MIB), User(0, MIB)])) == 8 * MIB


def test_shares_rest_while_little_changes_and_follow_another_limit_to_the_byte() -> None:
    resting = [User(MIB, MIB), User(MIB, MIB + 1000)]
    assert divide(2 * MIB + 1000, resting) == [MIB, MIB + 1000]
    assert sum(divide(2 * MIB + 3000, resting)) >= 2 * MIB + 2998


def test_of_several_limits_the_tightest_binds_and_none_is_no_limit() -> None:
    assert tightest(0, 5, 3) == 3
    assert tightest(0, 0) == 0
