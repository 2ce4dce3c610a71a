from __future__ import annotations

from benchmark.cohorts.adjacent_slices import neighbours


def test_slices_of_one_volume_and_axis_are_neighbours() -> None:
    items = ("a_z010", "b_z011", "a_z011", "a_x012", "a_z013", "plain", "a_z012")
    before, after = neighbours(items)
    assert before.tolist() == [-1, -1, 0, -1, 6, -1, 2]
    assert after.tolist() == [2, -1, 6, -1, -1, -1, 4]


def test_numbers_are_not_cut_off() -> None:
    assert neighbours(("a_z999", "a_z1000", "a_z000"))[1].tolist() == [1, -1, -1]


def test_no_items() -> None:
    assert [len(side) for side in neighbours(())] == [0, 0]
