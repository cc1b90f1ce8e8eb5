"""PBS: ``qsub`` and ``#PBS``, in the words of OpenPBS (PBS Professional) and in those of Torque."""
import shlex

from chainer_kfac.jobs.description import JobDescription, hours
from chainer_kfac.jobs.dialects.base import (
    CONTINUED,
    Dialect,
    fill,
    mpirun,
    mpirun_hosts,
    pass_on,
    quoted,
    script_of_part,
)

_IDENTITY = """\
@id@threads=@threads@ restarts=${KFAC_RESTARTS:-0}"""

_HOSTFILE = ' --hostfile "$PBS_NODEFILE"'

_AGAIN = """\
variables=KFAC_RESTARTS=$((restarts + 1))@task@
@variables@
@script@
next=$(qsub@site@ \\
    -v "$variables" "$script") || fail 'qsub does not continue it: submit it again'
echo "@name@: continued as $next"
@note@
exit 3"""


class OpenPbs(Dialect):
    """OpenPBS and PBS Professional: resources as ``select=``."""

    name, prefix, workdir = 'openpbs', '#PBS', '"${PBS_O_WORKDIR:-.}"'
    array_option, array_variable, account_option = 'J', 'PBS_ARRAY_INDEX', 'A'

    def options(self, job: JobDescription) -> list[str]:
        return [
            '-N ' + job.name,
            *(['-{} 1-{}'.format(self.array_option, len(job.tasks))] if job.is_array else []),
            *self.resources(job),
            '-l walltime=' + hours(job.walltime),
            '-r y',
            '-j oe',
            *(['-o ' + quoted(job.logs + '/')] if job.logs else []),
            *(['-{} {}'.format(self.account_option, job.account)] if job.account else []),
            *(['-q ' + job.queue] if job.queue else [])]

    def resources(self, job: JobDescription) -> list[str]:
        chunk = 'ncpus={}:mpiprocs={}'.format(job.per_node * job.cpus_per_rank,
                                              job.per_node)
        if job.gpus_per_node:
            chunk += ':ngpus={}'.format(job.gpus_per_node)
        return ['-l select={}:{}'.format(job.nodes, chunk),
                *(['-l place=scatter'] if job.nodes > 1 else [])]

    def identity(self, job: JobDescription) -> str:
        parts = []
        if job.is_array:
            parts.append('task=${{KFAC_TASK:-${{{}:?is not set: submit this script as an array}}}}'
                         .format(self.array_variable))
        if job.trains:
            parts.append('job=${PBS_JOBID:-$$}')
        return fill(_IDENTITY, {'id': ''.join(part + '\n' for part in parts),
                                'threads': str(job.cpus_per_rank)})

    def hosts(self, job: JobDescription) -> str:
        return mpirun_hosts(job, _HOSTFILE)

    def launch(self, job: JobDescription) -> str:
        return mpirun(_HOSTFILE)

    def again(self, job: JobDescription) -> str:
        array = job.is_array
        note = None
        if job.logs:
            note = 'echo "{} {} $next" >> {}'.format(job.name, '$task' if array else '1',
                                                     shlex.quote(job.logs + '/' + CONTINUED))
        return fill(_AGAIN, {
            'name': job.name, 'note': note, 'task': ',KFAC_TASK=$task' if array else '',
            'script': script_of_part(job, '#PBS -' + self.array_option),
            # What a directive does not say has been said on a command line, from these.
            'site': ''.join(
                ' ${{{0}:+-{1} "${0}"}}'.format(name, option) for name, option, said in (
                    ('KFAC_ACCOUNT', self.account_option, job.account),
                    ('KFAC_QUEUE', 'q', job.queue)) if not said),
            'variables': pass_on(job)})


class Torque(OpenPbs):
    """Torque: resources as ``nodes=``."""

    name = 'torque'
    array_option, array_variable = 't', 'PBS_ARRAYID'

    def resources(self, job: JobDescription) -> list[str]:
        request = 'nodes={}:ppn={}'.format(job.nodes, job.per_node * job.cpus_per_rank)
        return ['-l ' + request + (':gpus={}'.format(job.gpus_per_node) if job.gpus_per_node
                                   else '')]
