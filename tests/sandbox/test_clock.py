"""The account of processor time where no control group keeps one: nothing twice, and nothing lost."""

from holdfast.adapters.bubblewrap.clock import Spent, lost_between


def test_what_a_parent_waited_for_is_not_counted_twice() -> None:
    before = {(1, "a"): Spent(5, 0), (2, "b"): Spent(90, 10)}
    assert lost_between(before, {(1, "a"): Spent(5, 100)}) == 0
    assert lost_between(before, {(1, "a"): Spent(5, 99)}) == 0  # rounded


def test_what_nobody_waited_for_is_not_lost() -> None:
    before = {(1, "a"): Spent(5, 0), (2, "b"): Spent(90, 10)}
    assert lost_between(before, {(1, "a"): Spent(5, 0)}) == 98


def test_a_number_that_is_used_again_is_another_process() -> None:
    assert lost_between({(2, "b"): Spent(50, 0)}, {(2, "c"): Spent(1, 0)}) == 48


def test_a_whole_family_that_ended_is_in_its_reapers_account() -> None:
    before = {(1, "a"): Spent(0, 0), (2, "b"): Spent(10, 20), (3, "c"): Spent(30, 0)}
    assert lost_between(before, {(1, "a"): Spent(0, 61)}) == 0
