"""How often a training step makes the host wait for the card, and where."""
import collections
import contextlib
import traceback
from unittest import mock

from benchmarks import rows
from benchmarks.gpu.record import ROOT
from chainer_kfac.compat import require

NAMES = ('SGD', 'Adam', 'K-FAC', 'K-FAC, weight decay', 'K-FAC 10/100')
STEPS = 5

READING = ('get', 'item', 'tolist', '__bool__', '__int__', '__float__', '__complex__')
"""Methods of an array that bring its values to the host."""


def run(options: dict) -> dict:
    """Waits of each optimizer's step at batch 512, after it has chosen its ways.

    Returns:
        dict: 'batch', 'rows': of each 'name', 'waits' (a step, a mean), and 'places': for each
        line of the package that waited, how often a step.
    """
    batch = 512
    found = []
    for name in NAMES:
        for row in rows.build([name], batch, options['device']):
            step = row.parts[0][1]
            for _ in range(3):
                step()
            with counting() as places, mock.patch.object(step.clock, 'take', dict):
                for _ in range(STEPS):
                    step()
            step.clock.take()
            found.append({'name': name, 'waits': sum(places.values()) / STEPS,
                          'places': {place: n / STEPS for place, n in places.most_common()}})
    return {'batch': batch, 'rows': found}


@contextlib.contextmanager
def counting():
    """Count the waits within the block: gives a Counter of the lines that caused them.

    Python's ways to wait are watched; CuPy's compiled code may wait on its own for a result whose
    shape it does not know (a boolean index, `nonzero`), which reads a number through one of them.
    """
    cuda = require('cupy', 'counting waits').cuda
    array = require('cupy', 'counting waits').ndarray
    places, inside = collections.Counter(), []

    def watched(function):
        def wrapper(*args, **kwargs):
            if not inside:
                places[_place()] += 1
            inside.append(function)
            try:
                return function(*args, **kwargs)
            finally:
                inside.pop()
        return wrapper

    with contextlib.ExitStack() as stack:
        for owner, names in ((array, READING), (cuda.stream._BaseStream, ('synchronize',)),
                             (cuda.Event, ('synchronize',))):
            for name in names:
                stack.enter_context(mock.patch.object(
                    owner, name, watched(getattr(owner, name))))
        yield places


def _place():
    """The innermost line of this repository, or of Chainer, that led here."""
    for frame in reversed(traceback.extract_stack()[:-2]):
        name = frame.filename
        if 'chainer' in name and 'benchmarks' not in name:
            short = name.removeprefix(str(ROOT) + '/').rpartition('site-packages/')[2]
            return '{}:{}'.format(short, frame.lineno)
    return 'elsewhere'
