"""Kinds of files for ``mutations_files.py``: what writes good ones, what reads them, and damage of binary files."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from mutations_frames import USUAL, read_quietly
from mutations_models import mutate

if TYPE_CHECKING:
    from collections.abc import Callable

ODD_INTEGERS: Final = (0, 1, -1, 127, 255, 2**15, 2**16 - 1, 2**31 - 1, -(2**31), 2**32 - 1, 2**62, 2**63 - 1, -(2**63))
FEW: Final = {"elements": ["C", "N"], "orders": [3, 2, 0]}


# ------------------------------------------------------------------ damage of binary files


def damaged(content: bytes, rng: Random) -> bytes:
    """A file with one kind of damage, that of texts among them."""
    return rng.choice((mutate, _integer, _cut_out, _repeated))(content, rng)


def _integer(content: bytes, rng: Random) -> bytes:
    """A number of 1 to 8 bytes, of either order, becomes an odd one: lengths, offsets, counts."""
    width = rng.choice((1, 2, 4, 8))
    if len(content) < width:
        return content
    at, value = rng.randrange(len(content) - width + 1), rng.choice(ODD_INTEGERS) % 256**width
    return content[:at] + value.to_bytes(width, rng.choice(("little", "big"))) + content[at + width :]


def _cut_out(content: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + content[at + rng.choice((1, 2, 8, 100)) :]


def _repeated(content: bytes, rng: Random) -> bytes:
    at, other = (rng.randrange(len(content) + 1) for _ in range(2))
    return content[:at] + content[other : other + rng.choice((1, 4, 64))] + content[at:]


# ------------------------------------------------------------------ good files, and what reads them


@dataclass(frozen=True)
class Kind:
    """A kind of files: its name, what writes good ones to a folder, what reads them, and which of them are damaged."""

    name: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]
    pattern: str
    inside: Callable[[bytes, Random], bytes] = damaged
    checked: bool = False
    """Whether files carry checksums, so that what is read of damaged ones must be what was there."""


def _packed(name: str, pack: Callable[[bytes], bytes]) -> Kind:
    return Kind(
        name, lambda folder: (folder / name).write_bytes(pack(USUAL.encode())),
        lambda folder: read_quietly(folder / name), name,
    )  # fmt: skip


def _images() -> list[Any]:
    import ase
    from ase.calculators.singlepoint import SinglePointCalculator

    made = []
    for i in range(2):
        atoms = ase.Atoms("CN", [[0, 0, 0], [1.5, 0.1 * i, 0]], cell=[8, 9, 10], pbc=True)
        stress = np.array([0.1, 0.2, 0.3, 0.0, 0.0, 0.0])
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0 - i, forces=np.ones((2, 3)), stress=stress)
        made.append(atoms)
    return made


def _write_images(path: Path) -> None:
    if path.suffix == ".traj" or path.name == "run.json":
        from ase.io import write

        write(path, _images())
        return
    if path.suffix == ".aselmdb":
        from ase_db_backends.aselmdb import LMDBDatabase

        database: Any = LMDBDatabase(path)
    else:
        from ase.db import connect

        database = connect(path)
    for atoms in _images():
        database.write(atoms, {"kind": "a"}, data={"source": "s", "much": [1.0, 2.0]})
    if hasattr(database, "close"):
        database.close()


def _by_ase(name: str) -> Kind:
    return Kind(name, lambda folder: _write_images(folder / name), lambda folder: all_frames(folder / name), name)


def _text_of_ase(name: str, text: str) -> Kind:
    return Kind(
        name, lambda folder: (folder / name).write_text(text), lambda folder: all_frames(folder / name), name, mutate
    )


def all_frames(path: Path) -> list[Any]:
    # what ASE warns of is this package's warning; one of numpy inside ASE is not of this package's making
    from hiertl_dist import read_frames

    return list(read_frames(path, format="ase"))


def _row(numbers: Any) -> str:
    return " ".join(f"{x:13.6f}" for x in numbers)


def _outcar() -> str:
    cell, force = np.diag([8.0, 9.0, 10.0]), [[0.5, -0.25, 0.125], [-0.5, 0.25, -0.125]]
    lines = [" vasp.6.3.0", *2 * [" POTCAR:    PAW_PBE C 08Apr2002", " POTCAR:    PAW_PBE N 08Apr2002"]]
    lines += ["   ions per type =               1   1", "   NELM   =     60;   NELMIN=  2; NELMDL= -5"]
    for step in range(2):
        lines += [
            f"--------------------------------------- Iteration{step + 1:7d}(   1)  ----------------",
            "------------------------ aborting loop because EDIFF is reached ------------------------",
            "  FORCE on cell =-STRESS in cart. coord.  units (eV):",
            "  Direction    XX          YY          ZZ          XY          YZ          ZX",
            f"  in kB {_row([1, 2, 3, 4, 5, 6])}",
            "      direct lattice vectors                 reciprocal lattice vectors",
            *(f"  {_row(a)} {_row(b)}" for a, b in zip(cell, np.linalg.inv(cell).T, strict=True)),
            " POSITION                                       TOTAL-FORCE (eV/Angst)", " " + "-" * 83,
            *(f" {_row([1.2 * i, 0, 0.1 * step])} {_row(force[i])}" for i in range(2)), " " + "-" * 83,
            "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)", "  " + "-" * 51,
            f"  free  energy   TOTEN  =   {-10.5 - step:18.8f} eV", "",
            f"  energy  without entropy=  {-10.5 - step:18.8f}  energy(sigma->0) =  {-10.5 - step:18.8f}", "",
        ]  # fmt: skip
    return "\n".join([*lines, " General timing and accounting informations for this job:", ""])


def _vasprun() -> str:
    def vectors(name: str, rows: Any) -> str:
        return f'<varray name="{name}">' + "".join(f"<v>{_row(r)}</v>" for r in rows) + "</varray>"

    place = vectors("positions", [[0, 0, 0], [0.2, 0, 0]])
    inside = f"<crystal>{vectors('basis', np.diag([8.0, 9.0, 10.0]))}</crystal>\n{place}\n</structure>"
    energies = (f'<i name="{name}">-10.5</i>' for name in ("e_fr_energy", "e_wo_entrp", "e_0_energy"))
    energy = f"<energy>{''.join(energies)}</energy>"
    step = (
        f"<calculation>\n<scstep>{energy}</scstep>\n<structure>\n{inside}\n"
        f"{vectors('forces', [[0.5, 0, 0], [-0.5, 0, 0]])}\n{vectors('stress', np.diag([1.0, 2.0, 3.0]))}\n"
        f"{energy}\n</calculation>\n"
    )
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n'
        '<generator><i name="program" type="string">vasp</i></generator>\n'
        '<kpoints><varray name="kpointlist"><v>0 0 0</v></varray><varray name="weights"><v>1.0</v></varray></kpoints>\n'
        '<parameters><separator name="electronic"><i type="int" name="NELM">60</i></separator></parameters>\n'
        "<atominfo><atoms>2</atoms><types>2</types>"
        '<array name="atoms"><set><rc><c>C </c><c>1</c></rc><rc><c>N </c><c>2</c></rc></set></array></atominfo>\n'
        f'<structure name="initialpos">\n{inside}\n{2 * step}<structure name="finalpos">\n{inside}\n</modeling>\n'
    )


# ------------------------------------------------------------------ what this package writes


def _basis() -> Any:
    from hiertl_dist import Basis

    pairs = {p: {"rmin": 0.8, "rmax": 4.0, "lambda": 1.3} for p in ("CC", "CN", "NN")}
    return Basis.from_dict({**FEW, "pairs": pairs})


def frames_file(folder: Path) -> Path:
    rng, lines = np.random.default_rng(1), []
    sites = 1.8 * np.argwhere(np.ones((2, 2, 2)))
    for elements in ("C", "C", "N", "N", "CN", "CN"):
        rows = np.hstack([sites + rng.uniform(-0.2, 0.2, sites.shape), rng.normal(size=sites.shape)]).tolist()
        box = 'Lattice="3.6 0 0 0 3.6 0 0 0 3.6" Properties=species:S:1:pos:R:3:forces:R:3'
        lines += [str(len(sites)), f"config={elements} energy={float(rng.normal())!r} {box}"]
        lines += [f"{elements[i % len(elements)]} {' '.join(map(repr, row))}" for i, row in enumerate(rows)]
    path = folder.parent / f"{folder.name}-frames.extxyz"
    path.write_text("\n".join(lines) + "\n")
    return path


def _fitted(folder: Path, **more: Any) -> Any:
    from hiertl_dist import FitSettings, HierarchyOptions, fit_hierarchy, read_frames

    options = HierarchyOptions(FitSettings(regulariser={"kind": "ridge", "alpha": 1e-3}), **more)
    return fit_hierarchy(read_frames(frames_file(folder), group_key="config"), _basis(), options=options)


def _write_solution(folder: Path) -> None:
    from hiertl_dist.model.blocks import columns_of
    from hiertl_dist.model.parameters import Parameters
    from hiertl_dist.model.solution import GroupResidual, Solution

    basis = _basis()
    model = Parameters(basis, np.random.default_rng(0).normal(size=len(columns_of(basis))))
    residuals = {"C force": GroupResidual(10, 1.0, 0.1)}
    for block in ("C", "CN"):
        Solution(
            model, block, (block,), {}, {"kind": "ridge", "alpha": 1e-3}, {"force": 1.0}, "lsq", "rfactor", 9, 10.0, 9,
            10, 0.1, residuals,
        ).save(folder / f"{block}.npz")  # fmt: skip


def _read_solutions(folder: Path) -> Any:
    from hiertl_dist import Model
    from hiertl_dist.model.solution import Solution

    read = [Solution.load(path) for path in sorted(folder.glob("*.npz"))]
    return [(repr(s), Model(s.parameters).parameters.digest, s.as_dict()) for s in read]


def _write_data_set(folder: Path) -> None:
    from hiertl_dist import Dataset

    Dataset.create(folder / "data", frames_file(folder), group_key="config")


def _read_data_set(folder: Path) -> Any:
    from hiertl_dist import Dataset

    data = Dataset(folder / "data")
    return repr(data), [(frame.digest, frame.origin, frame.group) for frame in data], data.facts.element_sets()


def _write_design_store(folder: Path) -> None:
    _fitted(folder, store=folder / "design")


def _read_design_store(folder: Path) -> Any:
    from hiertl_dist.design_matrix.store import DesignStore

    store = DesignStore.open(folder / "design")
    layout = store.layout()
    tiles = {(a, key): store.read(a, key, layout).tobytes() for a in sorted(layout["arrays"]) for key in store.keys(a)}
    return repr(store), tiles


def _write_summaries(folder: Path) -> None:
    from hiertl_dist import read_frames, summarise

    frames = read_frames(frames_file(folder), group_key="config")
    summarise(frames, _basis(), folds=2, summaries=folder / "summaries")


def _read_summaries(folder: Path) -> Any:
    from hiertl_dist import open_summaries, solve, view

    return solve(view(open_summaries(folder / "summaries")), {"kind": "ridge", "alpha": 1e-3}).parameters.digest


def _write_library(folder: Path) -> None:
    from hiertl_dist.cli.commands import main as command

    job = folder.parent / f"{folder.name}.toml"
    pairs = "\n".join(f"{p} = {{ rmin = 0.8, rmax = 4.0, lambda = 1.3 }}" for p in ("CC", "CN", "NN"))
    job.write_text(
        f'[basis]\nelements = ["C", "N"]\norders = [3, 2, 0]\n[basis.pairs]\n{pairs}\n[[data]]\n'
        f'path = "{frames_file(folder)}"\ngroup_key = "config"\n'
        '[fit]\nregulariser = { kind = "ridge", alpha = 1e-3 }\n'
        f'[library]\npath = "{folder / "library"}"\ntheory = "none"\nenergy_reference = "none"\n'
        f'[output]\nfolder = "{folder.parent / (folder.name + "-results")}"\n'
        '[executor]\nkind = "serial"\n'
    )
    with redirect_stdout(io.StringIO()):
        if command(["fit", str(job)]):
            raise RuntimeError(f"{job}: the library could not be made")


def _read_library(folder: Path) -> Any:
    from hiertl_dist import open_library

    library = open_library(folder / "library")
    files = [(e.parameters().digest, e.solution().as_dict(), e.covariance()[1].tobytes()) for e in library.entries]
    return repr(library), files


PACKED: Final = (
    _packed("frames.extxyz.gz", gzip.compress), _packed("frames.extxyz.xz", lzma.compress),
    _packed("frames.extxyz.bz2", bz2.compress),
)  # fmt: skip
OF_ASE: Final = (
    _text_of_ase("OUTCAR", _outcar()), _text_of_ase("vasprun.xml", _vasprun()), _by_ase("run.traj"), _by_ase("run.db"),
    _by_ase("rows.json"), _by_ase("run.aselmdb"),
)  # fmt: skip
OWN: Final = (
    Kind("solutions", _write_solution, _read_solutions, "*.npz", checked=True),
    Kind("data set", _write_data_set, _read_data_set, "data/**/*", checked=True),
    Kind("design store", _write_design_store, _read_design_store, "design/**/*", checked=True),
    Kind("summaries", _write_summaries, _read_summaries, "summaries/**/*", checked=True),
    Kind("library", _write_library, _read_library, "library/**/*", checked=True),
)  # fmt: skip
KINDS: Final = (*PACKED, *OF_ASE, *OWN)
