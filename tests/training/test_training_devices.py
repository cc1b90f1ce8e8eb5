"""Which GPU a rank gets, where GPUs are there in name only."""
import gpu_stand_in
import pytest

from chainer_kfac import resources
from chainer_kfac.communicators.ranks import Alone
from chainer_kfac.exceptions import ConfigError
from chainer_kfac.training import device

PROGRAM = gpu_stand_in.__file__
TRAIN = ('train', resources.find('experiments/quickstart.yaml'))
TABLE1 = ('table1', '--profile', 'smoke', '--dataset', 'digits', '--optimizer', 'adam')
WORKER = ('worker', '--mongo', 'mongodb://127.0.0.1:1/x')


@pytest.mark.mpi
def test_each_rank_of_a_node_has_a_gpu_of_its_own(mpirun):
    done = mpirun(2, PROGRAM, 'devices', CUDA_VISIBLE_DEVICES='4,5,6')
    assert done.returncode == 0, done.stderr
    assert [line.split()[::2] for line in sorted(done.stdout.splitlines())] == [
        ['0', '4'], ['1', '5']]


@pytest.mark.mpi
@pytest.mark.parametrize('words', [TRAIN, TABLE1, WORKER], ids=lambda words: words[0])
def test_two_ranks_on_one_gpu_are_refused_by_name(mpirun, tmp_path, words):
    done = mpirun(2, PROGRAM, *words, '--root', tmp_path / 'runs', CUDA_VISIBLE_DEVICES='0')
    assert done.returncode == 2, done.stderr
    assert 'Traceback' not in done.stderr
    said, = (line for line in done.stderr.splitlines() if 'GPU' in line)
    assert said.startswith('chainer-kfac {}: rank 0 on '.format(words[0]))
    assert ' and rank 1 on ' in said
    assert 'would train on one GPU: start one rank a GPU' in said
    assert not list(tmp_path.iterdir())


class Two(Alone):
    """Two ranks of one node, of which this is the second, and what the first has."""

    size = intra_size = 2
    rank = intra_rank = 1

    def __init__(self, other):
        self._other = other

    def name(self, rank):
        return 'rank {}'.format(rank)

    def gather(self, content):
        return [(self._other, content[1]), content]


@pytest.fixture
def visible(monkeypatch):
    """``visible(*names)``: which GPUs there are, by name; returns their identities."""
    def choose(*names):
        monkeypatch.setattr(gpu_stand_in, 'VISIBLE', names)
        gpu_stand_in.install(monkeypatch.setattr)
        return [device._identity(device.choose(number)) for number in range(len(names))]
    return choose


def test_a_gpu_by_its_number_is_that_of_all_ranks(visible, monkeypatch):
    _, second = visible('4', '5')
    monkeypatch.setenv(device.SHARE, '1')  # there is one for each: sharing is a mistake
    with pytest.raises(ConfigError, match='rank 0 and rank 1 would train on one GPU'):
        device.of_rank(1, Two(second))


def test_they_may_share_where_there_are_too_few(visible, monkeypatch):
    gpu, = visible('4')
    with pytest.raises(ConfigError, match='or set KFAC_SHARE_GPUS=1 where there are fewer'):
        device.of_rank('auto', Two(gpu))
    monkeypatch.setenv(device.SHARE, '1')
    assert device.of_rank('auto', Two(gpu)).device.id == 0


def test_gpus_on_some_ranks_only_are_refused(visible):
    gpu, = visible('4')
    with pytest.raises(ConfigError, match='some ranks would train on GPUs and others on a CPU'):
        device.of_rank(-1, Two(gpu))
    assert device.of_rank(-1, Two(None)).xp is None
