"""PBS: ``qsub`` and ``#PBS``, in the words of OpenPBS (PBS Professional) and in those of Torque."""
import shlex

from chainer_kfac.jobs.description import JobDescription, hours
from chainer_kfac.jobs.dialects.base import CONTINUED, Dialect, fill, mpirun, quoted

_IDENTITY = """\
@id@threads=@threads@ restarts=${KFAC_RESTARTS:-0}"""

_HOSTS = """\
nodes=@nodes@ ranks_per_node=@ranks@ each_node=(env)  # as asked for above
export KFAC_NODES=$nodes KFAC_RANKS_PER_NODE=$ranks_per_node
if [ "$nodes" -gt 1 ]; then
    each_node=(mpirun --hostfile "$PBS_NODEFILE" --map-by ppr:1:node -n "$nodes")
fi"""

_AGAIN = """\
variables=KFAC_RESTARTS=$((restarts + 1))@task@
@variables@
next=$(@source@qsub -v "$variables"@script@) ||
    fail 'qsub does not continue it: submit it again'
echo "@name@: continued as $next"
@note@"""

_ARRAY_SOURCE = "sed '/^#PBS -{} /d' \"$0\" | "
"""A part of an array goes on as a job of its own, for an array of one PBS refuses."""


class OpenPbs(Dialect):
    """OpenPBS and PBS Professional: resources as ``select=``."""

    name, prefix, workdir = 'openpbs', '#PBS', '"${PBS_O_WORKDIR:-.}"'
    array_option, array_variable = 'J', 'PBS_ARRAY_INDEX'

    def options(self, job: JobDescription) -> list[str]:
        return [
            '-N ' + job.name,
            *(['-{} 1-{}'.format(self.array_option, len(job.tasks))] if _is_array(job) else []),
            *self.resources(job),
            '-l walltime=' + hours(job.walltime),
            '-r y',
            '-j oe',
            *(['-o ' + quoted(job.logs + '/')] if job.logs else []),
            *(['-A ' + job.account] if job.account else []),
            *(['-q ' + job.queue] if job.queue else [])]

    def resources(self, job: JobDescription) -> list[str]:
        chunk = 'ncpus={}:mpiprocs={}'.format(job.ranks_per_node * job.cpus_per_rank,
                                              job.ranks_per_node)
        if job.gpus_per_node:
            chunk += ':ngpus={}'.format(job.gpus_per_node)
        return ['-l select={}:{}'.format(job.nodes, chunk),
                *(['-l place=scatter'] if job.nodes > 1 else [])]

    def identity(self, job: JobDescription) -> str:
        parts = []
        if _is_array(job):
            parts.append('task=${{KFAC_TASK:-${{{}:?is not set: submit this script as an array}}}}'
                         .format(self.array_variable))
        if job.trains:
            parts.append('job=${PBS_JOBID:-$$}')
        return fill(_IDENTITY, {'id': ''.join(part + '\n' for part in parts),
                                'threads': str(job.cpus_per_rank)})

    def hosts(self, job: JobDescription) -> str:
        return fill(_HOSTS, {'nodes': str(job.nodes), 'ranks': str(job.ranks_per_node)})

    def launch(self, job: JobDescription) -> str:
        return mpirun(' --hostfile "$PBS_NODEFILE"')

    def again(self, job: JobDescription) -> str:
        array = _is_array(job)
        note = None
        if job.logs:
            note = 'echo "{} {} $next" >> {}'.format(job.name, '$task' if array else '1',
                                                     shlex.quote(job.logs + '/' + CONTINUED))
        return fill(_AGAIN, {
            'name': job.name, 'note': note,
            'task': ',KFAC_TASK=$task' if array else '',
            'source': _ARRAY_SOURCE.format(self.array_option) if array else '',
            'script': '' if array else ' "$0"',
            'variables': '\n'.join('variables+=,{0}=${{{0}:-}}'.format(name)
                                   for name in job.variables) or None})


class Torque(OpenPbs):
    """Torque: resources as ``nodes=``."""

    name = 'torque'
    array_option, array_variable = 't', 'PBS_ARRAYID'

    def resources(self, job: JobDescription) -> list[str]:
        request = 'nodes={}:ppn={}'.format(job.nodes, job.ranks_per_node * job.cpus_per_rank)
        return ['-l ' + request + (':gpus={}'.format(job.gpus_per_node) if job.gpus_per_node
                                   else '')]


def _is_array(job):
    return len(job.tasks) > 1
