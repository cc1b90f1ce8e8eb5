"""The ranks that work on one run: this process alone, or those of an MPI job."""
import contextlib
import functools
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from chainer_kfac.communicators.watchdog import Watchdog
from chainer_kfac.compat import require
from chainer_kfac.exceptions import KFACError

POLL = 0.01
"""Seconds between two looks of a waiting rank."""
GRACE = 10.0
"""Seconds within which all ranks must have met with an error, if it is one of all."""
PIECE = 2**28
"""Bytes of an array that are sent at a time."""


class Alone:
    """One process."""

    rank = intra_rank = 0
    size = intra_size = 1
    communicator = None

    def name(self, rank: int) -> str:
        return 'this process'

    def bcast(self, content: Any) -> Any:
        return content

    def gather(self, content: Any) -> list[Any]:
        return [content]

    def bcast_arrays(self, arrays: dict[str, Any]) -> dict[str, Any]:
        return arrays

    def first(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    def first_holds(self, context):
        return context

    def together(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    def largest(self, numbers: list[float]) -> list[float]:
        return numbers

    @contextlib.contextmanager
    def unanimous(self) -> Iterator[None]:
        yield


class Ranks:
    """The ranks of an MPI communicator.

    All methods but `name` are collective: every rank must call them, in the same order.

    Args:
        comm (mpi4py.MPI.Comm): a duplicate is made, so that nothing here meets with what training
            sends.

    Attributes:
        rank (int), size (int): this process among all.
        intra_rank (int), intra_size (int): this process among those of its node, as ChainerMN
            counts them.
        hosts (list of str): the node of each rank.
    """

    def __init__(self, comm):
        self._mpi = require('mpi4py.MPI', 'several processes')
        self._given = comm
        self._comm, self._errors = comm.Dup(), comm.Dup()
        self.rank, self.size = comm.rank, comm.size
        self.hosts = self.gather(self._mpi.Get_processor_name())
        here = [rank for rank, host in enumerate(self.hosts) if host == self.hosts[self.rank]]
        self.intra_rank, self.intra_size = here.index(self.rank), len(here)
        self._watchdog = None

    def name(self, rank: int) -> str:
        """What to call a rank."""
        return 'rank {} on {}'.format(rank, self.hosts[rank])

    @functools.cached_property
    def communicator(self):
        """The ChainerMN communicator of these ranks, which averages gradients and factors."""
        from chainer_kfac.communicators import create_communicator
        return create_communicator(mpi_comm=self._given)

    def bcast(self, content: Any) -> Any:
        """What rank 0 passes, on every rank.

        A rank that waits sleeps; MPI's own broadcast would keep its core busy all the while.
        """
        if self.rank == 0:
            for other in range(1, self.size):
                self._comm.send(content, dest=other)
            return content
        while not self._comm.iprobe(source=0):
            time.sleep(POLL)
        return self._comm.recv(source=0)

    def bcast_arrays(self, arrays: dict[str, Any] | None) -> dict[str, Any]:
        """The NumPy arrays of rank 0, on every rank; other ranks pass None.

        Their bytes go in pieces, for MPI counts with 31 bits.
        """
        numpy = require('numpy', 'several processes')
        small = None
        if arrays is not None:
            small = {name: array if array.dtype.hasobject else (array.shape, array.dtype)
                     for name, array in arrays.items()}
        found = {}
        for name, content in self.bcast(small).items():
            if not isinstance(content, tuple):
                found[name] = content
                continue
            if arrays is not None:
                array = numpy.ascontiguousarray(arrays[name]).reshape(content[0])
            else:
                array = numpy.empty(*content)
            data = array.reshape(-1).view(numpy.uint8) if array.size else array
            for start in range(0, array.nbytes, PIECE):
                self._comm.Bcast(data[start:start + PIECE])
            found[name] = array
        return found

    def gather(self, content: Any) -> list[Any]:
        """What each rank passes, on every rank."""
        return self._comm.allgather(content)

    def largest(self, numbers: list[float]) -> list[float]:
        """The largest of all ranks' numbers, one by one."""
        numpy = require('numpy', 'several processes')
        mine, found = numpy.array(numbers, float), numpy.empty(len(numbers))
        self._comm.Allreduce(mine, found, self._mpi.MAX)
        return found.tolist()

    def first(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What ``function`` returns on rank 0, which alone calls it, on every rank.

        Raises:
            KFACError: on every rank, if it raises that on rank 0.
        """
        outcome = _attempt(function, arguments) if self.rank == 0 else None
        return _result(self.bcast(outcome))

    @contextlib.contextmanager
    def first_holds(self, context) -> Iterator[None]:
        """For the block, a context that is entered on rank 0 only.

        Raises:
            KFACError: on every rank, if entering it raises that.
        """
        with contextlib.ExitStack() as stack:
            self.first(lambda: stack.enter_context(context) and None)
            yield

    def together(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What ``function`` returns here, if it returns on every rank.

        Raises:
            KFACError: on every rank, that of the first rank on which it raises that.
        """
        outcome, value = _attempt(function, arguments), None
        if outcome[0] is None:
            value, outcome = outcome[1], (None, None)
        outcomes = self.gather(outcome)
        failed = [rank for rank, (error, _) in enumerate(outcomes) if error is not None]
        if failed:
            error, text = outcomes[failed[0]]
            if len(failed) < self.size:
                text = '{}: {}'.format(self.name(failed[0]), text)
            return _result((error, text))
        return value

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """End all ranks if one dies or stops answering in the block, or as `unanimous`."""
        self._watchdog = Watchdog(self)
        try:
            with self.unanimous():
                yield
        finally:
            self._watchdog.close()
            self._watchdog = None

    @contextlib.contextmanager
    def unanimous(self) -> Iterator[None]:
        """End all ranks if an exception leaves the block on some of them only.

        The others may be waiting for this rank, where nothing but their end reaches them. An
        exception that leaves it on all ranks is theirs to deal with.
        """
        try:
            yield
        except BaseException as error:
            if not self._all_meet():
                self._abort(error)
            raise

    def _all_meet(self):
        meeting = self._errors.Ibarrier()
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline:
            if meeting.Test():
                return True
            time.sleep(POLL)
        return False

    def _abort(self, error):
        what = str(error) or 'interrupted'
        if not isinstance(error, (KFACError, KeyboardInterrupt)):
            traceback.print_exception(error)
            what = 'raised {}'.format(traceback.format_exception_only(error)[-1].strip())
        print('chainer-kfac: {}: {}; all ranks end with that, and what is in the run directory is '
              'whole'.format(self.name(self.rank), what), file=sys.stderr)
        sys.stderr.flush()
        if self._watchdog is not None:
            self._watchdog.close('over')
        time.sleep(0.5)  # the launcher drops what it has not passed on when it hears of the end
        self._comm.Abort(exit_code(error))


def _attempt(function, arguments):
    """(None, what it returns), or the class of the error and its sentence."""
    try:
        return None, function(*arguments)
    except KFACError as error:
        return type(error), str(error)


def _result(outcome):
    kind, content = outcome
    if kind is None:
        return content
    raise kind.__new__(kind, content)  # not its constructor, which may take something else


def exit_code(error: BaseException) -> int:
    """What a process that ends with an error returns."""
    if isinstance(error, KeyboardInterrupt):
        return getattr(error, 'exit_code', 130)
    return getattr(error, 'exit_code', 1)
