"""SLURM: ``sbatch`` and ``#SBATCH``."""
from chainer_kfac.jobs.description import JobDescription, hours
from chainer_kfac.jobs.dialects.base import Dialect, fill, mpirun, quoted

_IDENTITY = """\
: "${SLURM_JOB_ID:?is not set: submit this script with sbatch}"
@id@
threads=$SLURM_CPUS_PER_TASK restarts=${SLURM_RESTART_COUNT:-0}"""
# Not SLURM_JOB_ID: the last task of an array has the number of the whole array.
_ARRAY_ID = 'job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID'

_HOSTS = """\
nodes=$SLURM_JOB_NUM_NODES ranks_per_node=$SLURM_NTASKS_PER_NODE each_node=(env)
export KFAC_NODES=$nodes KFAC_RANKS_PER_NODE=$ranks_per_node
[ "$nodes" -eq 1 ] || each_node=(srun --mpi=none --ntasks="$nodes" --ntasks-per-node=1)"""

_SRUN = """\
launch=(env)  # one process needs no MPI
if [ $((nodes * ranks_per_node)) -gt 1 ]; then
    launch=(srun --kill-on-bad-exit=1 --cpus-per-task="$threads")
fi"""

_AGAIN = """\
scontrol requeue "$job" || fail 'SLURM does not requeue it: submit it again'
exit 3"""


class Slurm(Dialect):
    """SLURM's dialect."""

    name, prefix, workdir = 'slurm', '#SBATCH', '"$SLURM_SUBMIT_DIR"'
    needs_timer = False

    def options(self, job: JobDescription) -> list[str]:
        log = '%x.{}.log'.format('%A_%a' if job.is_array else '%j')
        if job.logs:
            log = '{}/{}'.format(job.logs, log)
        return [
            '--job-name=' + job.name,
            *(['--array=1-{}'.format(len(job.tasks))] if job.is_array else []),
            '--nodes={}'.format(job.nodes),
            '--ntasks-per-node={}'.format(job.per_node),
            '--cpus-per-task={}'.format(job.cpus_per_rank),
            *(['--gres=gpu:{}'.format(job.gpus_per_node)] if job.gpus_per_node else []),
            '--time=' + hours(job.walltime),
            '--signal=B:USR1@{}'.format(job.warning),
            '--requeue',
            '--open-mode=append',
            '--output=' + quoted(log),
            *(['--account=' + job.account] if job.account else []),
            *(['--partition=' + job.queue] if job.queue else [])]

    def identity(self, job: JobDescription) -> str:
        number = _ARRAY_ID if job.is_array else 'job=$SLURM_JOB_ID'
        return fill(_IDENTITY, {'id': number + (' task=$SLURM_ARRAY_TASK_ID' if job.has_arguments
                                                else '')})

    def hosts(self, job: JobDescription) -> str:
        return _HOSTS

    def launch(self, job: JobDescription) -> str:
        return _SRUN if job.launcher == 'srun' else mpirun()

    def again(self, job: JobDescription) -> str:
        return _AGAIN
