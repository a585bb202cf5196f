"""Single faults in files on disk: each is refused and named, mended by computing again, or changes no bit of a result.

A bit is flipped, a file is cut, deleted, or swapped with another whole one of its kind (of the same store, of a store
of other frames, or of one of another basis; files of results with others of the same folder, or with one of the same
name from another run), in copies of a design store, a summary store, a data set and files of results. Then what was
made with it is made again: a fit from the store, a fit from the summaries, all frames, the coefficients and what they
leave open. What is refused is mended by ``store repair`` (results: by copying back), and made once more. A file of
results that is whole, and another one than the run wrote, is read, and told of: its checksum in the folder says so.

``python benchmarks/store_faults.py [--toy] [--out FOLDER]``. It ends with 1 where a fault was silent, an exception was
foreign, a message named no file, or a file that was whole is gone.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import warnings
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from bench import Benchmark, Options, main, tell
from measure import table

from hiertl_dist import (
    Basis,
    Dataset,
    FitSettings,
    HierarchyOptions,
    Model,
    executor,
    fit_hierarchy,
    open_summaries,
    solve,
    summarise,
    view,
)
from hiertl_dist.dataset import importing, streaming
from hiertl_dist.design_matrix import planning
from hiertl_dist.errors import HiertlError, HiertlWarning
from hiertl_dist.executors import TaskFailed
from hiertl_dist.files.checksums import RESULTS_SUMS, note_checksums
from hiertl_dist.jobs.stores import stores_at
from hiertl_dist.model.solution import Solution
from hiertl_dist.uncertainty.block_posterior import BlockPosterior
from hiertl_dist.uncertainty.whole_model import fit_posterior

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hiertl_dist.executors.base import Executor

NUMBER: Final = 500
OTHER: Final = "it is not the file that the run wrote"
TELLING: Final = ("damage", OTHER)
"""What a warning says that tells of a fault."""

COUNTS: Final = {"C": 6, "N": 6, "CN": 6}
FAULTS: Final = ("bit flip", "truncation", "deletion", "swap")
KINDS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "rows of blocks": ("design", ("blocks/*/c/*/0",)), "labels of rows": ("design", ("labels/*/c/*/0",)),
    "frozen contributions": ("design", ("offsets/*/c/*/0",)), "ledger entries": ("design", ("ledger/*/*.json",)),
    "layout.json": ("design", ("layout.json",)), "its copy": ("design", ("layout.json.copy",)),
    "zarr.json, description": ("design", ("zarr.json",)), "its copy ": ("design", ("zarr.json.copy",)),
    "zarr.json of arrays": ("design", ("*/*/zarr.json",)), "zarr.json of groups": ("design", ("*/zarr.json",)),
    "frames.sha256": ("design", ("frames.sha256",)),
    "index.json": ("summaries", ("index.json",)), "its copy  ": ("summaries", ("index.json.copy",)),
    "batches": ("summaries", ("?" * 64 + ".json",)), "records of frames": ("summaries", ("*.frames",)),
    "numbers of summaries": ("summaries", ("*.f64",)),
    "chunks of frames": ("data", ("frames/*/c/*/0", "atoms/*/c/*/0")), "ledgers of parts": ("data", ("ledger/*.json",)),
    "dataset.json": ("data", ("dataset.json",)), "its copy   ": ("data", ("dataset.json.copy",)),
    "zarr.json of a data set": ("data", ("zarr.json", "*/zarr.json", "*/*/zarr.json")),
    "solutions": ("results", ("*.solution.npz",)), "parameter files": ("results", ("*.params.txt",)),
    "covariances": ("results", ("*.covariance.npz",)), "results.sha256": ("results", (RESULTS_SUMS,)),
}  # fmt: skip
"""What stands in the table: the folder, and patterns of its files."""

OUTCOMES: Final = ("refused, mended", "refused", "another run's, told", "computed again", "harmless, told", "harmless")
WRONG: Final = ("silent", "foreign", "not named", "lost")


class Fault(NamedTuple):
    """One fault: which kind of file and of damage, and the seed of the rest."""

    kind: str
    fault: str
    seed: int


@dataclass(frozen=True)
class World:
    """A folder with one of each store and results, and the executor that makes them."""

    folder: Path
    basis: Basis
    runner: Executor

    def make(self, seed: int) -> None:
        """Write everything."""
        self.folder.mkdir()
        _write_frames(self.folder / "frames.extxyz", seed)
        self.import_frames(self.folder / "data")
        fit = self.fit(self.folder / "design")
        self.summarised(self.folder / "summaries")
        (self.folder / "results").mkdir()
        for block, own in fit.fits.items():
            own.solution.save(self.folder / "results" / f"{block}.solution.npz")
            Model(own.solution.parameters).write(self.folder / "results" / f"{block}.params.txt")
            fit_posterior(own).save(self.folder / "results" / f"{block}.covariance.npz")
        fit.model.write(self.folder / "results" / "model.params.txt")
        note_checksums(self.folder / "results", sorted((self.folder / "results").iterdir()))

    def import_frames(self, place: Path) -> Dataset:
        """The data set."""
        return Dataset.create(place, self.folder / "frames.extxyz", group_key="config", executor=self.runner)

    def fit(self, place: Path) -> Any:
        """A hierarchy from a design store."""
        settings = FitSettings(regulariser={"kind": "ridge", "alpha": 1e-3})
        options = HierarchyOptions(settings, store=place)
        return fit_hierarchy(Dataset(self.folder / "data"), self.basis, options=options, executor=self.runner)

    def summarised(self, place: Path) -> Any:
        """Summaries in a store."""
        data = Dataset(self.folder / "data")
        return summarise(data, self.basis, folds=2, summaries=place, executor=self.runner)

    # ---- what is made with each folder, as bytes

    def use(self, name: str, place: Path) -> str:
        """A digest of all that is made with a folder."""
        return hashlib.sha256(b"".join(_USES[name](self, place))).hexdigest()

    def _design(self, place: Path) -> Iterator[bytes]:
        for own in self.fit(place).fits.values():
            yield own.solution.parameters.coefficients.tobytes()

    def _summaries(self, place: Path) -> Iterator[bytes]:
        self.summarised(place)
        (store,) = stores_at(place)
        solved = solve(view(open_summaries(store.path)), {"kind": "ridge", "alpha": 1e-3})
        yield solved.parameters.coefficients.tobytes()

    def _data(self, place: Path) -> Iterator[bytes]:
        for frame in Dataset(place):
            yield frame.digest.encode() + frame.origin.encode() + frame.group.encode()

    def _results(self, place: Path) -> Iterator[bytes]:
        names = sorted(p.name for p in (self.folder / "results").iterdir() if p.name != RESULTS_SUMS)
        for name in names:
            if name.endswith(".covariance.npz"):
                posterior = BlockPosterior.load(place / name)
                yield b"".join(key.encode() + array.tobytes() for key, array in sorted(posterior.arrays().items()))
            elif name.endswith(".npz"):
                solution = Solution.load(place / name)
                yield solution.parameters.coefficients.tobytes() + repr(solution.as_dict()).encode()
            else:
                read = Model.read(place / name).parameters
                yield read.coefficients.tobytes() + read.digest.encode() + repr(dict(read.coverage)).encode()


_USES: Final[dict[str, Callable[[World, Path], Iterator[bytes]]]] = {
    "design": World._design, "summaries": World._summaries, "data": World._data, "results": World._results,
}  # fmt: skip


def _write_frames(path: Path, seed: int) -> None:
    """Frames of eight atoms on a jittered grid, with labels at random."""
    rng, lines = np.random.default_rng(seed), []
    sites = 1.8 * np.argwhere(np.ones((2, 2, 2)))
    for elements, count in COUNTS.items():
        for number in range(count):
            positions = sites + rng.uniform(-0.2, 0.2, sites.shape)
            rows = np.hstack([positions, rng.normal(size=sites.shape)]).tolist()
            head = (
                f'config={elements}{number % 2} energy={float(rng.normal())!r} Lattice="3.6 0 0 0 3.6 0 0 0 3.6" '
                "Properties=species:S:1:pos:R:3:forces:R:3"
            )
            lines += [str(len(sites)), head]
            lines += [f"{elements[i % len(elements)]} {' '.join(map(repr, row))}" for i, row in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def basis_of(rmax: float) -> Basis:
    """A basis of some tens of columns."""
    pairs = {p: {"rmin": 0.8, "rmax": rmax, "lambda": 1.3} for p in ("CC", "CN", "NN")}
    return Basis.from_dict({"elements": ["C", "N"], "orders": [4, 2, 0], "pairs": pairs})


@contextmanager
def small_parts() -> Iterator[None]:
    """Tiles of two frames and parts of four, so that there are several of each."""
    was = planning.TILE_BYTES, importing.RUN, streaming.MOST_FRAMES
    planning.TILE_BYTES, importing.RUN, streaming.MOST_FRAMES = 8192, 4000, 4  # type: ignore[misc]
    try:
        yield
    finally:
        planning.TILE_BYTES, importing.RUN, streaming.MOST_FRAMES = was  # type: ignore[misc]


def files_of(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Files of a kind, those of stores right below the folder too."""
    return sorted({p for pattern in patterns for p in folder.glob(pattern) if p.is_file()})


def _inject(fault: Fault, place: Path, others: list[Path], rng: np.random.Generator) -> list[Path] | None:
    """Damage a file; the files that are not as they were, or None where nothing could be changed."""
    name, patterns = KINDS[fault.kind]
    files = files_of(place, patterns)
    path = files[rng.integers(len(files))]
    whole = path.read_bytes()
    if fault.fault == "deletion":
        path.unlink()
    elif fault.fault == "truncation":
        path.write_bytes(whole[: int(len(whole) * _share(rng))])
    elif fault.fault == "bit flip":
        bit = int(8 * len(whole) * _share(rng))
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
    else:
        candidates = [p for p in files if p != path]
        candidates += [p for other in others for p in files_of(other / name, patterns)]
        candidates = [p for p in candidates if p.read_bytes() != whole and p.suffix == path.suffix]
        if not candidates:
            return None
        other = candidates[rng.integers(len(candidates))]
        path.write_bytes(other.read_bytes())
        if place in other.parents:
            other.write_bytes(whole)
            return [path, other]
    return [path]


def _share(rng: np.random.Generator) -> float:
    """Where in a file something happens: anywhere, or, as often, near its beginning, for chunks are mostly padding."""
    return float(rng.random() ** rng.choice((1, 12)))


def run_fault(fault: Fault, world: World, others: list[Path], truth: dict[str, str], scratch: Path) -> tuple[str, str]:
    """Do one fault; what came of it, and what was said."""
    name = KINDS[fault.kind][0]
    place = scratch / str(fault.seed)
    shutil.copytree(world.folder / name, place)
    try:
        damaged = _inject(fault, place, others, np.random.default_rng(fault.seed))
        if damaged is None:
            return "nothing to swap", ""
        return _outcome(name, place, world, truth[name], damaged)
    finally:
        shutil.rmtree(place)


def _outcome(name: str, place: Path, world: World, truth: str, damaged: list[Path]) -> tuple[str, str]:
    before = {p for p in place.rglob("*") if p.is_file() and ".lock" not in p.name}
    told, refused = "", ""
    try:
        if name != "results":
            told = "\n".join(f.text() for f in stores_at(place)[0].check())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            made = world.use(name, place)
    except (HiertlError, TaskFailed) as error:
        if isinstance(error, TaskFailed) and not isinstance(error.__cause__, HiertlError):
            return "foreign", repr(error)
        refused = str(error)
    except Exception as error:
        return "foreign", repr(error)
    if not refused:
        warned = "\n".join(
            str(w.message)
            for w in caught
            if issubclass(w.category, HiertlWarning) and any(word in str(w.message) for word in TELLING)
        )
        if made != truth:
            others = name == "results" and OTHER in warned and _is_named(warned, damaged)
            return ("another run's, told" if others else "silent"), told + warned
        gone = {p for p in before if not p.exists()} - set(damaged)
        if gone:
            return "lost", f"{sorted(gone)[:3]}"
        if warned:
            return ("computed again" if _is_named(warned + told, damaged) else "not named"), warned
        if told:
            return ("harmless, told" if _is_named(told, damaged) else "not named"), told
        return "harmless", ""
    if not _is_named(refused + told, damaged):
        return "not named", refused
    return _after_repair(name, place, world, truth, refused)


def _is_named(text: str, damaged: list[Path]) -> bool:
    return any(str(path) in text for path in damaged)


def _after_repair(name: str, place: Path, world: World, truth: str, refused: str) -> tuple[str, str]:
    """What becomes of what was refused once it is mended."""
    if name == "results":
        return "refused", refused  # there is nothing that it could be made of again
    try:
        (store,) = stores_at(place)
        _, left = store.repair()
        if left:
            return "refused", "\n".join(fault.text() for fault in left)
        if name == "data" and not (place / "dataset.json").exists():
            world.import_frames(place)
        if world.use(name, place) != truth:
            return "silent", f"after repair of: {refused}"
        if again := store.check():
            return "not named", f"after repair: {again[0].text()}"
    except Exception as error:
        return "foreign", f"{error!r} after repair of: {refused}"
    return "refused, mended", refused


def run(options: Options) -> dict[str, Any]:
    """Do all faults and count what came of them."""
    number = options.sized(NUMBER, len(KINDS))
    pairs = [(kind, fault) for fault in FAULTS for kind in KINDS]
    # a toy has each kind of file and each kind of fault
    step = options.sized(1, len(KINDS) + 1)
    faults = [Fault(*pairs[i * step % len(pairs)], seed=i) for i in range(number)]
    counts: Counter[tuple[str, str, str]] = Counter()
    wrong: list[dict[str, Any]] = []
    with small_parts(), executor("serial") as runner, warnings.catch_warnings():
        warnings.simplefilter("ignore", HiertlWarning)
        worlds = [World(options.scratch / f"world{i}", basis_of(4.0 - 0.1 * (i == 2)), runner) for i in range(3)]
        for world, seed in zip(worlds, (1, 2, 1), strict=True):
            world.make(seed)
        world, others = worlds[0], [w.folder for w in worlds[1:]]
        truth = {name: world.use(name, world.folder / name) for name in _USES}
        for fault in faults:
            outcome, said = run_fault(fault, world, others, truth, options.scratch)
            counts[fault.kind, fault.fault, outcome] += 1
            if outcome in WRONG:
                wrong.append({**fault._asdict(), "outcome": outcome, "said": said})
                tell(f"{fault}: {outcome}: {said}")
    return {
        "faults": number, "wrong": wrong,
        "counts": [{"kind": k, "fault": f, "outcome": o, "number": n} for (k, f, o), n in sorted(counts.items())],
    }  # fmt: skip


def markdown(record: dict[str, Any]) -> str:
    """A row for each kind of file and of fault."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for own in record["counts"]:
        counts.setdefault((own["kind"].strip(), own["fault"]), Counter())[own["outcome"]] += own["number"]
    columns = [*OUTCOMES, *WRONG, "nothing to swap"]
    rows = [[kind, fault, *(own[c] or "" for c in columns)] for (kind, fault), own in counts.items()]
    total = sum(counts.values(), Counter())
    rows.append(["all", "", *(total[c] for c in columns)])
    return f"{record['faults']} faults, {len(record['wrong'])} of which went wrong.\n\n" + table(
        ["file", "fault", *columns], rows
    )


BENCHMARK = Benchmark("store_faults", "Single faults in files on disk, and what comes of each", run, markdown)


def _ended() -> int:
    """The command line; 1 where something went wrong."""
    records: list[dict[str, Any]] = []

    def kept(options: Options) -> dict[str, Any]:
        records.append(run(options))
        return records[-1]

    main(Benchmark(BENCHMARK.name, BENCHMARK.title, kept, markdown))
    return int(any(record["wrong"] for record in records))


if __name__ == "__main__":
    sys.exit(_ended())
