"""Passwords that are guessed first: what rules make of words, names, dates, sequences and keyboard walks. Pure.

Whatever is cheap to guess is taken out of a password; enough must be left. No list of leaked passwords is needed: those
that leak most are made of exactly these pieces.
"""

import re
from collections.abc import Iterable, Iterator

LEFT_MIN = 6
"""Characters that are no cheap piece, each cheap piece counting as one: some ten thousand tries a piece."""
PIECE_MIN = 4
"""Shorter runs and names happen by chance."""

WORDS = frozenset(
    re.findall(
        r"\w+",
        """access admin administrator amazon america andrew android angel anthony apple april arsenal asdf ashley august
autumn azerty baby babygirl banana barcelona baseball basketball batman berlin black blessed buster butterfly
canada change changeme charlie cheese chelsea cherry chocolate christ computer contrasena cookie corvette
cowboys daniel december default demo diamond dollar download dragon eagle facebook falcon family february
ferrari flower football forever freedom friday friends fussball gandalf geheim george ghost ginger golden golfer
google green guest happy harley haslo heaven hello hobbit hockey honda hunter iloveyou india internet iphone
ironman january jennifer jessica jesus jordan joshua july june juventus killer king lakers letmein linux lion
liverpool login london love lovely loveyou maggie magic magnet march master matrix matthew mercedes merlin
michael michelle microsoft monday money monkey moonlight motdepasse mustang naruto network nicole ninja nothing
november october orange panther paris parola pass passw passwd password passwort pepper phoenix platinum pokemon
porsche prince princesa princess purple queen qwerty qwertz rainbow ranger robert root sample samsung samurai
saturday secret seedlift senha september server shadow silver smile soccer soldier spiderman spring startrek
starwars steelers sugar summer sunday sunshine superman sweet system temp tennis test testing thomas thursday
tiger torrent toyota trustme trustno tuesday user warrior wednesday welcome whatever white william willkommen
windows winter wizard word yamaha yankees yellow youtube zxcv""",
    )
)
"""Written from what everybody knows, not taken from a list of leaks."""
ROWS = (
    "1234567890", "0123456789", "qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm",
    "abcdefghijklmnopqrstuvwxyz",
)  # fmt: skip
COLUMNS = ("1qaz2wsx3edc4rfv5tgb6yhn7ujm", "qazwsxedcrfvtgbyhnujm", "1q2w3e4r5t6z7u8i9o0p", "1q2w3e4r5t6y7u8i9o0p")
LEET = str.maketrans("@4301!|5$7+", "aaeoiiisstt")
_YEAR = re.compile(r"(?:19|20)\d\d")
_REPEATED = re.compile(r"(.{1,4}?)\1{2,}")


def is_weak(password: str, about: Iterable[str] = ()) -> bool:
    """`about` is what others know of the person: address, name, organisation."""
    told = list(about)
    folded = password.casefold()
    return any(_left(text, told) < LEFT_MIN for text in {folded, folded.translate(LEET)})


def _left(text: str, about: Iterable[str]) -> int:
    """How many characters and pieces there are, once each cheap piece counts as one character."""
    for piece in sorted(_pieces(text, about), key=len, reverse=True):
        text = text.replace(piece, "\0")
    text = _REPEATED.sub(lambda found: found[1], text)
    return len(text)


def _pieces(text: str, about: Iterable[str]) -> Iterator[str]:
    yield from (word for word in WORDS if word in text)
    yield from (name for each in about for name in _names(each.casefold()) if len(name) >= PIECE_MIN and name in text)
    yield from _YEAR.findall(text)
    for line in (*ROWS, *COLUMNS):
        yield from _runs(text, line)
        yield from _runs(text, line[::-1])


def _runs(text: str, line: str) -> Iterator[str]:
    """The longest stretches of the line, from every place in the text."""
    for start in range(len(text) - PIECE_MIN + 1):
        length = 0
        while start + length < len(text) and text[start : start + length + 1] in line:
            length += 1
        if length >= PIECE_MIN:
            yield text[start : start + length]


def _names(told: str) -> Iterator[str]:
    """Of `ada.lovelace@example.org`: all of it, each word, and `adalovelace`."""
    yield told
    yield from re.findall(r"[^\W_]+", told)
    yield re.sub(r"[\W_]+", "", told.partition("@")[0])
