#!/bin/bash
# The driver of a search.
# Reads OPTIMIZER, BATCH, TRIALS, PROFILE, DATASET and jobscripts/env.sh, as in
#   qsub -v OPTIMIZER=adam jobscripts/pbs/torque/search-driver.sh
#PBS -N kfac-driver
#PBS -l nodes=1:ppn=1
#PBS -l walltime=24:00:00
#PBS -r y
#PBS -j oe

run() {
    exec chainer-kfac search --optimizer "${OPTIMIZER:-kfac}" --batch "${BATCH:-2048}" \
        --trials "${TRIALS:-100}" --profile "${PROFILE:-paper}" ${DATASET:+--dataset "$DATASET"} \
        --workers 0
}

# The rest is the same for every job: where and how that is run, and what becomes of it.
set -euo pipefail
fail() { echo "kfac-driver: $1" >&2; exit 2; }
most=100  # times that a job is continued: one that gets nowhere ends some day
threads=1 restarts=${KFAC_RESTARTS:-0}

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
}
trap clean EXIT

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
echo "kfac-driver: the time is up, to be continued (exit code $code)"
clean
variables=KFAC_RESTARTS=$((restarts + 1))
variables+=,OPTIMIZER=${OPTIMIZER:-}
variables+=,BATCH=${BATCH:-}
variables+=,TRIALS=${TRIALS:-}
variables+=,PROFILE=${PROFILE:-}
variables+=,DATASET=${DATASET:-}
script=$0
next=$(qsub ${KFAC_ACCOUNT:+-A "$KFAC_ACCOUNT"} ${KFAC_QUEUE:+-q "$KFAC_QUEUE"} \
    -v "$variables" "$script") || fail 'qsub does not continue it: submit it again'
echo "kfac-driver: continued as $next"
exit 3
