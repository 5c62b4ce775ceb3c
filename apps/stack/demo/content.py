"""The demo's content: the same bytes from the same seed, of every kind that a torrent may bring."""

import array
import math
import random
import shutil
import struct
import wave
import zlib
from collections.abc import Iterator
from pathlib import Path

from wire.units import KIB, MIB

NAME = "Seedlift demo"
SEED = 20_261_121
TOTAL_BYTES = 256 * MIB
SMALL_FILES = 3_000
SMALL_PER_FOLDER = 250
CHUNK_BYTES = MIB

SAMPLE_RATE = 44_100
NOTE_S = 0.25
TUNE = (0, 4, 7, 12, 7, 4, 0, 4, 5, 9, 12, 17, 12, 9, 7, 11, 14, 19, 14, 11, 7, 4, 2, 5, 9, 14, 9, 5, 0, -5, 0, -12)
"""Semitones above middle C."""
REPEATS = 12
MIDDLE_C_HZ = 261.63

DEEP = ("deep", "äöü", "ελληνικά", "кириллица", "日本語", "עברית", "emoji 🌱", "a b", "…", "ñandú", "e", "f", "g")


def make(parent: Path, *, seed: int = SEED, total_bytes: int = TOTAL_BYTES, small_files: int = SMALL_FILES) -> Path:
    """Writes the folder `NAME` below `parent`, beside its place and then renamed; what is there is whole and kept."""
    done = parent / NAME
    if done.exists():
        return done
    new = parent / f"{NAME}.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    dice = random.Random(seed)  # reproducible, not secret
    _music(new / "music")
    _pictures(new / "pictures", dice)
    _texts(new / "texts")
    _deep(new)
    (new / "empty").touch()
    _small(new / "small", dice, small_files)
    rest = total_bytes - sum(path.stat().st_size for path in new.rglob("*") if path.is_file())
    _random(new / "big" / "first.bin", dice, rest // 2)
    _random(new / "big" / "second.bin", dice, rest - rest // 2)
    new.rename(done)
    return done


def _music(folder: Path) -> None:
    folder.mkdir()
    notes = {semitone: _note(semitone) for semitone in set(TUNE)}
    with wave.open(str(folder / "tune.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(b"".join(notes[semitone] for semitone in TUNE) * REPEATS)


def _note(semitone: int) -> bytes:
    """A plucked tone: three harmonics that fade. Rounded coarsely, so that the last bit of a sine never shows."""
    step = 2 * math.pi * MIDDLE_C_HZ * 2 ** (semitone / 12) / SAMPLE_RATE
    count = int(SAMPLE_RATE * NOTE_S)
    samples = array.array("h")
    for n in range(count):
        fade = (1 - n / count) ** 2
        value = math.sin(step * n) + 0.5 * math.sin(2 * step * n) + 0.25 * math.sin(3 * step * n)
        samples.append(round(value * fade * 800) * 16)
    return samples.tobytes()


def _pictures(folder: Path, dice: random.Random) -> None:
    folder.mkdir()
    for number, side in enumerate((1024, 1024, 512, 512, 256), start=1):
        red, green, blue = (dice.randrange(1, 8) for _ in range(3))
        rows = (
            b"\0" + bytes(c for x in range(side) for c in ((x * red) & 255, (y * green) & 255, ((x ^ y) * blue) & 255))
            for y in range(side)
        )
        (folder / f"picture-{number}.png").write_bytes(_png(side, b"".join(rows)))


def _png(side: int, rows: bytes) -> bytes:
    """Stored, not deflated: compressors differ from machine to machine."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _texts(folder: Path) -> None:
    folder.mkdir()
    lines = [f"Line {n}: a piece arrived, was verified, and went on to the store." for n in range(1, 2_001)]
    (folder / "story.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for language, word in (("en", "Part"), ("de", "Teil"), ("ja", "部分")):
        cues = (f"{n}\n{_srt(n * 2)} --> {_srt(n * 2 + 1)}\n{word} {n}\n" for n in range(1, 49))
        (folder / f"story.{language}.srt").write_text("\n".join(cues), encoding="utf-8")


def _srt(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},000"


def _deep(root: Path) -> None:
    folder = root
    for depth, name in enumerate(DEEP):
        folder = folder / name
        folder.mkdir()
        (folder / f"{name} {depth}.txt").write_text(f"{depth} folders down: {name}\n", encoding="utf-8")


def _small(folder: Path, dice: random.Random, count: int) -> None:
    for number in range(count):
        place = folder / f"{number // SMALL_PER_FOLDER:02}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:04}.dat").write_bytes(dice.randbytes(dice.randrange(1, 4 * KIB)))


def _random(path: Path, dice: random.Random, size: int) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        for chunk in _chunks(size):
            file.write(dice.randbytes(chunk))


def _chunks(size: int) -> Iterator[int]:
    while size > 0:
        yield min(size, CHUNK_BYTES)
        size -= CHUNK_BYTES
