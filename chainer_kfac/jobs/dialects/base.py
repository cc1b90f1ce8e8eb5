"""What a scheduler's way of writing a job must say; ``rendering`` puts it together."""
import abc
import re

from chainer_kfac.exceptions import ConfigError
from chainer_kfac.jobs.description import JobDescription

_MPIRUN = """\
launch=(env)  # one process needs no MPI
if [ $((nodes * ranks_per_node)) -gt 1 ]; then
    # Open MPI's; bound to cores, all threads of a process would share one
    launch=(mpirun --bind-to none@options@)
    launch+=(--map-by "ppr:$ranks_per_node:node" -n $((nodes * ranks_per_node)))
    for name in $(compgen -e); do  # other nodes get no variable by themselves
        case $name in
            PATH | LD_* | PYTHON* | CHAINER* | KFAC_* | *_NUM_THREADS | CUDA_* | NCCL_*)
                launch+=(-x "$name") ;;
        esac
    done
fi"""

_HOSTS = """\
nodes=@nodes@ ranks_per_node=@ranks@ each_node=(env)  # as asked for above
export KFAC_NODES=$nodes KFAC_RANKS_PER_NODE=$ranks_per_node
if [ "$nodes" -gt 1 ]; then
    each_node=(mpirun@options@ --map-by ppr:1:node -n "$nodes")
fi"""

_ALONE = """\
script=$(mktemp)  # this part alone, which is no array
sed '/^@line@ /d' "$0" > "$script\""""

CONTINUED = 'continued'
"""File among the logs of a job: a line for each part that goes on under another number."""


class Dialect(abc.ABC):
    """One scheduler's dialect.

    Attributes:
        name (str): as ``--scheduler`` has it.
        prefix (str): what its lines in a script start with.
        workdir (str): word of a shell: the folder in which the job was submitted.
        needs_timer (bool): whether a job must warn itself of the end of its time.
    """

    name: str
    prefix: str
    workdir: str
    needs_timer = True

    @abc.abstractmethod
    def options(self, job: JobDescription) -> list[str]:
        """What stands behind the prefix, line by line."""

    @abc.abstractmethod
    def identity(self, job: JobDescription) -> str:
        """Shell: sets restarts, threads, nodes, ranks_per_node, job and, in an array, task."""

    @abc.abstractmethod
    def hosts(self, job: JobDescription) -> str:
        """Shell: sets each_node, which runs a command once on each node."""

    @abc.abstractmethod
    def launch(self, job: JobDescription) -> str:
        """Shell: sets launch, which starts all processes, or one without MPI."""

    @abc.abstractmethod
    def again(self, job: JobDescription) -> str:
        """Shell: has the scheduler run this part of the job once more, and exits.

        Not with 75, for which SLURM may be set up to run a job again by itself: each job would
        then go on twice.
        """


def fill(template: str, gaps: dict[str, str | None]) -> str:
    """A text with each ``@name@`` replaced; a line with a gap that is None goes away.

    An empty line is never followed by another.
    """
    lines = []
    for line in template.splitlines():
        names = re.findall(r'@(\w+)@', line)
        if any(gaps[name] is None for name in names):
            continue
        lines.append(re.sub(r'@(\w+)@', lambda found: gaps[found[1]], line))
    return re.sub(r'\n{3,}', '\n\n', '\n'.join(lines))


def mpirun(options: str = '') -> str:
    """Shell: sets launch to Open MPI's mpirun with further options."""
    return fill(_MPIRUN, {'options': options})


def mpirun_hosts(job: JobDescription, options: str = '') -> str:
    """Shell: sets each_node to the same, once a node, and states what was asked for."""
    return fill(_HOSTS, {'nodes': str(job.nodes), 'ranks': str(job.per_node),
                         'options': options})


def script_of_part(job: JobDescription, line: str) -> str:
    """Shell: sets script to the file that runs one part of a job.

    Args:
        line (str): what the directive that makes the job an array starts with.
    """
    return fill(_ALONE, {'line': line}) if job.is_array else 'script=$0'


def pass_on(job: JobDescription) -> str | None:
    """Shell: adds what the job's command reads from its environment to variables."""
    return '\n'.join('variables+=,{0}=${{{0}:-}}'.format(name) for name in job.variables) or None


def quoted(text: str) -> str:
    """The value of an option in a directive; raises ConfigError where no quoting would do."""
    if re.search(r'["\\\n]', text):
        raise ConfigError('schedulers cannot read the path {!r}: choose one without quotation '
                          'marks and backslashes'.format(text))
    return '"{}"'.format(text) if re.search(r'\s', text) else text
