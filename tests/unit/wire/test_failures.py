"""The table of failures: every code is told in words, and nothing else decides what is tried again."""

import re

from control.jobs.reasons import REASONS, sentence
from wire.failures import FAILURES, failure, reason


def test_every_failure_has_a_sentence_and_says_what_can_be_done() -> None:
    for code, known in FAILURES.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]{0,63}", code)
        assert known.sentence.endswith("."), code
        assert len(known.advice) > 10, code


def test_the_table_says_what_is_tried_again() -> None:
    assert failure("stalled", "x").retryable
    assert not failure("metadata_mismatch", "x").retryable


def test_a_code_of_a_newer_agent_is_still_told_in_words() -> None:
    assert reason("eaten_by_dog").retryable
    assert reason("eaten_by_dog").sentence


def test_every_move_of_a_timeline_has_a_sentence() -> None:
    assert not FAILURES.keys() & REASONS.keys()
    assert sentence("stalled") == FAILURES["stalled"].sentence
    assert sentence("claimed") == "An agent took it."
    assert sentence("something_new") == "Something new."
