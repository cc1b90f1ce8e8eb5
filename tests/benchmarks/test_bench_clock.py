"""The stopwatches: phases inside phases, the host's clock and a GPU's."""
import pytest

from benchmarks.clock import EventClock, HostClock


class Counting(HostClock):
    """A clock that moves by one at each look."""

    def __init__(self):
        super().__init__()
        self._at = 0

    def _now(self):
        self._at += 1
        return self._at


def test_an_inner_phase_counts_for_itself_alone():
    clock = Counting()
    with clock.phase('backward'):           # 1
        with clock.phase('factors'):        # 2 to 3
            pass
        with clock.phase('factors'):        # 4 to 5
            pass
    assert clock.take() == {'backward': 1 + 1 + 1, 'factors': 1 + 1}  # ends at 6
    assert clock.take() == {}


def test_a_phase_in_itself_and_errors_lose_no_time():
    clock = Counting()
    with pytest.raises(KeyError), clock.phase('update'), clock.phase('update'):
        raise KeyError
    assert clock.take() == {'update': 3}


def test_timed_functions_keep_arguments_and_results():
    clock = Counting()
    assert clock.timed('update', lambda a, b: a - b)(5, b=2) == 3
    assert clock.take() == {'update': 1}


def test_events_are_read_only_when_the_step_is_over():
    made, read = [], []

    def new_event():
        made.append(len(made))
        return made[-1]

    def seconds(start, stop):
        read.append((start, stop))
        return float(stop - start)

    clock = EventClock(new_event, seconds)
    with clock.phase('forward'), clock.phase('factors'):
        pass
    assert not read
    assert clock.take() == {'forward': 2.0, 'factors': 1.0}
    assert read
