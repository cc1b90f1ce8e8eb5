"""A worker that is an MPI job: rank 0 talks to the database, all ranks evaluate."""
import json

import pytest

from chainer_kfac.search import experiments, options, space
from chainer_kfac.search.documents import DONE, NEW

pytestmark = [pytest.mark.mongo, pytest.mark.mpi]

PROGRAM = """
import sys
from chainer_kfac.search.objectives import functions
from chainer_kfac.search import objectives
from mpi4py import MPI

branin = objectives.find('branin')
plain = branin.evaluate

def evaluate(values, settings, progress):
    # collective, as distributed training is: it hangs unless every rank is here with equal values
    total = MPI.COMM_WORLD.allreduce(values['x'])
    assert abs(total - MPI.COMM_WORLD.size * values['x']) < 1e-12
    return plain(values, settings, progress)

branin.evaluate = evaluate
from chainer_kfac.cli import main
sys.exit(main(['worker', *sys.argv[1:]]))
"""


def test_ranks_evaluate_and_prune_together(nx, nx_store, begin, mpirun, tmp_path):
    experiment = begin(nx_store, settings={'epochs': 10})
    for tid in range(7):
        nx_store.jobs.insert_one(experiment.new_trial(tid, {'x': 3.0 + tid / 2, 'y': 9.0}, 'x'))
    program = tmp_path / 'program.py'
    program.write_text(PROGRAM)
    done = mpirun(2, program, '--max-trials', 7, '--root', tmp_path,
                  CHAINER_KFAC_MONGO=nx.uri, OMP_NUM_THREADS='1')
    assert done.returncode == 0, done.stderr
    trials = sorted(nx_store.jobs.find(), key=lambda trial: trial['tid'])
    assert [trial['state'] for trial in trials] == [DONE] * 7
    assert trials[6]['result']['pruned'] is not None
    assert nx_store.workers.count_documents({}) == 1


def test_no_server_ends_all_ranks(mpirun):
    done = mpirun(2, '-m', 'chainer_kfac', 'worker',
                  CHAINER_KFAC_MONGO='mongodb://127.0.0.1:1/x?serverSelectionTimeoutMS=300')
    assert done.returncode == 2
    assert 'no MongoDB server answers' in done.stderr


@pytest.fixture
def train(nx, nx_store, mpirun, tmp_path):
    """``train(settings, *options)``: two ranks of a worker, and one trial of training.

    Returns the finished process, the trial and its folder.
    """
    def start(settings, *arguments):
        experiment = experiments.begin(
            nx_store, 'test', 'train',
            {'optimizer': 'momentum_sgd', 'dataset': 'digits', 'seed': 0, **settings},
            space.Space((space.Dimension('lr', 'loguniform', 1e-4, 1.0),)),
            options.search(trials=1, lease=6))
        if nx_store.jobs.find_one() is None:
            nx_store.jobs.insert_one(experiment.new_trial(0, {'lr': 0.01}, 'x'))
        done = mpirun(2, '-m', 'chainer_kfac', 'worker', *arguments, '--device', '-1', '--root',
                      tmp_path, CHAINER_KFAC_MONGO=nx.uri, OMP_NUM_THREADS='1')
        folder = tmp_path / 'search/test/trials-{}/0000'.format(experiment.uid)
        return done, nx_store.jobs.find_one(), folder

    return start


def test_a_time_limit_ends_all_ranks_in_the_middle_of_an_epoch(train):
    for limit in ('0:15', '1:00'):  # a busy machine may not have begun by the first
        done, trial, folder = train({'batch_size': 2, 'epochs': 50, 'train_size': 1000,
                                     'test_size': 32}, '--time-limit', limit)
        assert done.returncode == 0, done.stderr
        if list(folder.glob('snapshot_iter_*')):
            break
    assert (trial['state'], trial['history'][0]['reason']) == (NEW, 'time limit')
    (snapshot,) = folder.glob('snapshot_iter_*')
    assert int(snapshot.name.rpartition('_')[2]) % 500 != 0


def test_ranks_train_a_trial_together(train):
    done, trial, folder = train({'batch_size': 32, 'epochs': 2, 'train_size': 64, 'test_size': 32},
                                '--max-trials', 1)
    assert done.returncode == 0, done.stderr
    assert trial['state'] == DONE
    assert trial['result']['status'] == 'ok', trial['result']
    record = json.loads((folder / 'result.json').read_text())
    assert record['ranks'] == 2
    assert trial['result']['loss'] == 1 - record['best_val_acc']
