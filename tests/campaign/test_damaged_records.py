"""A damaged run record is read as just what it says, or is one sentence; nothing is converted or left out."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.campaign import records


@pytest.mark.parametrize("number", range(len(records.originals())))
def test_every_original_is_read(tmp_path, number):
    path = tmp_path / "whole.json"
    path.write_text(json.dumps(records.originals()[number]))
    assert records.outcome(path) == "record"


def test_300_damaged_records_are_read_as_what_they_say_or_are_one_sentence():
    outcomes = Counter(records.judge(0, number)[1] for number in range(300))
    assert set(outcomes) == {"record", "sentence"}, outcomes
    assert outcomes["record"] > 8


def test_a_damaged_record_is_the_same_each_time_and_another_for_each_number():
    assert records.damaged(3, 7) == records.damaged(3, 7)
    assert len({records.damaged(3, number) for number in range(50)}) == 50
