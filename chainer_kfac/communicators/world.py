"""The world of an MPI job: found, compared with what its launcher promised, and watched."""
import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping

from chainer_kfac.communicators import agreement, launcher, layout, threads
from chainer_kfac.communicators.ranks import Alone, Ranks, exit_code
from chainer_kfac.compat import require
from chainer_kfac.exceptions import ConfigError, KFACError

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def joined(environ: Mapping[str, str] = os.environ) -> Iterator[Alone | Ranks]:
    """The ranks that a launcher has started together with this process, for the block. Collective.

    They are checked, share the cores of their node, and are watched. An error that leaves the block
    on all ranks is reported by rank 0, and the others exit with its code.

    Raises:
        ConfigError: if the world is not the one that the launcher promised, or the ranks do not
            run the same code.
    """
    promise = launcher.promise(environ)
    if not promise.launched:
        yield Alone()
        return
    mpi = require('mpi4py.MPI', 'the {} processes of this run'.format(promise.size or 'several'))
    try:
        layout.check_size(promise, mpi.COMM_WORLD.size)
    except ConfigError as error:
        if promise.rank == 0:
            raise
        time.sleep(1.0)  # a launcher may end all when the first one leaves: after rank 0 has spoken
        raise SystemExit(error.exit_code) from None
    if mpi.COMM_WORLD.size == 1:
        yield Alone()
        return
    ranks = Ranks(mpi.COMM_WORLD)
    if ranks.rank != 0:  # what is worth saying is said once
        logging.getLogger('chainer_kfac').setLevel(logging.ERROR)
    try:
        with ranks.unanimous():
            layout.check_nodes(promise, ranks.hosts)
            logger.info('%s', layout.describe(ranks.hosts))
            agreement.agree(ranks, 'the version of', agreement.code(),
                            'install the same everywhere')
            threads.share(ranks)
            with ranks.watched():
                yield ranks
    except (KFACError, KeyboardInterrupt) as error:
        if ranks.rank == 0:
            raise
        raise SystemExit(exit_code(error)) from None


@contextlib.contextmanager
def of(comm) -> Iterator[Alone | Ranks]:
    """The ranks of a communicator, for the block. Collective.

    Args:
        comm (None, Alone, Ranks or ChainerMN communicator): none is this process alone; the ranks
            of a communicator are watched while the block lasts.
    """
    if comm is None:
        yield Alone()
    elif isinstance(comm, (Alone, Ranks)):
        yield comm
    else:
        ranks = Ranks(comm.mpi_comm)
        ranks.communicator = comm
        with ranks.watched():
            yield ranks
