"""What the collectives of a communicator must do, whatever carries them out."""
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal


def check(comm, half, dtype):
    """Expected values are formulas of rank and size; parts are uneven, one is empty."""
    rank, size = comm.rank, comm.size
    tolerance = {'rtol': 2.0 ** -11 * size if half else 1e-12}
    counts = [(7 * r + 3) % 5 * 300 * (r != size - 1) for r in range(size)]
    start = sum(counts[:rank])
    mine = slice(start, start + counts[rank])
    numbers = np.arange(sum(counts), dtype=dtype)
    for _ in range(2):          # twice: buffers are reused
        own = comm.reduce_scatter(numbers * (rank + 1), counts, 'test', half=half)
        assert_allclose(own, numbers[mine] * (size * (size + 1) / 2), **tolerance)
        buffer = np.full_like(numbers, np.nan)
        buffer[mine] = numbers[mine]
        comm.all_gather(buffer, counts, 'test', half=half)
        assert_allclose(buffer, numbers, **tolerance)
        for other in comm.mpi_comm.allgather(buffer):
            assert_array_equal(other, buffer)
        buffer = np.full(1001, rank + 1, dtype)
        comm.all_reduce(buffer, 'test', half=half)
        assert_allclose(buffer, size * (size + 1) / 2, **tolerance)
        outgoing = [(rank + to) % 3 * 10 for to in range(size)]
        sent = np.concatenate([np.full(n, 10 * rank + to, dtype)
                               for to, n in enumerate(outgoing)])
        received = np.empty(sum(outgoing), dtype)
        comm.exchange(sent, outgoing, received, outgoing, 'test', half=half)
        assert_allclose(received, np.concatenate([
            np.full(n, 10 * source + rank) for source, n in enumerate(outgoing)]), **tolerance)
    assert_array_equal(comm.numbers([rank, 5]), [[r, 5] for r in range(size)])
