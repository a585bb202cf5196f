#!/bin/bash
# dask_jobs.py in a job of its own: one core that submits workers' jobs and hands them work.
#
#   sbatch dask_jobs.sh --workers 128 --cores 32 --memory 128GiB --walltime 04:00:00 -- fit input.toml
#
#SBATCH --job-name=hiertl-dask
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=8G
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@180
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.out
#
# SITE: the file site.sh, if it is not beside this script; workers' jobs source it, too.

set -euo pipefail

# Slurm runs a copy of this script, and knows where the original is
script=${BASH_SOURCE[0]}
if [[ -n ${SLURM_JOB_ID:-} ]]; then
    script=$(scontrol show job "$SLURM_JOB_ID" | sed -n 's/^ *Command=\([^ ]*\).*/\1/p' | head -n 1)
fi
here=$(cd "$(dirname "$script")" && pwd)
site=$(realpath "${SITE:-$here/site.sh}")
# shellcheck source=site.sh
source "$site"
# shellcheck source=signals.sh
source "$here/signals.sh"

code=0
run python "$here/dask_jobs.py" --setup "source $(printf %q "$site")" --numba-cache "$NUMBA_CACHE_DIR" "$@" || code=$?
end "$code"
