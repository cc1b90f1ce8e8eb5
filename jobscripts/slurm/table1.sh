#!/bin/bash
# The cells of Table 1.
# Reads PROFILE, DATASET, SEEDS and jobscripts/env.sh, as in
#   PROFILE=short sbatch jobscripts/slurm/table1.sh
#SBATCH --job-name=kfac-table1
#SBATCH --array=1-9
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --gres=gpu:1
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x.%A_%a.log

run() {
    case $task in
        1) arguments=(--optimizer momentum_sgd --batch 128) ;;
        2) arguments=(--optimizer momentum_sgd --batch 512) ;;
        3) arguments=(--optimizer momentum_sgd --batch 2048) ;;
        4) arguments=(--optimizer adam --batch 128) ;;
        5) arguments=(--optimizer adam --batch 512) ;;
        6) arguments=(--optimizer adam --batch 2048) ;;
        7) arguments=(--optimizer kfac --batch 128) ;;
        8) arguments=(--optimizer kfac --batch 512) ;;
        9) arguments=(--optimizer kfac --batch 2048) ;;
        *) fail "there is no task $task" ;;
    esac
    exec "${launch[@]}" chainer-kfac table1 --profile "${PROFILE:-auto}" \
        ${DATASET:+--dataset "$DATASET"} --seeds "${SEEDS:-1}" "${arguments[@]}"
}

# The rest is the same for every job: where and how that is run, and what becomes of it.
set -euo pipefail
fail() { echo "kfac-table1: $1" >&2; exit 2; }
most=100  # times that a job is continued: one that gets nowhere ends some day
: "${SLURM_JOB_ID:?is not set: submit this script with sbatch}"
job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID task=$SLURM_ARRAY_TASK_ID
threads=$SLURM_CPUS_PER_TASK restarts=${SLURM_RESTART_COUNT:-0}

warned='' told='' ended='' pid=''
tell() {  # once: a second signal would end the command without a snapshot
    if [ -n "$pid" ] && [ -z "$told" ]; then
        told=1
        sleep 1  # a shell that was only just forked, to become the command, would lose it
        kill -USR1 "$pid" 2>/dev/null || true  # it may have ended by now
    fi
}
trap 'warned=1; tell' USR1                      # the time is nearly up
trap 'ended=1; [ -n "$pid" ] || exit 143' TERM  # the command has got it as well

cd "$SLURM_SUBMIT_DIR"
# Modules, virtual environment, addresses. They may read variables that are not set.
[ -f jobscripts/env.sh ] || fail 'no jobscripts/env.sh: copy env.sh.example to it and edit it'
trap 'fail "$(basename "${BASH_SOURCE[0]}"), line $LINENO: $BASH_COMMAND"' ERR
set +u
# shellcheck source=/dev/null
source jobscripts/env.sh
set -u
trap - ERR
command -v chainer-kfac >/dev/null ||
    fail 'no chainer-kfac on the PATH: activate its virtual environment in jobscripts/env.sh'

# As many threads as a process has cores.
export OMP_NUM_THREADS=$threads OPENBLAS_NUM_THREADS=$threads
export MKL_NUM_THREADS=$threads NUMBA_NUM_THREADS=$threads

clean() {
    trap - EXIT
    [ -z "${scratch:-}" ] || "${each_node[@]}" rm -rf "$scratch" || true
}
trap clean EXIT

nodes=$SLURM_JOB_NUM_NODES ranks_per_node=$SLURM_NTASKS_PER_NODE each_node=(env)
export KFAC_NODES=$nodes KFAC_RANKS_PER_NODE=$ranks_per_node
[ "$nodes" -eq 1 ] || each_node=(srun --mpi=none --ntasks="$nodes" --ntasks-per-node=1)

# The images on the nodes' own disks: a copy for this job, removed at its end.
images=pfnet/chainer/cifar
shared=${CHAINER_DATASET_ROOT:-$HOME/.chainer/dataset}
scratch=${KFAC_SCRATCH:-${TMPDIR:-/tmp}}/kfac-${job//[^0-9A-Za-z]/-}
if [ -d "$shared/$images" ]; then
    # shellcheck disable=SC2016
    if "${each_node[@]}" bash -c 'mkdir -p "$2" && cp -R "$1" "$2"' copy \
            "$shared/$images" "$scratch/${images%/*}"; then
        export CHAINER_DATASET_ROOT=$scratch
    else
        echo "no copy of the images in $scratch: they are read from $shared" >&2
    fi
fi

launch=(env)  # one process needs no MPI
if [ $((nodes * ranks_per_node)) -gt 1 ]; then
    launch=(srun --kill-on-bad-exit=1 --cpus-per-task="$threads")
fi

run &
pid=$!
[ -z "$warned" ] || tell
wait "$pid" || true  # comes back early when there is a signal
while kill -0 "$pid" 2>/dev/null; do wait "$pid" || true; done
code=0
wait "$pid" || code=$?
pid=''

# 0 done, 1 a run failed, 2 something to mend, more: ended by a signal. 3: it goes on elsewhere.
[ -z "$ended" ] || exit 143
if [ -z "$warned" ] || [ "$code" -le 2 ]; then exit "$code"; fi
[ "$restarts" -lt "$most" ] || fail "not done after $restarts restarts"
echo "kfac-table1: the time is up, to be continued (exit code $code)"
clean
scontrol requeue "$job" || fail 'SLURM does not requeue it: submit it again'
exit 3
