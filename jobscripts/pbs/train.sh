#!/bin/bash
# One run.
# Reads CONFIG and jobscripts/env.sh, as in
#   qsub -v CONFIG=experiments/quickstart.yaml jobscripts/pbs/train.sh
#PBS -N kfac-train
#PBS -l select=1:ncpus=4:mpiprocs=1:ngpus=1
#PBS -l walltime=24:00:00
#PBS -r y
#PBS -j oe

run() {
    exec "${launch[@]}" chainer-kfac train "${CONFIG:-experiments/quickstart.yaml}"
}

# The rest is the same for every job: where and how that is run, and what becomes of it.
set -euo pipefail
fail() { echo "kfac-train: $1" >&2; exit 2; }
most=100  # times that a job is continued: one that gets nowhere ends some day
job=${PBS_JOBID:-$$}
threads=4 restarts=${KFAC_RESTARTS:-0}

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

cd "${PBS_O_WORKDIR:-.}"
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
    [ -z "${timer:-}" ] || kill "$timer" 2>/dev/null || true
    [ -z "${scratch:-}" ] || "${each_node[@]}" rm -rf "$scratch" || true
}
trap clean EXIT

nodes=1 ranks_per_node=1 each_node=(env)  # as asked for above
export KFAC_NODES=$nodes KFAC_RANKS_PER_NODE=$ranks_per_node
if [ "$nodes" -gt 1 ]; then
    each_node=(mpirun --hostfile "$PBS_NODEFILE" --map-by ppr:1:node -n "$nodes")
fi

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
    # Open MPI's; bound to cores, all threads of a process would share one
    launch=(mpirun --bind-to none --hostfile "$PBS_NODEFILE")
    launch+=(--map-by "ppr:$ranks_per_node:node" -n $((nodes * ranks_per_node)))
    for name in $(compgen -e); do  # other nodes get no variable by themselves
        case $name in
            PATH | LD_* | PYTHON* | CHAINER* | KFAC_* | *_NUM_THREADS | CUDA_* | NCCL_*)
                launch+=(-x "$name") ;;
        esac
    done
fi

# No warning of this scheduler can be relied on, so the script gives it to itself,
# 300 s before the walltime above.
( while [ "$SECONDS" -lt 86100 ]; do sleep 5; done; kill -USR1 $$ ) >/dev/null 2>&1 &
timer=$!

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
echo "kfac-train: the time is up, to be continued (exit code $code)"
clean
variables=KFAC_RESTARTS=$((restarts + 1))
variables+=,CONFIG=${CONFIG:-}
script=$0
next=$(qsub ${KFAC_ACCOUNT:+-A "$KFAC_ACCOUNT"} ${KFAC_QUEUE:+-q "$KFAC_QUEUE"} \
    -v "$variables" "$script") || fail 'qsub does not continue it: submit it again'
echo "kfac-train: continued as $next"
exit 3
