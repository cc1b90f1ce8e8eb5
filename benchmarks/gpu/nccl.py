"""The NCCL communicator with one rank trains as the host-staged one does."""
import tempfile
from pathlib import Path

from benchmarks.gpu import ranks


def run(options: dict) -> dict:
    """Compare the weights that both give.

    Returns:
        dict: 'difference', the largest of a weight, in absolute terms.
    Raises:
        RuntimeError: if it is above 1e-5: a mean over one rank changes nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        naive, nccl = (ranks.trained(1, name, options, Path(folder, name))
                       for name in ('naive', 'pure_nccl'))
    difference = max(float(abs(naive[key] - nccl[key]).max()) for key in naive)
    if not difference <= 1e-5:
        raise RuntimeError('the weights differ by {:.2g}'.format(difference))
    return {'difference': difference}
