"""How a file becomes parts: the one rule that the control plane, agents and tests share."""

from wire.units import MIB

PART_MIN_BYTES = 8 * MIB
"""Between 8 and 16 MiB was fastest against the store; S3 asks for at least 5."""
PARTS_MAX = 10_000
"""S3's limit for one upload."""


def part_size(file_bytes: int) -> int:
    return max(PART_MIN_BYTES, -(-file_bytes // PARTS_MAX))


def is_small(file_bytes: int) -> bool:
    """A small file is one PUT of its own, with no multipart upload."""
    return file_bytes <= PART_MIN_BYTES


def part_count(file_bytes: int) -> int:
    return max(1, -(-file_bytes // part_size(file_bytes)))


def part_range(file_bytes: int, part: int) -> tuple[int, int]:
    """First byte and one past the last of a 1-based part, within the file."""
    size = part_size(file_bytes)
    return (part - 1) * size, min(part * size, file_bytes)
