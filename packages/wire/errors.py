"""What a stranger's bytes are refused with: a stable code for programs, a sentence for people.

BadInput
├── BadBencode   codes of its own (too_deep, …), translated by who reads with it
├── BadMagnet    magnet_…
├── BadTorrent   torrent_…
├── BadUrl       url_…
└── BadRemote    what an agent says of a web server's file
"""


class BadInput(Exception):
    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


class BadBencode(BadInput):
    """too_large, too_deep, too_many, duplicate_key or malformed."""


class BadMagnet(BadInput):
    pass


class BadTorrent(BadInput):
    pass


class BadUrl(BadInput):
    pass


class BadRemote(BadInput):
    pass
