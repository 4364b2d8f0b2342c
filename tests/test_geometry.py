"""The sides of tiles, walked through Fig. 1 level by level."""

from __future__ import annotations

import pytest

from reprolib.geometry import ANCESTORS, SAME, VALID, input_side, output_side


def test_a_572_tile_gives_388():
    assert output_side(572) == 388
    assert input_side(388) == 572


def test_the_two_size_functions_are_inverse():
    for k in range(8, 100):
        side = 16 * k + 60
        assert output_side(side) == 16 * k - 124
        assert input_side(output_side(side)) == side


def test_the_sides_that_fit_are_those_whose_pools_all_see_even_sides():
    def survives(side: int) -> bool:  # Fig. 1 walked level by level
        for _ in range(4):
            side -= 4
            if side < 2 or side % 2:
                return False
            side //= 2
        side -= 4
        for _ in range(4):
            if side < 1:
                return False
            side = 2 * side - 4
        return side >= 1

    for side in range(-5, 700):
        if survives(side):
            output_side(side)
        else:
            with pytest.raises(ValueError, match="does not fit"):
                output_side(side)


@pytest.mark.parametrize(("side", "near"), [(570, "556 and 572"), (573, "572 and 588"), (100, "188"), (-3, "188")])
def test_a_bad_input_side_is_refused_with_rule_and_nearest(side, near):
    with pytest.raises(ValueError, match=rf"input tile of side {side} px.*188, 204, 220 \.\.\. px; nearest: {near}$"):
        output_side(side)


@pytest.mark.parametrize(("side", "near"), [(390, "388 and 404"), (3, "4"), (0, "4")])
def test_a_bad_output_side_is_refused_with_rule_and_nearest(side, near):
    with pytest.raises(ValueError, match=rf"output tile of side {side} px.*4, 20, 36 \.\.\. px; nearest: {near}$"):
        input_side(side)


@pytest.mark.parametrize("geometry", [VALID, SAME, *ANCESTORS.values()])
def test_the_covering_tile_of_every_network_is_the_smallest_whose_output_covers_the_image(geometry):
    for side in range(1, 200):
        tile = geometry.covering(side)
        assert geometry.output(tile) >= side
        assert tile == geometry.smallest or geometry.output(tile - geometry.stride) < side
