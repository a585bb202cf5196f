#!/bin/bash
# Fit under MPI on a Slurm cluster, one rank per core:   sbatch deploy/slurm_mpirun.sh input.toml [options of fit]
#
#SBATCH --job-name=hiertl
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=32
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=4G
#SBATCH --time=04:00:00
#SBATCH --output=%x-%j.out
#
# LAUNCHER: "mpirun" (default; the one that belongs to mpi4py's library, see README.md) or "srun".
# SRUN_MPI: with srun, the value of --mpi: pmi2 for the MPICH of PyPI, pmix for most builds of Open MPI.
# VENV:     the virtual environment that has hiertl_dist, default ~/hiertl.
# BIND:     how ranks are bound: "core" (default), or "none" where the queue has bound them already.

set -euo pipefail

input=${1:?usage: sbatch slurm_mpirun.sh input.toml [options of hiertl-dist fit]}
shift

# ---- environment: what the site needs. Modules come first, for a module may change PATH.
# module purge
# module load python/3.12 openmpi/5.0     # only where mpi4py was built with this MPI
VENV=${VENV:-$HOME/hiertl}
if [[ -f $VENV/bin/activate ]]; then
    # shellcheck disable=SC1091
    source "$VENV/bin/activate"
fi
read -ra HIERTL <<<"${HIERTL:-hiertl-dist}" # may be "python -m hiertl_dist.cli.commands"

# ---- one BLAS thread per rank. Tasks see to it themselves; this keeps idle threads from being made at all.
export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
# On nodes with different CPUs, for the same last digits everywhere (the doctor names it; it is slower on the newer):
# export OPENBLAS_CORETYPE=Haswell

# ---- compiled kernels: in a folder that all nodes share, compiled once below. Where the shared file system is slow
# with small files, take a folder of the node instead ($SLURM_TMPDIR), and compile once per node.
export NUMBA_CACHE_DIR=${NUMBA_CACHE_DIR:-${SLURM_SUBMIT_DIR:-$PWD}/.numba_cache}
mkdir -p "$NUMBA_CACHE_DIR"

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
"${HIERTL[@]}" doctor --executor serial || [[ $? -eq 4 ]]

# ---- are there as many ranks as asked for? mpirun of one MPI with the library of another gives N jobs of one rank.
report=$("${launch[@]}" "${HIERTL[@]}" doctor --executor mpi --json) || true
sizes=$(grep -o '"size": *[0-9]*' <<<"$report" | grep -o '[0-9]*$' | sort -u || true)
if [[ $sizes != "$ranks" ]]; then
    echo "asked for $ranks ranks, MPI says '${sizes//$'\n'/ }'. What the doctor says of it:" >&2
    grep -o '"problems": *\[[^]]*\]' <<<"$report" | sort -u >&2 || echo "${report:0:2000}" >&2
    exit 2
fi
echo "MPI has $ranks ranks"

# ---- the work. A job that ran out of time is submitted again as it is: what is complete in the store is kept.
"${launch[@]}" "${HIERTL[@]}" fit "$input" --executor mpi "$@"
