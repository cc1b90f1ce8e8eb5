"""The changes of weights that any number of ranks must make, computed once by one process."""
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAMS = Path(__file__).parent / 'programs'
sys.path.insert(0, str(PROGRAMS))


@pytest.fixture(scope='session')
def changes(tmp_path_factory):
    """A directory with ``changes.npz``: by case, how far ten steps move the parameters."""
    import cases
    directory = tmp_path_factory.mktemp('changes')
    found = {}
    for name in cases.CASES:
        training = cases.Training(name)
        for step in range(cases.STEPS):
            training.step(step)
        found[name] = training.change()
    np.savez(directory / 'changes.npz', **found)
    return directory


@pytest.fixture
def ranks(mpirun):
    """``ranks(n, program, *arguments)`` runs a program of this folder; it must succeed.

    By way of mpi4py, so that an error of one rank ends all instead of leaving the others waiting.
    """
    def run(n, program, *arguments, **variables):
        done = mpirun(n, '-m', 'mpi4py', PROGRAMS / program, *arguments, OMP_NUM_THREADS='1',
                      OPENBLAS_NUM_THREADS='1', OMPI_MCA_mpi_yield_when_idle='1',
                      timeout=600, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done
    return run
