#!/bin/bash
# A command of hiertl-dist under MPI, one rank per core:   sbatch mpirun.sh fit input.toml [options]
#
#SBATCH --job-name=hiertl
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=32
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=4G
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@180
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.out
#
# The three lines from --signal on make a job that does not fit into its time limit go on in the next one: see README.md.
# site.sh has the modules and folders. Here are:
# LAUNCHER: "mpirun" (default; the one that belongs to mpi4py's library, see ../README.md) or "srun".
# SRUN_MPI: with srun, the value of --mpi: pmi2 for the MPICH of PyPI, pmix for most builds of Open MPI.
# BIND:     how ranks are bound: "core" (default), or "none" where the queue has bound them already.
# SITE:     the file site.sh, if it is not beside this script.

set -euo pipefail

if [[ $# -lt 1 || -f $1 ]]; then
    echo "usage: sbatch mpirun.sh COMMAND ... , a command of hiertl-dist such as: fit input.toml" >&2
    exit 2
fi

# Slurm runs a copy of this script, and knows where the original is
script=${BASH_SOURCE[0]}
if [[ -n ${SLURM_JOB_ID:-} ]]; then
    script=$(scontrol show job "$SLURM_JOB_ID" | sed -n 's/^ *Command=\([^ ]*\).*/\1/p' | head -n 1)
fi
here=$(cd "$(dirname "$script")" && pwd)
# shellcheck source=site.sh
source "${SITE:-$here/site.sh}"
# shellcheck source=signals.sh
source "$here/signals.sh"

ranks=${SLURM_NTASKS:-2}
case ${LAUNCHER:-mpirun} in
    srun) launch=(srun --ntasks="$ranks" --mpi="${SRUN_MPI:-pmi2}") ;;
    *) launch=("${LAUNCHER:-mpirun}" -n "$ranks") ;;
esac
if [[ ${BIND:-core} == core ]]; then
    case ${LAUNCHER:-mpirun} in
        srun) launch+=(--cpu-bind=cores) ;;
        *) launch+=(--bind-to core) ;; # understood by Open MPI and by MPICH
    esac
fi

# ---- warm-up: one process compiles the kernels, so that the ranks find them. Not under the launcher, hence serial.
# Nodes with CPUs of other kinds compile their own. Problems (exit code 4) are printed, and judged below.
run "${HIERTL[@]}" doctor --executor serial || code=$?
if [[ ${code:=0} -ne 0 && $code -ne 4 ]]; then end "$code"; fi

# ---- are there as many ranks as asked for? mpirun of one MPI with the library of another gives N jobs of one rank.
report=$("${launch[@]}" "${HIERTL[@]}" doctor --executor mpi --json) || true
sizes=$(grep -o '"size": *[0-9]*' <<<"$report" | grep -o '[0-9]*$' | sort -u || true)
if [[ $sizes != "$ranks" ]]; then
    echo "asked for $ranks ranks, MPI says '${sizes//$'\n'/ }'. What the doctor says of it:" >&2
    grep -o '"problems": *\[[^]]*\]' <<<"$report" | sort -u >&2 || echo "${report:0:2000}" >&2
    exit 2
fi
echo "MPI has $ranks ranks"

# ---- the work
code=0
run "${launch[@]}" "${HIERTL[@]}" "$@" --executor mpi || code=$?
end "$code"
