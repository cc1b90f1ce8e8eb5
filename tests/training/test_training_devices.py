"""Which GPU a rank of a real MPI job gets, where GPUs are there in name only."""
import gpu_stand_in
import pytest

from chainer_kfac.communicators.ranks import Alone
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.training import device

pytestmark = pytest.mark.mpi

PROGRAM = gpu_stand_in.__file__
RUN = ('train', 'experiments/quickstart.yaml')
SMOKE = ('table1', '--profile', 'smoke', '--dataset', 'digits', '--optimizer', 'adam')
WORKER = ('worker', '--mongo', 'mongodb://127.0.0.1:1/x')


@pytest.fixture
def refused(mpirun, tmp_path):
    """``refused(ranks, *words, **variables)``: the one sentence that a job is refused with."""
    def run(ranks, *words, **variables):
        done = mpirun(ranks, PROGRAM, *words, '--root', tmp_path / 'runs', **variables)
        assert done.returncode == 2, done.stderr
        assert 'Traceback' not in done.stderr
        sentence, = (line for line in done.stderr.splitlines() if 'GPU' in line)
        assert not list(tmp_path.glob('runs/*'))
        return sentence
    return run


def test_each_rank_of_a_node_has_a_gpu_of_its_own(mpirun):
    done = mpirun(2, PROGRAM, 'devices', CUDA_VISIBLE_DEVICES='4,5,6')
    assert done.returncode == 0, done.stderr
    assert [line.split()[::2] for line in sorted(done.stdout.splitlines())] == [
        ['0', '4'], ['1', '5']]


@pytest.mark.parametrize('words', [RUN, SMOKE, WORKER], ids=lambda words: words[0])
def test_two_ranks_on_one_gpu_are_refused_by_name(refused, words):
    said = refused(2, *words, CUDA_VISIBLE_DEVICES='0')
    assert said.startswith('chainer-kfac {}: rank 0 on '.format(words[0]))
    assert ' and rank 1 on ' in said
    assert 'would train on one GPU: start one rank a GPU' in said


def test_a_gpu_by_its_number_is_that_of_all_ranks(refused):
    said = refused(2, *RUN, 'device=1', CUDA_VISIBLE_DEVICES='0,1', KFAC_SHARE_GPUS='1')
    assert 'would train on one GPU' in said  # there is one for each: sharing is a mistake


def test_they_may_share_where_there_are_too_few(mpirun):
    done = mpirun(2, PROGRAM, 'devices', CUDA_VISIBLE_DEVICES='4', KFAC_SHARE_GPUS='1')
    assert done.returncode == 0, done.stderr
    assert [line.split()[-1] for line in sorted(done.stdout.splitlines())] == ['4', '4']


class Two(Alone):
    """Rank 0 of two, of which the other one has that GPU."""

    size = intra_size = 2

    def __init__(self, other):
        self._other = other

    def name(self, rank):
        return 'rank {}'.format(rank)

    def gather(self, content):
        return [content, (self._other, False)]


def test_gpus_on_some_ranks_only_are_refused():
    with pytest.raises(ConfigError, match='some ranks would train on GPUs and others on a CPU'):
        device.of_rank(-1, Two(('n2', b'0', '0000:0:00.0')))
    assert device.of_rank(-1, Two(None)).name == '@numpy'
