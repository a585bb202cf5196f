# How job scripts hear signals, and go back into the queue; sourced by mpirun.sh, array.sh and dask_jobs.sh.
# shellcheck shell=bash
#
# sbatch --signal=B:USR1@180 warns the shell of a job before its time limit. The warning goes on to the command, which stops
# where a tile has ended, with exit code 75; then the job is requeued, and goes on from there.
# MAX_RESTARTS: how often a job is requeued, default 10.

warned=
child=
warn() {
    warned=$1
    if [[ -n $child ]]; then kill "-$1" "$child" 2>/dev/null || true; fi
}
trap 'warn USR1' USR1
trap 'warn TERM' TERM

run() { # a command whose exit code is returned, and which hears signals: bash hears none while it waits in front
    local code
    if [[ -n $warned ]]; then return 75; fi
    "$@" &
    child=$!
    if [[ -n $warned ]]; then kill "-$warned" "$child" 2>/dev/null || true; fi # it came in between
    while kill -0 "$child" 2>/dev/null; do
        wait "$child" || true # also ends when a signal comes
    done
    code=0
    wait "$child" || code=$?
    child=
    return "$code"
}

end() { # of the job, with the exit code of its command: back into the queue where the time limit stopped it
    local code=$1
    trap - USR1 TERM
    if [[ $code -eq 75 && $warned == USR1 && -n ${SLURM_JOB_ID:-} ]]; then
        if ((${SLURM_RESTART_COUNT:-0} >= ${MAX_RESTARTS:-10})); then
            echo "stopped by the time limit after ${SLURM_RESTART_COUNT} restarts (MAX_RESTARTS): submit the job again" >&2
        elif scontrol requeue "$SLURM_JOB_ID"; then
            echo "stopped before the time limit; job $SLURM_JOB_ID is back in the queue and goes on from what is done" >&2
            sleep 60 # Slurm ends this shell meanwhile
        else
            echo "stopped before the time limit; Slurm does not requeue this job: submit it again as it is" >&2
        fi
    elif [[ $code -eq 75 ]]; then
        echo "stopped by a signal; submit the job again as it is, and it goes on from what is done" >&2
    fi
    exit "$code"
}
