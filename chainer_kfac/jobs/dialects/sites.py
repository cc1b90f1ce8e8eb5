"""Clusters with words of their own, for the examples in ``jobscripts/sites/``."""
from chainer_kfac.jobs.description import JobDescription, hours
from chainer_kfac.jobs.dialects.base import (
    Dialect,
    fill,
    mpirun,
    mpirun_hosts,
    pass_on,
    script_of_part,
)
from chainer_kfac.jobs.dialects.pbs import OpenPbs

_PJM_AGAIN = """\
variables=KFAC_RESTARTS=$((restarts + 1))@task@
@variables@
@script@
next=$(pjsub -x "$variables" "$script") || fail 'pjsub does not continue it: submit it again'
echo "@name@: continued: $next"
exit 3"""


class Abci(OpenPbs):
    """ABCI 3.0: PBS Professional whose groups are billed by ``-P``."""

    name, account_option = 'abci', 'P'


class Tsubame(Dialect):
    """TSUBAME 4.0: Grid Engine with types of nodes; the group is an option of qsub alone."""

    name, prefix, workdir = 'tsubame', '#$', '"$SGE_O_WORKDIR"'

    def options(self, job: JobDescription) -> list[str]:
        node = {0: 'cpu_4', 1: 'gpu_1', 4: 'node_f'}[job.gpus_per_node]
        return ['-N ' + job.name,
                *(['-t 1-{}'.format(len(job.tasks))] if job.is_array else []),
                '-l {}={}'.format(node, job.nodes),
                '-l h_rt=' + hours(job.walltime),
                '-r y', '-j y', '-cwd']

    def identity(self, job: JobDescription) -> str:
        parts = ['threads={}'.format(job.cpus_per_rank), 'restarts=${RESTARTED:-0}']
        if job.has_arguments:
            parts.append('task=$SGE_TASK_ID')
        if job.trains:
            parts.append('job=$JOB_ID-$SGE_TASK_ID')
        return ' '.join(parts)

    def hosts(self, job: JobDescription) -> str:
        return mpirun_hosts(job)

    def launch(self, job: JobDescription) -> str:
        return mpirun()

    def again(self, job: JobDescription) -> str:
        return 'exit 99  # which makes Grid Engine run it again'


class Ito(Dialect):
    """ITO, subsystem B: Fujitsu's PJM, one virtual node a node with 36 cores and four GPUs."""

    name, prefix, workdir = 'ito', '#PJM', '"$PJM_O_WORKDIR"'
    _machines = ' --mca plm_rsh_agent /bin/pjrsh -machinefile "$PJM_O_NODEINF"'

    def options(self, job: JobDescription) -> list[str]:
        return ['-N ' + job.name,
                *(['--bulk --sparam 1-{}'.format(len(job.tasks))] if job.is_array else []),
                '-L rscunit=ito-b', '-L rscgrp=ito-g-4',
                '-L vnode={}'.format(job.nodes), '-L vnode-core=36',
                '-L elapse=' + hours(job.walltime), '-j', '-X']

    def identity(self, job: JobDescription) -> str:
        lines = ['threads={} restarts=${{KFAC_RESTARTS:-0}}'.format(job.cpus_per_rank)]
        if job.is_array:
            lines.append('task=${KFAC_TASK:-${PJM_BULKNUM:?is not set: submit this with pjsub}}')
        if job.trains:
            lines.append('job=$PJM_JOBID' + ('-$task' if job.is_array else ''))
        return '\n'.join(lines)

    def hosts(self, job: JobDescription) -> str:
        return mpirun_hosts(job, self._machines)

    def launch(self, job: JobDescription) -> str:
        return mpirun(self._machines)

    def again(self, job: JobDescription) -> str:
        return fill(_PJM_AGAIN, {'name': job.name, 'variables': pass_on(job),
                                 'script': script_of_part(job, '#PJM --bulk'),
                                 'task': ',KFAC_TASK=$task' if job.is_array else ''})
