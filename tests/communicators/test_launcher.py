"""What launchers promise in environment variables, and worlds that are not what was promised."""
import pytest

from chainer_kfac.communicators import agreement, launcher, layout
from chainer_kfac.communicators.launcher import Promise
from chainer_kfac.communicators.ranks import Alone
from chainer_kfac.exceptions import ConfigError

# As seen inside a batch script of two nodes, two tasks each, and in what it starts.
BATCH = {'SLURM_JOB_NUM_NODES': '2', 'SLURM_NTASKS': '4', 'SLURM_NPROCS': '4',
         'SLURM_NTASKS_PER_NODE': '2', 'SLURM_PROCID': '0', 'SLURM_TASKS_PER_NODE': '2(x2)'}
STEP = {**BATCH, 'SLURM_PROCID': '1', 'SLURM_STEP_ID': '0', 'SLURM_STEP_NUM_TASKS': '4',
        'SLURM_STEP_TASKS_PER_NODE': '2(x2)'}
OPENMPI = {'OMPI_COMM_WORLD_SIZE': '4', 'OMPI_COMM_WORLD_RANK': '3', 'PMIX_RANK': '3'}


@pytest.mark.parametrize(('environ', 'size', 'layout', 'launched'), [
    ({}, None, None, False),
    (BATCH, None, None, False),                          # started alone, on purpose
    (STEP, 4, (2, 2), True),                             # srun, whatever its PMI
    ({**STEP, 'SLURM_STEP_NUM_TASKS': '1'}, 1, None, False),
    ({**STEP, 'SLURM_STEP_NUM_TASKS': '3', 'SLURM_STEP_TASKS_PER_NODE': '2,1', 'PMI_SIZE': '3'},
     3, (2, 1), True),
    (OPENMPI, 4, None, True),
    ({**BATCH, **OPENMPI}, 4, (2, 2), True),
    # the daemons of mpirun are tasks of a step of their own
    ({**STEP, **OPENMPI, 'SLURM_STEP_NUM_TASKS': '2', 'SLURM_STEP_TASKS_PER_NODE': '1(x2)'},
     4, (2, 2), True),
    ({**OPENMPI, 'OMPI_COMM_WORLD_SIZE': '1'}, 1, None, False),
    ({'PMIX_RANK': '0'}, None, None, True),              # MPI will say how many
    ({**OPENMPI, 'KFAC_NODES': '2', 'KFAC_RANKS_PER_NODE': '2'}, 4, (2, 2), True),
    ({'KFAC_NODES': '2', 'KFAC_RANKS_PER_NODE': '2'}, 4, (2, 2), True),
    ({'KFAC_NODES': '1', 'KFAC_RANKS_PER_NODE': '1'}, 1, (1,), False),
])
def test_promises(environ, size, layout, launched):
    promise = launcher.promise(environ)
    assert (promise.size, promise.layout, promise.launched) == (size, layout, launched)


def test_the_lines_of_a_nodefile_are_the_layout(tmp_path):
    (tmp_path / 'nodes').write_text('n1\nn1\nn1\nn2\n')
    environ = {'PBS_NODEFILE': str(tmp_path / 'nodes'), **OPENMPI}
    assert launcher.promise(environ).layout == (3, 1)
    assert launcher.promise({**environ, 'OMPI_COMM_WORLD_SIZE': '2'}).layout is None


@pytest.mark.parametrize(('environ', 'words'), [
    ({'PMI_SIZE': 'many'}, "PMI_SIZE must be a whole number above 0, got 'many'"),
    ({**OPENMPI, 'KFAC_NODES': '3', 'KFAC_RANKS_PER_NODE': '2'},
     r'was to have 6 ranks \(KFAC_NODES=3, .*was started with 4 \(OMPI_COMM_WORLD_SIZE\)'),
])
def test_variables_that_cannot_be(environ, words):
    with pytest.raises(ConfigError, match=words):
        launcher.promise(environ)


def test_a_world_of_another_size():
    promise = launcher.promise(STEP)
    layout.check_size(promise, 4)
    with pytest.raises(ConfigError, match=r'promised 4 ranks \(SLURM_STEP_NUM_TASKS\) and MPI '
                                          'found 1: .* srun --mpi=pmix'):
        layout.check_size(promise, 1)
    with pytest.raises(ConfigError, match='MPI found 3: start as many'):
        layout.check_size(promise, 3)


@pytest.mark.parametrize(('promise', 'hosts', 'words'), [
    (Promise(4, layout=(2, 2), layout_by='X'), ['n1', 'n1', 'n2', 'n2'], None),
    (Promise(4, layout=(2, 2), layout_by='X'), ['n2', 'n1', 'n1', 'n2'], None),
    (Promise(4, layout=(2, 2), layout_by='X'), ['n1', 'n1', 'n1', 'n2'],
     r'2 on each of 2 \(X\) and are 3 on n1, 1 on n2'),
    (Promise(4, layout=(3, 1), layout_by='X'), ['n1', 'n1', 'n2', 'n2'],
     r'3\+1 \(X\) and are 2 on n1'),
    (Promise(3, most=2), ['n1', 'n1', 'n2'], None),
    (Promise(4, most=2), ['n1', 'n1', 'n1', 'n2'], 'at most 2'),
    (Promise(), ['n1', 'n1', 'n1'], None),
])
def test_where_the_ranks_are(promise, hosts, words):
    if words is None:
        layout.check_nodes(promise, hosts)
        return
    with pytest.raises(ConfigError, match=words):
        layout.check_nodes(promise, hosts)


def test_the_layout_in_words():
    assert layout.describe(['n2', 'n1', 'n2']) == '3 ranks: 1 on n1, 2 on n2'


class Two(Alone):
    """Two ranks, of which the other one has something else."""

    size = 2

    def __init__(self, other):
        self._other = other

    def name(self, rank):
        return 'rank {} on n{}'.format(rank, rank)

    def gather(self, content):
        return [content, {**content, **self._other}]


def test_agreement_names_rank_and_thing():
    agreement.agree(Two({}), '', {'lr': 0.1}, 'mend it')
    with pytest.raises(ConfigError, match='^lr is 0.2 on rank 1 on n1 and 0.1 on rank 0 on n0: '
                                          'mend it$'):
        agreement.agree(Two({'lr': 0.2}), '', {'lr': 0.1, 'seed': 0}, 'mend it')


def test_the_digest_of_the_sources_is_that_of_their_content(tmp_path, monkeypatch):
    def digest(content):
        (tmp_path / '__init__.py').write_text(content)
        agreement.sources.cache_clear()
        return agreement.sources()
    monkeypatch.setattr(agreement.chainer_kfac, '__file__', str(tmp_path / '__init__.py'))
    try:
        assert digest('a = 1') == digest('a = 1') != digest('a = 2')
    finally:
        agreement.sources.cache_clear()
