"""Times of LeNet5 training steps by phase, from events in the card's stream."""
from unittest import mock

from benchmarks import measure, rows
from benchmarks.clock import HostClock, cupy_clock, torch_clock

NAMES = ('SGD', 'Adam', 'K-FAC', 'K-FAC, weight decay', 'K-FAC 10/100', 'augmentation',
         'PyTorch SGD')
ROUNDS, IN_A_ROW = 15, 20


def run(options: dict, batch: int) -> dict:
    """Each row in turns, step by step, and many steps in a row without looking at the clock.

    Returns:
        dict: 'batch', 'rounds', 'rows': of each what `measure.summary` says, and 'in_a_row_ms',
        the mean of steps that are queued one after the other as in training.
    """
    if options['dry_run']:
        names, batch, rounds, count = ('SGD', 'K-FAC', 'augmentation'), 2, 2, 1
    else:
        names, rounds, count = NAMES, ROUNDS, IN_A_ROW
    built = rows.build(names, batch, options['device'])
    found = measure.summary(measure.run(built, rounds))
    for row, said in zip(built, found, strict=True):
        if row.name != 'augmentation' and len(row.parts) == 1:
            said['in_a_row_ms'] = 1e3 * in_a_row(row.parts[0][1], count)
    return {'batch': batch, 'rounds': rounds, 'rows': found}


def in_a_row(step, count: int) -> float:
    """Seconds of one of ``count`` steps with nothing read from the card in between."""
    clock = _like(step.clock)
    with mock.patch.object(step.clock, 'take', dict):
        with clock.phase('all'):
            for _ in range(count):
                step()
        seconds = clock.take()['all']
    step.clock.take()
    return seconds / count


def _like(clock):
    """A new clock of the same kind."""
    if type(clock) is HostClock:
        return HostClock()
    return torch_clock() if 'torch' in clock._new_event.__qualname__ else cupy_clock()
