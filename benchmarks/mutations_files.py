"""Damaged files that others wrote, or this package earlier: each is read, or refused by an error of the package.

``python benchmarks/mutations_files.py [number] [seed] [kind ...]`` does for packed frames, for what ASE reads, for
what this package writes (solutions, covariances, libraries, data sets, design stores, summaries, checkpoints, results
and tables that ``report`` reads), for weights and templates, and for what searches, calibrations and cycles keep, what
``mutations_models.py`` does for text, with the same kinds of damage and three for binary files. The readers run in a
process of their own, which may take ``GIGABYTES`` more memory than it had: one that dies or says nothing for
``SECONDS`` is a fault as a foreign exception is, and another process goes on with the next input; one that does not
read the undamaged files ends the run. A warning of numpy counts as one, too; and so does what is read in silence of
damaged files that carry checksums, where it is something else than was there.
"""

from __future__ import annotations

import json
import resource
import selectors
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from random import Random
from typing import Final

from damaged_files import KINDS as FILES
from damaged_files import Kind
from damaged_inputs import INPUTS
from damaged_results import RESULTS
from mutations_models import Found

from hiertl_dist.errors import HiertlError, HiertlWarning

KINDS: Final = (*FILES, *RESULTS, *INPUTS)
SECONDS: Final = 30.0
GIGABYTES: Final = 2.0


def read_damaged(kind: Kind, seed: str, folder: Path, files: list[Path], good: object) -> tuple[str, str]:
    """Damage one of the files, read all, put it back: what came of it, and the foreign exception; ``good`` is what
    undamaged files say."""
    rng = Random(seed)
    path = rng.choice(files)
    whole = path.read_bytes()
    path.write_bytes(kind.inside(whole, rng))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            warnings.simplefilter("ignore", HiertlWarning)
            read = kind.read(folder)
    except HiertlError:
        return "refused", ""
    except OSError as error:  # a path in it leads nowhere
        return "not found", f"{type(error).__name__}: {error}"[:300]
    except BaseException as error:  # a reader that ends the process is a fault, too
        return "foreign", f"{path.relative_to(folder)}: {type(error).__name__}: {error}"[:400]
    else:
        silent = kind.checked and read != good
        return ("silent", f"{path.relative_to(folder)}: something else was read") if silent else ("read", "")
    finally:
        path.write_bytes(whole)


def files_of(kind: Kind, folder: Path) -> list[Path]:
    """Those that are damaged, in order; locks have nothing in them that anybody reads."""
    return sorted(p for p in folder.glob(kind.pattern) if p.is_file() and ".lock" not in p.name)


def serve(name: str, seed: int, first: int, stop: int, folder: Path) -> None:
    """Read the damaged files with numbers from first up to stop; a line of JSON about each."""
    (kind,) = (k for k in KINDS if k.name == name)
    files = files_of(kind, folder)
    warnings.simplefilter("ignore")
    good = kind.read(folder)
    limit_memory()
    answers, sys.stdout = sys.stdout, sys.stderr
    for i in range(first, stop):
        began = time.perf_counter()
        outcome, text = read_damaged(kind, f"{seed}:{i}", folder, files, good)
        print(json.dumps([i, outcome, text, time.perf_counter() - began]), file=answers, flush=True)


def limit_memory() -> None:
    """No more than so many GB beside what this process has."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = used + int(GIGABYTES * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def run(kind: Kind, number: int, seed: int, folder: Path, seconds: float = SECONDS) -> Found:
    """Damage files of a kind so many times, and have each read in a process that may die or hang."""
    found = Found()
    kind.write(folder)
    kind.read(folder)  # else each process would die of the same
    kept = {path: path.read_bytes() for path in files_of(kind, folder)}
    first = 0
    while first < number:
        words = [kind.name, str(seed), str(first), str(number), str(folder)]
        with subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--serve", *words], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, bufsize=0,  # a line that waits in a buffer would be silence to select
        ) as child:  # fmt: skip
            first, why = _listen(child, found, first, seed, number, seconds)
            child.kill()
        code = child.returncode
        for path, whole in kept.items():  # of one that died, the damage is still there
            path.write_bytes(whole)
        if first < number:
            found.outcomes["foreign"] += 1
            found.foreign[f"{seed}:{first}"] = why or f"the process died with exit code {code}"
            first += 1
    return found


def _listen(
    child: subprocess.Popen[bytes], found: Found, first: int, seed: int, number: int, seconds: float
) -> tuple[int, str]:  # fmt: skip
    """Count what the process says; the number of the input that it stopped at, and that it was silent, if it was."""
    assert child.stdout is not None
    # the first answer comes after everything is imported and compiled
    patience = 4 * seconds
    with selectors.DefaultSelector() as ready:
        ready.register(child.stdout, selectors.EVENT_READ)
        while first < number:
            if not ready.select(patience):
                return first, f"no answer for {patience:.0f} s"
            patience = seconds
            line = child.stdout.readline()
            if not line:
                return first, ""
            i, outcome, text, took = json.loads(line)
            found.outcomes[outcome] += 1
            if outcome in ("foreign", "silent"):
                found.foreign[f"{seed}:{i}"] = text
            found.slowest = max(found.slowest, (took, f"{seed}:{i}"))
            first = i + 1
    return first, ""


def main() -> int:
    """Print a table; the exit code tells whether there were foreign exceptions."""
    if sys.argv[1:2] == ["--serve"]:
        name, seed, first, stop, folder = sys.argv[2:]
        serve(name, int(seed), int(first), int(stop), Path(folder))
        return 0
    number, seed = (int(word) for word in (*sys.argv[1:3], *("3000", "0")[len(sys.argv[1:3]) :]))
    names = sys.argv[3:] or [kind.name for kind in KINDS]
    bad = 0
    for kind in (k for k in KINDS if k.name in names):
        with tempfile.TemporaryDirectory() as top:
            folder = Path(top) / "files"
            folder.mkdir()
            try:
                found = run(kind, number, seed, folder)
            except ImportError as error:
                print(f"{kind.name}: not run: {error}", flush=True)
                continue
        bad += len(found.foreign)
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(found.outcomes.items()))
        print(f"{kind.name}: {counts}; slowest {found.slowest[0]:.2f} s ({found.slowest[1]})", flush=True)
        for at, text in found.foreign.items():
            print(f"  {at}: {text}", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    raise SystemExit(main())
