"""``Model``: parameters that evaluate frames, forming no rows, and say where they extrapolate."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import FrameError, InputError
from ..files.checksums import warn_if_other
from ..files.paths import require_file
from ..frames.frame import Frame, working_on
from ..frames.rows import select_rows
from ..io.params_read import read_parameters
from ..io.params_write import write_parameters
from ..model.blocks import blocks_of
from ..model.parameters import Parameters, Penalty, merge_parameters
from ..model.solution import Solution
from ..text.cards import model_card
from ..text.display import Shown
from ..text.result_cards import evaluation_card
from .compiled_basis import Recipe, compile_recipe
from .coverage import OutOfRange, out_of_range
from .frame_rows import (
    InnerPolicy,
    answerable,
    joined_neighbours,
    raise_inside,
)
from .kernels.clusters import cluster_energy
from .kernels.pairs import pair_energy
from .kernels.scratch import scratch_buffer
from .missing_in_frames import MissingClusters, check_missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..executors.base import Executor
    from ..frames.element_set import ElementSet
    from .kernels.neighbours import Neighbours


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Shown, card=evaluation_card):
    """What a model says of one frame.

    Attributes
    ----------
    energy : float
        kcal/mol, energy offsets and penalty included.
    forces : ndarray of shape (atoms, 3)
        kcal/mol/Å; zero on atoms of elements that the model ignores.
    stress : ndarray of shape (6,)
        kcal/mol/Å³, order xx yy zz xy xz yz, positive under compression; NaN for what does not repeat in three
        directions.
    out_of_range : tuple of OutOfRange
        For each pair of elements, the worst pair of atoms at a distance that no block was fitted on (shortest below,
        longest above the fitted range); empty if all are inside or the range is not known.
    ranges : Mapping from str to (float, float)
        By ``"block:pair"`` of known coverage, shortest and longest distance (Å) that the block's edges join.
    """

    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]
    out_of_range: tuple[OutOfRange, ...] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Tensors:
    """Coefficients in the kernels' shapes: (elements, elements, n) two-body, per family as in ``Recipe.tensors``."""

    pair: NDArray[np.float64]
    families: tuple[NDArray[np.float64], ...]
    one_body: NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Model(Shown, card=model_card):
    """Coefficients of one or many blocks, ready to evaluate.

    Attributes
    ----------
    parameters : Parameters
        Coefficients in kcal/mol, their basis, the wall, and the distances that they were fitted on.
    """

    parameters: Parameters

    @classmethod
    def read(cls, path: str | Path) -> Model:
        """Read a ChIMES parameter file, full or reduced.

        Parameters
        ----------
        path : str or Path
            The file.

        Returns
        -------
        Model
            Its coefficients, those that a reduced file leaves out being zero.

        Raises
        ------
        ParameterFileError, MissingFileError
            It is no such file, naming it and the line; there is none.

        Warns
        -----
        HiertlWarning
            It is not the file that the run wrote whose results are in its folder.
        """
        warn_if_other(Path(path))
        return cls(read_parameters(path))

    def write(self, path: str | Path, *, reduced: bool = False, comments: Sequence[str] = ()) -> None:
        """Write a ChIMES parameter file.

        Parameters
        ----------
        path : str or Path
            The file; one of that name is replaced once the new one is complete.
        reduced : bool, default False
            Leave out many-body values of at most 1e-6, as chimes_lsq does: read back, they are zero.
        comments : sequence of str, optional
            Lines to put at the top, without their comment mark.

        Raises
        ------
        ParameterFileError
            A comment, order, penalty, coverage or name that such a file cannot hold; it is named.
        OSError
            The file cannot be written.
        """
        write_parameters(self.parameters, path, reduced=reduced, comments=comments)

    @classmethod
    def merge(cls, models: Sequence[Model], *, overlap: str = "refuse", penalty: Penalty | None = None) -> Model:
        """The sum of models, as one.

        Parameters
        ----------
        models : sequence of Model
            Blocks or models; pairs, cutoff functions and penalties must agree.
        overlap : {"refuse", "add"}, default "refuse"
            What happens to cluster types that two models have: an error, or their coefficients are added.
        penalty : Penalty, optional
            The wall of the result; needed where the models have different ones.

        Returns
        -------
        Model
            Of every cluster type of the models, see :func:`~hiertl_dist.model.parameters.merge_parameters`.

        Raises
        ------
        TypeError
            One of them is no Model.
        MismatchError
            Two of them don't fit, naming both and their values.
        ValueError
            No models, or another ``overlap``.
        """
        for m in models:
            if not isinstance(m, Model):
                raise TypeError(f"merge: expected Models, found {type(m).__name__}: Model(parameters) makes one")
        return cls(merge_parameters([m.parameters for m in models], overlap=overlap, penalty=penalty))

    @property
    def elements(self) -> tuple[str, ...]:
        """Those of its basis."""
        return self.parameters.basis.elements

    @property
    def coverage(self) -> Mapping[str, tuple[float, float]]:
        """By ``"block:pair"``, the range of distances (Å) that the block was fitted on, as far as it is known."""
        return self.parameters.coverage

    @cached_property
    def recipe(self) -> Recipe:
        """The basis, compiled for the kernels."""
        return compile_recipe(self.parameters.basis)

    @cached_property
    def block_recipes(self) -> dict[ElementSet, Recipe]:
        """Recipes of the single blocks whose range of distances is known, by name."""
        basis = self.parameters.basis
        known = {key.partition(":")[0] for key in self.coverage}
        return {b.name: compile_recipe(basis, (b.name,)) for b in blocks_of(basis) if b.name in known}

    @cached_property
    def _tensors(self) -> _Tensors:
        recipe, values = self.recipe, np.append(self.parameters.coefficients, 0.0)
        size = len(recipe.elements)
        pair = np.zeros((size, size, int(recipe.pair_order.max(initial=0))))
        for a, b in np.argwhere(recipe.pair_fn >= 0):
            first, order = recipe.pair_first[a, b], recipe.pair_order[a, b]
            pair[a, b, :order] = values[first : first + order]
        return _Tensors(pair, recipe.tensors(self.parameters.coefficients), values[recipe.one_body])

    @cached_property
    def _missing(self) -> MissingClusters:
        return MissingClusters.of([self.parameters])

    # long: its parameters are documented
    def evaluate(
        self,
        frames: Sequence[Frame] | Frame,
        *,
        ignore_other_elements: bool = False,
        policy: InnerPolicy = "damp",
        executor: Executor | None = None,
        threads: int = 1,
        missing: str = "refuse",
    ) -> list[Evaluation]:
        """Energy, forces and stress of each frame.

        Parameters
        ----------
        frames : Sequence of Frame, or Frame
            What to evaluate; labels are not looked at.
        ignore_other_elements : bool
            Evaluate the clusters made of the model's own elements and leave the other atoms out, which is what
            subtracting a frozen block means; otherwise other elements are refused.
        policy : {"damp", "lsq", "refuse"}
            For pairs inside an inner cutoff; ``damp`` is as in chimes_calculator.
        executor : Executor, optional
            Who does it; default: this process.
        threads : int
            That share the frames, or the atoms where there are fewer frames than threads; with an executor, the atoms
            of a frame within each of its tasks. With shared atoms the last digits depend on their number.
        missing : {"refuse", "zero"}
            For clusters of types of which the model has no coefficients and says nothing: refused, or they count for
            nothing. Atoms that are left out by ``ignore_other_elements`` are in none of them; a block that is a part of
            a sum lacks the types of the others, and is to be asked with ``zero``.

        Returns
        -------
        list of Evaluation
            One for each frame, in their order.

        Raises
        ------
        FrameError, InnerCutoffError, ValueError
            Naming the frame; an unknown policy, or fewer than one thread.
        MissingTypesError
            Naming the types without coefficients and frames that contain them.
        """
        check_missing(missing)
        listed = answerable(frames, policy, "evaluate")
        if not isinstance(threads, int) or threads < 1:
            raise InputError(f"threads: expected a whole number of at least 1, found {threads!r}")
        if missing == "refuse":
            self._missing.refuse(listed)
        task = partial(_evaluate, self, ignore=ignore_other_elements, policy=policy)
        if executor is not None:
            executor.require_alike(lambda: [f.digest for f in listed], "frames")
            shared = partial(task, threads=threads)
            return executor.run(shared, listed, label=lambda f: f.origin, what="evaluate", cost=len)
        if 1 < threads <= len(listed):
            _ = self._tensors, self.block_recipes  # made once, not by each thread
            with ThreadPoolExecutor(threads) as pool:
                return list(pool.map(task, listed))
        return [task(frame, threads=threads) for frame in listed]

    def __getstate__(self) -> dict[str, object]:
        # what is derived is cheap to make again and large to send
        return {"parameters": self.parameters}


def _evaluate(model: Model, frame: Frame, *, ignore: bool, policy: InnerPolicy, threads: int = 1) -> Evaluation:
    with working_on(frame):
        return _evaluated(model, frame, ignore, policy, threads)


def _evaluated(model: Model, frame: Frame, ignore: bool, policy: InnerPolicy, threads: int) -> Evaluation:
    codes, near = _neighbours(model, frame, ignore, policy)
    return sum_terms(model, frame, codes, near, policy, threads)


def _neighbours(model: Model, frame: Frame, ignore: bool, policy: InnerPolicy) -> tuple[NDArray[np.int64], Neighbours]:
    """Codes and neighbours of a frame, unless its elements or a pair inside an inner cutoff are refused."""
    recipe = model.recipe
    if not ignore and (others := frame.elements - set(model.elements)):
        raise FrameError(
            f"{frame.origin}: the model has elements {', '.join(model.elements)}, the frame also "
            f"{', '.join(sorted(others))}; --ignore-other-elements leaves those atoms out (in Python "
            "ignore_other_elements=True)"
        )
    codes = recipe.codes(frame)
    near, inside, _ = joined_neighbours(frame, recipe, codes)
    if inside and policy not in ("lsq", "damp"):
        raise_inside(frame, recipe, near, policy)
    return codes, near


def sum_terms(
    model: Model, frame: Frame, codes: NDArray[np.int64], near: Neighbours, policy: str, threads: int
) -> Evaluation:
    """What a model says of a frame, whose codes by its recipe and neighbours are known; see :meth:`Model.evaluate`."""
    energy, forces, stress = _summed(model, frame, codes, near, policy, threads)
    ranges, outside = out_of_range(frame, model.coverage, model.block_recipes, near)
    return Evaluation(energy, forces, stress, outside, ranges)


def _summed(
    model: Model, frame: Frame, codes: NDArray[np.int64], near: Neighbours, policy: str, threads: int
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Energy, forces and stress."""
    recipe, tensors = model.recipe, model._tensors
    forces, virial = np.zeros((len(frame), 3)), np.zeros(6)
    energy = float(tensors.one_body[codes[codes >= 0]].sum())
    if recipe.has_pairs:
        wall = np.array([model.parameters.penalty.scale, model.parameters.penalty.distance])
        with scratch_buffer() as scratch:
            energy += pair_energy(
                codes, near, recipe.pair_fn, tensors.pair, recipe.edges, policy != "lsq", wall, forces, virial, scratch
            )
    energy += _add_clusters(recipe, tensors, codes, near, threads, forces, virial)
    return energy, forces, virial / frame.volume


def _add_clusters(
    recipe: Recipe, tensors: _Tensors, codes: NDArray[np.int64], near: Neighbours, threads: int,
    forces: NDArray[np.float64], virial: NDArray[np.float64],
) -> float:  # fmt: skip
    """Energy of the three- and four-body terms; adds to ``forces`` and ``virial``."""
    families = list(zip(recipe.families, tensors.families, strict=True))

    def part(low: int, high: int) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        own_forces, own_virial = np.zeros_like(forces), np.zeros_like(virial)
        energy = 0.0
        for family, values in families:
            with scratch_buffer() as scratch:
                energy += cluster_energy(
                    codes, near, family, recipe.edges, values, low, high, own_forces, own_virial, scratch
                )
        return energy, own_forces, own_virial

    # as many neighbours for each thread, which is nearly as much work
    cuts = np.searchsorted(near.start, np.linspace(0, len(near.atom), threads + 1)).tolist()
    cuts[-1] = len(codes)
    if threads == 1:
        parts = [part(0, len(codes))]
    else:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(part, cuts[:-1], cuts[1:]))
    for _, own_forces, own_virial in parts:
        forces += own_forces
        virial += own_virial
    return sum(energy for energy, _, _ in parts)


def read_parts(path: str | Path) -> Parameters:
    """Parameters from a ChIMES parameter file or a solution file (``.npz``).

    Warns
    -----
    HiertlWarning
        The file is not the one that the run wrote whose results are in its folder.
    """
    path = require_file(path, "model")
    return Solution.load(path).parameters if path.suffix == ".npz" else Model.read(path).parameters


def predicted_rows(model: Model, frame: Frame, policy: InnerPolicy) -> NDArray[np.float64]:
    """What the clusters of a model's own elements say, in the frame's row order, (rows,).

    It is what a frozen model subtracts from the targets; which distances the model was fitted on is not asked.
    """
    with working_on(frame):
        codes, near = _neighbours(model, frame, True, policy)
        energy, forces, stress = _summed(model, frame, codes, near, policy, 1)
    return select_rows(frame, forces, stress, energy)
