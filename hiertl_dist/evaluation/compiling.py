"""Kernels are compiled before they are used: said beforehand, and shared out over workers, each kernel once.

What a fit waits for the first time on a machine is the compilation of seven kernels, which take from one to five
seconds each. Left to itself every worker would begin with the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..compiled.cache import is_compiled, keeps_kernels
from ..frames.frame import Frame
from ..model.basis import Basis
from ..model.blocks import blocks_of
from ..model.parameters import Parameters
from .chunk_scan import ScanOptions, scan_chunk
from .compiled_basis import compile_recipe
from .energies import Model, sum_terms
from .frame_rows import write_rows
from .kernels.clusters import cluster_energy, cluster_rows
from .kernels.counting import count_clusters
from .kernels.images import image_pairs
from .kernels.neighbours import find_neighbours, list_neighbours
from .kernels.pairs import pair_energy, pair_rows
from .kernels.scan import scan_contacts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..executors.base import Executor


@dataclass(frozen=True)
class Kernel:
    """A kernel: its name, the smallest number of atoms that it is for, and what its compilation costs, roughly."""

    name: str
    body: int
    seconds: float


KERNELS: Final = (
    Kernel("cluster_energy", 3, 4.6), Kernel("cluster_rows", 3, 3.9), Kernel("image_pairs", 2, 2.6),
    Kernel("pair_energy", 2, 1.9), Kernel("scan_contacts", 2, 1.8), Kernel("pair_rows", 2, 1.4),
    Kernel("count_clusters", 2, 0.6),
)  # fmt: skip
"""In CPU seconds at 2.3 GHz."""

OF_MODELS: Final = ("cluster_energy", "pair_energy", "count_clusters")
"""What only evaluations of models need."""

DISPATCHERS: Final[dict[str, Any]] = {
    "cluster_energy": cluster_energy, "cluster_rows": cluster_rows, "image_pairs": image_pairs,
    "pair_energy": pair_energy, "pair_rows": pair_rows, "scan_contacts": scan_contacts,
    "count_clusters": count_clusters,
}  # fmt: skip


def compile_kernels(basis: Basis, executor: Executor, tell: Callable[[str], None], *, models: bool = True) -> None:
    """Have the kernels that a basis needs compiled by the workers, where whoever does the work lacks them.

    Where there is no folder to keep them in, each process compiles what it comes to need, and that alone is said.

    Parameters
    ----------
    basis : Basis
        What rows, and models, are made of.
    executor : Executor
        Who does the work.
    tell : callable
        Takes a line for a person, said before anything is compiled.
    models : bool, default True
        Whether models will be evaluated too, and not only frames be looked at and rows be made.
    """
    widest = max((t.body for t in basis.types), default=0)
    wanted = [k for k in KERNELS if k.body <= widest and (models or k.name not in OF_MODELS)]
    (answer,) = executor.run(_lacking, [wanted], label=lambda _: "kernels", what="look for compiled kernels")
    lacking, has_folder = answer
    if not lacking:
        return
    seconds = sum(k.seconds for k in lacking)
    how_long = "about half a minute" if seconds > 7.0 else "some seconds"
    if not has_folder:
        tell(f"compiling kernels, in each process anew, for there is no folder to keep them in: {how_long}")
        return
    tell(f"compiling kernels for this machine, once: {how_long}")
    executor.run(
        _compile, list(lacking), label=lambda k: k.name, what="compile kernels", cost=lambda k: k.seconds
    )  # fmt: skip


def _lacking(wanted: Sequence[Kernel]) -> tuple[list[Kernel], bool]:
    """The kernels that are to be compiled, and whether there is a folder to keep them in."""
    return [k for k in wanted if not is_compiled(DISPATCHERS[k.name])], keeps_kernels(pair_rows)


def _compile(kernel: Kernel) -> None:
    """Use a kernel, and no other, once."""
    orders = [2, 0, 0] if kernel.body == 2 else [0, 2, 0]
    pairs = {"CC": {"rmin": 0.5, "rmax": 3.0, "lambda": 1.0}}
    basis = Basis.from_dict({"elements": ["C"], "orders": orders, "pairs": pairs})
    positions = np.array([[0.0, 0.0, 0.0], [1.5, 0.0, 0.0], [0.0, 1.5, 0.0]])
    if kernel.name == "image_pairs":
        find_neighbours(positions, None, 3.0)
        return
    frame = Frame(("C", "C", "C"), positions, None, forces=np.zeros((3, 3)))
    recipe = compile_recipe(basis)
    if kernel.name == "scan_contacts":
        scan_chunk([frame], ScanOptions(basis, tuple(b.name for b in blocks_of(basis))))
        return
    codes, near = recipe.codes(frame), list_neighbours(positions, None, 3.0)
    if kernel.name == "count_clusters":
        count_clusters(codes, near.start, near.atom, near.vec, np.full((1, 1), 9.0), 2, np.zeros(1, np.int64))
    elif kernel.name.endswith("rows"):
        write_rows(frame, recipe, codes, near, np.empty((9, recipe.n_columns)), "refuse")
    else:
        sum_terms(Model(Parameters(basis, np.zeros(recipe.n_columns))), frame, codes, near, "damp", 1)
