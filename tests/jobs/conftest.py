"""The cluster that the tests of job scripts share, and a user who submits to it."""
import json
import pathlib
import shlex
import sys

import pytest
import yaml

from slurm_cluster import SlurmCluster, missing

QUICK = {'experiment': 'quick', 'dataset': 'digits', 'train_size': 256, 'test_size': 64,
         'optimizer': 'momentum_sgd', 'batch_size': 64, 'epochs': 2, 'lr': 0.01, 'momentum': 0.9,
         'weight_decay': 0, 'augment': False, 'dropout': 0.0}
"""A run of seconds."""


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


class User:
    """Runs ``chainer-kfac`` on the cluster, in a folder with a space in its name.

    Attributes:
        folder (pathlib.Path): the working directory.
    """

    def __init__(self, cluster, folder):
        self.folder = folder
        self._cluster = cluster
        folder.mkdir()

    def __call__(self, *words, **variables):
        return self._cluster.run(sys.executable, '-m', 'chainer_kfac', *words, cwd=self.folder,
                                 timeout=300, **variables)

    def config(self, **fields):
        """A configuration of a quick run; its path."""
        path = self.folder / 'quick.yaml'
        path.write_text(yaml.safe_dump({**QUICK, **fields}))
        return path.name

    def environment(self, lines=''):
        """Write ``jobscripts/env.sh`` as a user would, with further lines."""
        path = self.folder / 'jobscripts' / 'env.sh'
        path.parent.mkdir(exist_ok=True)
        path.write_text('export PATH={}:$PATH\n{}'.format(
            shlex.quote(str(pathlib.Path(sys.executable).parent)), lines))

    def job(self, name=None):
        """Number of the job that was submitted last, or of the one of that name."""
        records = self.folder.glob('runs/jobs/*/job.json')
        last = max(records, key=lambda path: path.stat().st_mtime)
        jobs = json.loads(last.read_text())['jobs']
        return jobs[name or next(iter(jobs))]

    def logs(self, number=''):
        """What the jobs have said, or those with that number."""
        return '\n'.join('== {}\n{}'.format(path.name, path.read_text(errors='replace'))
                         for path in sorted(self.folder.glob('*/jobs/*/*.*'))
                         if number in path.name and path.suffix not in ('.sh', '.json'))


@pytest.fixture
def kfac(slurm, tmp_path):
    """``kfac('submit', ...)`` as a user of the cluster; see `User`."""
    return User(slurm, tmp_path / 'the user')


@pytest.fixture
def trials(tmp_path):
    """``trials(**query)``: trials in a database that the nodes reach; ``trials.address``."""
    from pymongo import MongoClient

    from chainer_kfac.search.server import EmbeddedServer
    with EmbeddedServer(tmp_path / 'server') as server:
        client = MongoClient(server.address.uri)
        jobs = client.get_default_database().jobs

        def find(**query):
            return list(jobs.find(query))

        find.address = server.address.uri
        yield find
        client.close()
