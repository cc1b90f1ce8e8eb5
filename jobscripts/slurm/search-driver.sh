#!/bin/bash
# The driver of a search.
# Reads OPTIMIZER, BATCH, TRIALS, PROFILE, DATASET and jobscripts/env.sh, as in
#   OPTIMIZER=adam sbatch jobscripts/slurm/search-driver.sh
#SBATCH --job-name=kfac-driver
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=1
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x.%j.log

run() {
    exec chainer-kfac search --optimizer "${OPTIMIZER:-kfac}" --batch "${BATCH:-2048}" \
        --trials "${TRIALS:-100}" --profile "${PROFILE:-paper}" ${DATASET:+--dataset "$DATASET"} \
        --workers 0
}

# The rest is the same for every job: where and how that is run, and what becomes of it.
set -euo pipefail
fail() { echo "kfac-driver: $1" >&2; exit 2; }
most=100  # times that a job is continued: one that gets nowhere ends some day
: "${SLURM_JOB_ID:?is not set: submit this script with sbatch}"
job=$SLURM_JOB_ID
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
}
trap clean EXIT

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
echo "kfac-driver: the time is up, to be continued (exit code $code)"
clean
scontrol requeue "$job" || fail 'SLURM does not requeue it: submit it again'
exit 3
