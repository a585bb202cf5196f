# What a site changes, in one place: sourced by mpirun.sh, array.sh and dask_jobs.sh, and by the workers' jobs of the
# last. Copy this folder, edit this file, and leave the others as they are.
# shellcheck shell=bash
#
# VENV:            virtual environment that has hiertl_dist, default ~/hiertl.
# HIERTL:          the command, default hiertl-dist; may be "python -m hiertl_dist.cli".
# NUMBA_CACHE_DIR: folder of compiled kernels, default: .numba_cache where sbatch was called.
# NODE_SCRATCH:    folder on a disk of each node for temporary files, default: $SLURM_TMPDIR, else what TMPDIR is, else /tmp.

# ---- modules come first, for a module may change PATH
# module purge
# module load python/3.12 openmpi/5.0     # an MPI only where mpi4py was built with it
VENV=${VENV:-$HOME/hiertl}
if [[ -f $VENV/bin/activate ]]; then
    # shellcheck disable=SC1091
    source "$VENV/bin/activate"
fi
read -ra HIERTL <<<"${HIERTL:-hiertl-dist}"

# ---- one BLAS thread per process. Tasks see to it themselves; this keeps idle threads from being made at all.
export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1
# On nodes with different CPUs, for the same last digits everywhere (the doctor names it; it is slower on the newer):
# export OPENBLAS_CORETYPE=Haswell

# ---- compiled kernels: in a folder that all nodes share, compiled once by the warm-up. Where the shared file system is
# slow with small files, take a folder of the node instead, and each node compiles once.
export NUMBA_CACHE_DIR=${NUMBA_CACHE_DIR:-${SLURM_SUBMIT_DIR:-$PWD}/.numba_cache}
mkdir -p "$NUMBA_CACHE_DIR"

# ---- scratch: values of the executor "processes" and what dask spills. Never the store, which all nodes must see.
# /tmp is memory on some clusters (df /tmp says tmpfs), and then counts against the job: name a disk.
export TMPDIR=${NODE_SCRATCH:-${SLURM_TMPDIR:-${TMPDIR:-/tmp}}}
export DASK_TEMPORARY_DIRECTORY=$TMPDIR
