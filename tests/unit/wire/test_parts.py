"""Parts: they tile every file exactly, and never more of them than S3 allows."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from wire.parts import PART_MIN_BYTES, PARTS_MAX, is_small, part_count, part_range, part_size
from wire.units import GIB, TIB

sizes = st.integers(0, 5 * TIB) | st.integers(0, 3 * PART_MIN_BYTES) | st.integers(70 * GIB, 90 * GIB)


@given(sizes)
@example(0)
@example(PART_MIN_BYTES)
@example(PART_MIN_BYTES + 1)
@example(PARTS_MAX * PART_MIN_BYTES)
@example(PARTS_MAX * PART_MIN_BYTES + 1)
@example(5 * TIB)
@settings(max_examples=150, deadline=None)
def test_parts_tile_a_file(size: int) -> None:
    count = part_count(size)
    assert 1 <= count <= PARTS_MAX
    assert is_small(size) is (size <= PART_MIN_BYTES)
    ends = [0]
    for part in {1, 2, count // 2, count - 1, count} & set(range(1, count + 1)):
        first, end = part_range(size, part)
        assert first == (part - 1) * part_size(size)
        assert end - first == part_size(size) or part == count
        assert first < end or size == 0
        ends.append(end)
    assert max(ends) == size


@given(st.integers(1, 40 * PART_MIN_BYTES))
@settings(max_examples=60, deadline=None)
def test_each_part_begins_where_the_last_one_ended(size: int) -> None:
    at = 0
    for part in range(1, part_count(size) + 1):
        first, end = part_range(size, part)
        assert first == at < end
        at = end
    assert at == size
