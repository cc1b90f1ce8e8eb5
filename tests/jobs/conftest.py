"""The cluster that the tests of job scripts share."""
import pytest

from slurm_cluster import SlurmCluster, missing


@pytest.fixture(scope='session')
def _slurm():
    reason = missing()
    if reason:
        pytest.skip(reason)
    cluster = SlurmCluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def slurm(_slurm):
    """A running two-node SLURM cluster without jobs; those that a test leaves are cancelled."""
    yield _slurm
    _slurm.cancel_all()
