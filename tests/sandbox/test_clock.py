"""The accounts of processor time where no control group keeps one: nothing twice, and nothing lost."""

from holdfast.adapters.bubblewrap.clock import TreeClock, lost_between, share_of_running
from holdfast.adapters.bubblewrap.tree import Key, Seen


def _seen(pid: int, own: int, waited: int = 0, *, began: str = "a", state: bytes = b"S") -> Seen:
    return Seen(
        pid=pid,
        began=began,
        state=state,
        faults=0,
        own_ticks=own,
        waited_ticks=waited,
        mapped_bytes=0,
        resident_pages=0,
    )


def _by_key(*seen: Seen) -> dict[Key, Seen]:
    return {one.key: one for one in seen}


def test_what_a_parent_waited_for_is_not_counted_twice() -> None:
    before = _by_key(_seen(1, 5), _seen(2, 90, 10))
    assert lost_between(before, _by_key(_seen(1, 5, 100))) == 0
    assert lost_between(before, _by_key(_seen(1, 5, 99))) == 0  # rounded


def test_what_nobody_waited_for_is_not_lost() -> None:
    before = _by_key(_seen(1, 5), _seen(2, 90, 10))
    assert lost_between(before, _by_key(_seen(1, 5))) == 98


def test_a_number_that_is_used_again_is_another_process() -> None:
    assert lost_between(_by_key(_seen(2, 50)), _by_key(_seen(2, 1, began="b"))) == 48


def test_a_whole_family_that_ended_is_in_its_reapers_account() -> None:
    before = _by_key(_seen(1, 0), _seen(2, 10, 20), _seen(3, 30))
    assert lost_between(before, _by_key(_seen(1, 0, 61))) == 0


def test_processes_that_no_two_looks_see_are_counted_by_sample() -> None:
    clock = TreeClock()
    for at in range(400):  # one burner at each look, never the same
        tree = [_seen(1, 0), _seen(2 + at, 0, state=b"R")]
        clock.look(tree, since_last=0.01, running_share=lambda _: 1.0)
    assert 3.5 < clock.seconds <= 4.0


def test_children_that_are_waited_for_are_counted_as_what_they_used_and_not_by_sample() -> None:
    clock = TreeClock()
    for at in range(400):
        tree = [_seen(1, 0, at), _seen(2 + at, 0, state=b"R")]
        clock.look(tree, since_last=0.01, running_share=lambda _: 1.0)
    assert clock.seconds == 3.99


def test_who_waits_for_a_processor_has_not_used_it() -> None:
    assert share_of_running(b"0 5000 1") == 0
    assert share_of_running(b"1000 3000 1") == 0.5
    assert share_of_running(b"1000 0 1") == 1
    assert share_of_running(b"") == 1
