"""A damaged image file gives an image or one sentence, whatever the libraries make of it."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.campaign import images


@pytest.mark.parametrize("name", list(images.originals()))
def test_every_original_is_read_whole(tmp_path, name):
    assert images.outcome(images.write(tmp_path, name, images.originals()[name])) == "image"


def test_200_damaged_files_give_an_image_or_one_sentence_that_names_the_file():
    outcomes = Counter(images.judge(0, number)[1] for number in range(200))
    assert set(outcomes) == {"image", "sentence"}, outcomes
    assert outcomes["sentence"] > 50 and outcomes["image"] > 20


def test_a_damaged_file_is_the_same_each_time_and_another_for_each_number():
    assert images.damaged(3, 7) == images.damaged(3, 7)
    assert len({str(images.damaged(3, number)) for number in range(50)}) == 50
