#!/bin/bash
# A dask scheduler and workers on this machine, as in several terminals, for one command; all end with it.
#
#   ./dask_here.sh fit input.toml                  # as many workers as cores
#   WORKERS=2 MEMORY=3GiB ./dask_here.sh search input.toml
#
# They listen on 127.0.0.1 alone. "hiertl-dist fit input.toml" without all this starts workers of its own, too: this is for
# looking at the dashboard (DASHBOARD=8787), for several commands on one set of workers, and as a rehearsal for a cluster.
#
# WORKERS:    processes, with a thread each; default: one per core.
# MEMORY:     of each worker, as dask has it; default: the share of a worker.
# PORT:       of the scheduler; default: any that is free.
# DASHBOARD:  port of the dashboard (needs bokeh); default: none.
# SCRATCH:    folder for what workers spill, and for temporary files; default: a new one in TMPDIR, which is removed.
# HIERTL, PYTHON: the command and the interpreter, default hiertl-dist and python.

set -euo pipefail

if [[ $# -lt 1 || -f $1 ]]; then
    echo "usage: dask_here.sh COMMAND ... , a command of hiertl-dist such as: fit input.toml" >&2
    exit 2
fi
PYTHON=${PYTHON:-python}
read -ra HIERTL <<<"${HIERTL:-hiertl-dist}"
workers=${WORKERS:-$(nproc)}

# one BLAS thread per process: parallelism comes from processes
export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1

logs=$(mktemp -d)
scratch=${SCRATCH:-$logs/scratch}
mkdir -p "$scratch"
export TMPDIR=$scratch DASK_TEMPORARY_DIRECTORY=$scratch

started=()
child=
# shellcheck disable=SC2317 # called by traps
leave() {
    local code=$?
    trap - EXIT
    for ((k = ${#started[@]} - 1; k >= 0; k--)); do kill "${started[k]}" 2>/dev/null || true; done
    wait
    rm -rf "$logs"
    exit "$code"
}
trap leave EXIT
# shellcheck disable=SC2317
stop() { if [[ -n $child ]]; then kill "-$1" "$child" 2>/dev/null || true; else exit 75; fi; }
trap 'stop TERM' TERM
trap 'stop USR1' USR1
trap 'stop TERM' INT # what is started with & hears no SIGINT

dashboard=(--no-dashboard)
if [[ -n ${DASHBOARD:-} ]]; then dashboard=(--dashboard-address "127.0.0.1:$DASHBOARD"); fi
setsid "$PYTHON" -m distributed.cli.dask_scheduler --host 127.0.0.1 --port "${PORT:-0}" "${dashboard[@]}" \
    --scheduler-file "$logs/scheduler.json" >"$logs/scheduler" 2>&1 &
started+=($!)
for ((k = 0; k < 600; k++)); do
    if [[ -s $logs/scheduler.json ]]; then break; fi
    if ! kill -0 "${started[0]}" 2>/dev/null; then
        echo "dask_here.sh: the scheduler has not started:" >&2
        tail -n 5 "$logs/scheduler" >&2
        exit 1
    fi
    sleep 0.1
done
address=$(sed -n 's/.*"address": "\([^"]*\)".*/\1/p' "$logs/scheduler.json" | head -n 1)
memory=()
if [[ -n ${MEMORY:-} ]]; then memory=(--memory-limit "$MEMORY"); fi
setsid "$PYTHON" -m distributed.cli.dask_worker "$address" --host 127.0.0.1 --nworkers "$workers" --nthreads 1 \
    --no-dashboard --local-directory "$scratch" --death-timeout 60 "${memory[@]}" >"$logs/worker" 2>&1 &
started+=($!)
echo "scheduler at $address, $workers workers" >&2

"${HIERTL[@]}" "$@" --scheduler "$address" &
child=$!
while kill -0 "$child" 2>/dev/null; do
    wait "$child" || true # also ends when a signal comes
done
code=0
wait "$child" || code=$?
child=
exit "$code"
