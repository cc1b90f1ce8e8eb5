#!/bin/bash
@about@
@directives@

run() {
@tasks@
@command@
}

# The rest is the same for every job: where and how that is run, and what becomes of it.
set -euo pipefail
fail() { echo "@name@: $1" >&2; exit 2; }
most=100  # times that a job is continued: one that gets nowhere ends some day
@identity@

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

@environment@
command -v chainer-kfac >/dev/null ||
    fail @nocommand@

# As many threads as a process has cores.
export OMP_NUM_THREADS=$threads OPENBLAS_NUM_THREADS=$threads
export MKL_NUM_THREADS=$threads NUMBA_NUM_THREADS=$threads

clean() {
    trap - EXIT
@clean@
}
trap clean EXIT

@hosts@

@stage@

@launch@

@timer@

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
if [ -z "$warned" ] || @finished@; then exit "$code"; fi
[ "$restarts" -lt "$most" ] || fail "not done after $restarts restarts"
echo "@name@: the time is up, to be continued (exit code $code)"
clean
@again@
