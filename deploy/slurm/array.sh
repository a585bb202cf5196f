#!/bin/bash
# Tasks of a job array that share out work, each on one node with processes of its own:
#
#   sbatch --array=0-7 array.sh assemble input.toml         eight nodes fill one store: each computes what none has claimed
#   sbatch --array=0-2 array.sh fit a.toml b.toml c.toml    one model, or one search, a task: task k takes the k-th file
#   sbatch --array=0-3 array.sh import FOLDER run*.xyz      one file a task, each a data set FOLDER/NAME of its own
#
# What stands behind -- is handed on, as in: array.sh search a.toml b.toml -- --rule one_se. There may be fewer tasks than
# files (task k takes each T-th, from the k-th on); more tasks than files only for assemble, whose tiles they share, and summarise,
# where one works and the others wait.
#
#SBATCH --job-name=hiertl-array
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=32
#SBATCH --mem-per-cpu=4G
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@180
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A_%a.out
#
# SITE: the file site.sh, if it is not beside this script.

set -euo pipefail

usage() {
    echo "usage: sbatch --array=0-N array.sh COMMAND FILE ... [-- OPTION ...], COMMAND being assemble, fit, search, ..." >&2
    exit 2
}
verb=${1:-}
shift || usage
folder=
if [[ $verb == import ]]; then
    folder=${1:-}
    shift || usage
fi
files=()
while [[ $# -gt 0 && $1 != -- ]]; do
    files+=("$1")
    shift
done
shift || true # the --
if [[ -z $verb || ${#files[@]} -eq 0 ]]; then usage; fi

tasks=${SLURM_ARRAY_TASK_COUNT:?this is a job array: sbatch --array=0-N array.sh ...}
rank=$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN))
if ((SLURM_ARRAY_TASK_MAX - SLURM_ARRAY_TASK_MIN + 1 != tasks)); then
    echo "array.sh: expected numbers without gaps, such as --array=0-$((tasks - 1)), found $tasks tasks from" \
        "$SLURM_ARRAY_TASK_MIN to $SLURM_ARRAY_TASK_MAX: files would be left out" >&2
    exit 2
fi
mine=()
if ((tasks <= ${#files[@]})); then
    for ((k = rank; k < ${#files[@]}; k += tasks)); do mine+=("${files[k]}"); done
elif [[ $verb == assemble || $verb == summarise ]]; then
    mine=("${files[rank % ${#files[@]}]}")
else
    echo "array.sh: $tasks tasks for ${#files[@]} files, and each would do all of '$verb' again and write the same" \
        "results: --array=0-$((${#files[@]} - 1)), or first 'assemble', which tasks share" >&2
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

workers=${SLURM_CPUS_PER_TASK:-1}
failed=0
# of this job, restarts included: what a task has done already is not done again
finished=${SLURM_SUBMIT_DIR:-$PWD}/.${SLURM_JOB_NAME:-array}-${SLURM_ARRAY_JOB_ID:-0}_$SLURM_ARRAY_TASK_ID.done
touch "$finished"
for file in "${mine[@]}"; do
    if grep -qxF -- "$file" "$finished"; then
        echo "task $((rank + 1)) of $tasks: $file was done before the restart"
        continue
    fi
    command=("$verb" "$file")
    if [[ $verb == import ]]; then
        name=$(basename "$file")
        command=(import "$folder/${name%.*}" "$file")
    fi
    echo "task $((rank + 1)) of $tasks: ${command[*]}"
    code=0
    run "${HIERTL[@]}" "${command[@]}" --executor processes --workers "$workers" "$@" || code=$?
    if [[ $code -eq 75 ]]; then end 75; fi
    if [[ $code -eq 0 ]]; then
        echo "$file" >>"$finished"
    else
        echo "array.sh: '${command[*]}' ended with exit code $code" >&2
        failed=$code
    fi
done
rm -f "$finished"
end "$failed"
