"""A throw-away SLURM cluster of two nodes on this machine.

Real daemons (Debian: ``slurm-wlm``, ``slurm-wlm-torque``, ``munge``, ``libpmix-dev``), without
systemd, in a folder and on ports of their own. All its processes, jobs included, live in one PID
namespace, which ends with its first process, and that one ends when the tests let go of its input:
nothing survives them, even when they are killed.
Each node has a host name of its own, so that MPI sees two machines, and two files that stand for
GPUs.
"""
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

NODES = ('n1', 'n2')
CPUS = 16
GPUS = 2
STOP_SECONDS = 10
COMMANDS = ('munged', 'slurmctld', 'slurmd', 'sbatch', 'generate_pbs_nodefile', 'unshare')
PACKAGES = 'slurm-wlm slurm-wlm-torque munge libpmix-dev'

ENDED = ('COMPLETED', 'FAILED', 'CANCELLED', 'TIMEOUT', 'NODE_FAIL', 'OUT_OF_MEMORY', 'BOOT_FAIL')
"""States that a job does not leave."""

# Why each odd line: config_overrides, else more CPUs than the machine has make a node invalid; a
# TmpFS each, else the second node's PMIx server finds the first one's folder; cred_expire and
# sched_interval, else a job that is requeued waits for two minutes; CR_LLN, else all jobs share n1.
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CommunicationParameters=NoCtldInAddrAny
MpiDefault=pmix
TmpFS={folder}/tmp-%n
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/run/ctld.pid
SlurmdPidFile={folder}/run/%n.pid
SlurmctldLogFile={folder}/log/ctld
SlurmdLogFile={folder}/log/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core,CR_LLN
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1
ReturnToService=2
KillWait=5
MinJobAge=3600
MailProg=/bin/true
PlugStackConfig={folder}/plugstack.conf
TaskProlog={folder}/prolog.sh
JobSubmitPlugins=lua
GresTypes=gpu
{nodes}
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""

# What PBS gives to a job and Debian's qsub alone does not: its spank plugin sets the other names.
PROLOG = """\
#!/bin/sh
file={folder}/nodefile.$SLURM_JOB_ID
[ "${{SLURM_PROCID:-0}}" != 0 ] || [ -s "$file" ] || mv "$(generate_pbs_nodefile)" "$file"
echo "export PBS_NODEFILE=$file"
echo 'export PBS_ENVIRONMENT=PBS_BATCH'
[ -z "${{SLURM_ARRAY_TASK_ID:-}}" ] || echo "export PBS_ARRAYID=$SLURM_ARRAY_TASK_ID"
"""

# What a limit on the jobs of a user does, which needs an accounting database: see
# SlurmCluster.room_for_one_after. A job has a script here as soon as it is accepted; one that
# sbatch only asks about takes a number and has none.
JOB_SUBMIT = """\
local function is_there(path)
    local file = io.open(path)
    if file ~= nil then file:close() end
    return file ~= nil
end

function slurm_job_submit()
    for last in io.lines('{folder}/last') do
        for number = last + 1, last + 9 do
            local script = '{folder}/state/hash.%d/job.%d/script'
            if is_there(script:format(number % 10, number)) then
                slurm.log_user('you have too many jobs here')
                return slurm.ERROR
            end
        end
    end
    return slurm.SUCCESS
end

function slurm_job_modify()
    return slurm.SUCCESS
end

return slurm.SUCCESS
"""

# The first process of the namespace: starts the daemons and waits for the end of its input.
FIRST = """\
set -eu
munged --foreground --force --num-threads=2 --key-file={folder}/munge/key \\
    --socket={folder}/munge/socket --pid-file={folder}/munge/pid --log-file={folder}/log/munge \\
    --seed-file={folder}/munge/seed &
while [ ! -S {folder}/munge/socket ]; do sleep 0.05; done
slurmctld -D -f {folder}/slurm.conf &
for node in {nodes}; do
    unshare --uts sh -c "hostname $node; exec slurmd -D -f {folder}/slurm.conf -N $node" &
done
cat
"""


def missing() -> str | None:
    """Why there can be no cluster here, or ``None``."""
    if os.getuid() != 0:
        return 'a SLURM cluster for tests needs root, for host names and a PID namespace'
    absent = [name for name in COMMANDS if shutil.which(name, path=_path()) is None]
    if absent:
        return 'a SLURM cluster for tests needs {} (Debian: apt install {})'.format(
            ', '.join(absent), PACKAGES)
    if subprocess.run(_namespace('true'), capture_output=True, check=False).returncode != 0:
        return 'a SLURM cluster for tests needs PID and UTS namespaces, which are forbidden here'
    return None


def _path():
    return os.pathsep.join([os.environ.get('PATH', os.defpath), '/usr/sbin', '/sbin'])


def _namespace(*command):
    """The command as the first process of a PID namespace."""
    return ['unshare', '--pid', '--mount-proc', '--uts', '--fork', '--kill-child', *command]


def _free_ports(n):
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(n)]
        for probe in probes:
            probe.bind(('127.0.0.1', 0))
        return [probe.getsockname()[1] for probe in probes]


def until(condition, seconds=30, said=str):
    """Wait for a condition; ``said()`` tells what there is instead when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, said()
        time.sleep(0.1)


class SlurmCluster:
    """Two nodes, n1 and n2, with 16 CPUs and two GPUs each, as SLURM is told.

    Attributes:
        folder (pathlib.Path): configuration, logs and state; removed by `stop`.
        environment (dict): variables with which commands reach this cluster, and no other.
    """

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='kfac-slurm-'))
        self.environment = self._environment()
        self._first = None

    def _environment(self):
        """As a user's login shell: nothing of a scheduler's or MPI's job that runs the tests."""
        inherited = {name: value for name, value in os.environ.items()
                     if not name.startswith(('SLURM', 'SBATCH', 'PBS', 'OMPI_', 'PMI', 'PRTE_'))}
        beside_python = str(pathlib.Path(sys.executable).parent)
        return {**inherited, 'SLURM_CONF': str(self.folder / 'slurm.conf'),
                'TMPDIR': str(self.folder / 'tmp'),  # Open MPI leaves files when it is killed
                'OMPI_ALLOW_RUN_AS_ROOT': '1', 'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1',
                'PATH': os.pathsep.join([beside_python, _path()])}

    def start(self):
        """Write the configuration, start the daemons and wait until both nodes take jobs."""
        self._write()
        script = FIRST.format(folder=self.folder, nodes=' '.join(NODES))
        with open(self.folder / 'log' / 'first', 'wb') as log:
            self._first = subprocess.Popen(
                _namespace('sh', '-c', script), stdin=subprocess.PIPE, stdout=log, stderr=log,
                env=self.environment)
        idle = 'idle {}\n'.format(len(NODES))
        until(lambda: self.run('sinfo', '-h', '-o', '%T %D').stdout == idle, said=self.logs)

    def _write(self):
        for name in ('log', 'run', 'state', 'munge', 'tmp'):
            (self.folder / name).mkdir()
        self.folder.chmod(0o755)  # munge refuses a socket that others could not reach
        key = self.folder / 'munge' / 'key'
        key.touch(0o600)
        key.write_bytes(os.urandom(128))
        port, *ports = _free_ports(1 + len(NODES))
        nodes = []
        for node, node_port in zip(NODES, ports):
            (self.folder / 'spool-{}'.format(node)).mkdir()
            (self.folder / 'tmp-{}'.format(node)).mkdir()
            nodes.append('NodeName={0} NodeHostname={0} NodeAddr=127.0.0.1 Port={1} CPUs={2} '
                         'Gres=gpu:{3}'.format(node, node_port, CPUS, GPUS))
        self._file('slurm.conf', CONFIGURATION.format(
            folder=self.folder, host=socket.gethostname().split('.')[0], port=port,
            nodes='\n'.join(nodes)))
        gpus = [self.folder / 'gpu{}'.format(i) for i in range(GPUS)]
        for gpu in gpus:
            os.mknod(gpu, 0o666 | 0o020000, os.makedev(1, 3))  # /dev/null by another name
        self._file('gres.conf', ''.join(
            'NodeName={} Name=gpu File={}\n'.format(node, gpu) for node in NODES for gpu in gpus))
        self._file('last', '')
        self._file('job_submit.lua', JOB_SUBMIT.format(folder=self.folder))
        self._file('plugstack.conf', 'required spank_pbs.so\n')
        self._file('prolog.sh', PROLOG.format(folder=self.folder)).chmod(0o755)

    def _file(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def stop(self):
        """End every process of the cluster, and remove its files."""
        if self._first is not None:
            self._first.stdin.close()
            self._first.wait(timeout=STOP_SECONDS)
        shutil.rmtree(self.folder)

    def logs(self) -> str:
        """The ends of the daemons' logs."""
        return '\n'.join('== {}\n{}'.format(path.name, path.read_text(errors='replace')[-2000:])
                         for path in sorted((self.folder / 'log').iterdir()))

    def run(self, *command, cwd=None, timeout=60, **variables) -> subprocess.CompletedProcess:
        """Run a command as a user of this cluster does; look at its ``returncode``."""
        return subprocess.run(
            list(map(str, command)), cwd=cwd, env={**self.environment, **variables},
            capture_output=True, text=True, timeout=timeout, check=False)

    def sbatch(self, folder, script, *options) -> str:
        """Submit a script by its text, with ``folder`` as working directory; the job's number."""
        path = pathlib.Path(folder) / 'job.sh'
        path.write_text(script)
        result = self.run('sbatch', '--parsable', *options, path, cwd=folder)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def states(self, job) -> list[str]:
        """The state of a job, or of each task of its array."""
        shown = self.run('squeue', '-h', '-t', 'all', '-r', '-j', job, '-o', '%T')
        assert shown.returncode == 0, shown.stderr
        return shown.stdout.split()

    def wait(self, job, timeout=120) -> list[str]:
        """The states in which a job, or each task of its array, has ended."""
        def ended():
            states = self.states(job)
            return states and all(state in ENDED for state in states)

        until(ended, timeout, lambda: self.run('scontrol', 'show', 'job', job).stdout)
        return self.states(job)

    @contextlib.contextmanager
    def room_for_one_after(self, job):
        """For the block, one more job is accepted after that one."""
        self._file('last', str(job))
        try:
            yield
        finally:
            self._file('last', '')

    def cancel_all(self):
        """End all jobs and wait until the nodes are free again."""
        self.run('scancel', '--signal=KILL', '--full', '--user=root')
        self.run('scancel', '--user=root')
        until(lambda: self.run('squeue', '-h').stdout == '', said=self.logs)
