"""``BlockPosterior``: what a fit leaves open in the coefficients of its blocks, by itself, and as a file."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..algebra.packed import pack_upper, unpack_upper
from ..algebra.posterior import Posterior
from ..algebra.stacking import stack
from ..errors import MismatchError, ParameterFileError
from ..files.checksums import warn_if_other
from ..files.json_files import digest_of
from ..files.paths import replacing, require_file
from ..fitting.views import factor_of
from ..frames.element_set import ElementSet
from ..model.blocks import Column
from ..model.file_names import swapped_name
from ..text.display import Shown
from ..text.result_cards import block_posterior_card
from .noise import KindNoise

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from ..fitting.views import View
    from ..model.basis import Elements
    from ..model.parameters import Parameters
    from .predictive import ModelPosterior

FORMAT: Final = 1

_AGAIN: Final = "copy it back from where there is another, or fit the block again"

_META: Final = ("blocks", "types", "deviation", "noise", "weights", "objective", "probed", "digest")


@dataclass(frozen=True, eq=False, repr=False)
class BlockPosterior(Shown, card=block_posterior_card):
    """What the fit of a block, or of several in one solve, leaves open; all that deviations of a whole model need.

    Attributes
    ----------
    blocks : tuple of ElementSet
        What was free in the solve.
    columns : tuple of Column
        Labels of the coefficients that may move, in the order of ``linear``.
    types : tuple of tuple of str
        Elements of the cluster types that were fitted.
    linear : Posterior
        The Gaussian of the coefficients.
    deviation : float
        What multiplies the root of a leverage, kcal/mol/Å: what predictions of the block are off where nothing but its
        prior speaks; for a block without probes, the noise of its fit.
    noise : Mapping from str to KindNoise
        By kind (``"force"``, ``"stress"``, ``"energy"``) of the fit's rows.
    weights : Mapping from str to float
        Of the rows of the fit, by name.
    objective : {"lsq", "plain"}
        How often rows count.
    probed : bool
        Whether the block is held on probe structures.
    digest : str
        :func:`types_digest` of the types in the model that was fitted.
    source : str
        The file that it was read from.
    """

    blocks: tuple[ElementSet, ...]
    columns: tuple[Column, ...]
    types: tuple[Elements, ...]
    linear: Posterior
    deviation: float
    noise: Mapping[str, KindNoise]
    weights: Mapping[str, float]
    objective: str
    probed: bool
    digest: str
    source: str = ""

    @classmethod
    def of(cls, given: ModelPosterior) -> BlockPosterior:
        """What of a posterior counts in a whole model.

        Parameters
        ----------
        given : ModelPosterior
            Of a block as it was fitted.

        Returns
        -------
        BlockPosterior
            Without its rows.
        """
        view, linear = given.view, given.linear
        moving = len(linear.columns)
        types = tuple(dict.fromkeys(c.elements for c in view.columns if c.powers))
        return cls(
            view.blocks, tuple(view.columns[i] for i in linear.columns.tolist()), types,
            replace(linear, columns=np.arange(moving), n=moving), _deviation(given), dict(given.noise),
            dict(view.weights), view.objective, is_probed(view), types_digest(given.solution.parameters, types),
        )  # fmt: skip

    @property
    def name(self) -> ElementSet:
        """All elements of the blocks."""
        return ElementSet.union(self.blocks)

    def require_part_of(self, parameters: Parameters) -> None:
        """See that the coefficients are those of a model.

        Parameters
        ----------
        parameters : Parameters
            Of the model.

        Raises
        ------
        MismatchError
            The model lacks a cluster type or a column of the fit, or has another basis or other coefficients for these
            types.
        """
        source = self.source or f"the posterior of {self.name}"
        there = {t.elements for t in parameters.basis.types}
        if lacking := ["".join(t) for t in self.types if t not in there]:
            raise MismatchError(f"{source}: it is of another model: {parameters.source} has no type {lacking[0]}")
        columns = set(parameters.columns)
        if absent := [c for c in self.columns if c.powers and c not in columns]:
            raise MismatchError(f"{source}: it is of another model: {parameters.source} has no column {absent[0]}")
        if (now := types_digest(parameters, self.types)) != self.digest:
            raise MismatchError(
                f"{source}: it is of other coefficients of {', '.join(self.blocks)} than {parameters.source} has "
                f"(digest of its types: expected {self.digest[:12]}, found {now[:12]})"
            )

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All of it for a ``.npz`` file.

        Returns
        -------
        dict from str to ndarray
            ``triangle`` T, packed by columns; ``noise``, standard deviation of a row of weight 1; ``columns``, block,
            elements and powers of each as text; ``meta``, the rest as JSON: the covariance is noise² (TᵀT)⁻¹.
        """
        meta = {key: getattr(self, key) for key in _META} | {
            "hiertl_dist_posterior": FORMAT, "noise": {k: asdict(n) for k, n in self.noise.items()},
            "degrees_of_freedom": self.linear.degrees_of_freedom, "notes": list(self.linear.notes),
        }  # fmt: skip
        return {
            "triangle": pack_upper(self.linear.triangle), "noise": np.array(self.linear.noise),
            "columns": np.array(
                [[c.block, " ".join(c.elements), " ".join(map(str, c.powers))] for c in self.columns], np.str_
            ).reshape(-1, 3),
            "meta": np.array(json.dumps(meta)),
        }  # fmt: skip

    @property
    def nbytes(self) -> int:
        """About how large a file of it is."""
        return sum(a.nbytes for a in self.arrays().values())

    def save(self, path: str | Path) -> None:
        """Write one ``.npz`` file, atomically, every bit kept.

        Parameters
        ----------
        path : str or Path
            The file; one that is there is replaced, folders that are missing are made.
        """
        path = Path(path)
        arrays = self.arrays()
        arrays |= {"name": np.array(path.name), "sha256": np.array(_sha256(arrays, path.name))}
        with replacing(path) as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | Path) -> BlockPosterior:
        """Read what :meth:`save` wrote, or the covariance of a block in a library.

        Parameters
        ----------
        path : str or Path
            The file.

        Returns
        -------
        BlockPosterior
            The one that was saved; its ``source`` is the path.

        Raises
        ------
        ParameterFileError
            Naming the file: it is none, damaged, of another format, or has the name of another block.
        MissingFileError
            There is no such file.

        Warns
        -----
        HiertlWarning
            It is not the file that the run wrote whose results are in its folder.
        """
        warn_if_other(require_file(path, "covariance file"))
        try:
            with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as data:
                arrays = {key: data[key] for key in data.files}
            name = str(arrays.pop("name", ""))
            if "sha256" in arrays and _sha256(arrays, name) != str(arrays["sha256"]):
                raise ParameterFileError(f"{path}: its content is not that of its SHA-256: it was damaged; {_AGAIN}")
            if "triangle" in arrays and "meta" not in arrays:
                raise ParameterFileError(
                    f"{path}: an older version wrote it, without the noise of each kind of labels, the weights and the "
                    "digest of the coefficients; fit the block again"
                )
            if fault := swapped_name(name, Path(path).name):
                raise ParameterFileError(f"{path}: {fault}")
            return cls._of(arrays, str(path))
        except (FileNotFoundError, ParameterFileError):
            raise
        except (
            KeyError, ValueError, TypeError, AttributeError, OSError, EOFError, zipfile.BadZipFile, zlib.error,
            MemoryError, RuntimeError, OverflowError, IndexError, SyntaxError,
        ) as error:  # fmt: skip
            # numpy takes any other file for a pickle, and advises to load it as one
            why = "it is none" if "pickle" in str(error) else repr(error)
            raise ParameterFileError(
                f"{path}: expected a covariance file (.npz, as BlockPosterior.save writes it), but: {why}; where it is "
                f"one, it is damaged: {_AGAIN}"
            ) from error

    @classmethod
    def _of(cls, arrays: Mapping[str, NDArray[Any]], source: str) -> BlockPosterior:
        meta = json.loads(str(arrays["meta"]))
        if meta.get("hiertl_dist_posterior") != FORMAT:
            raise ParameterFileError(
                f"{source}: expected covariance format {FORMAT}, found {meta.get('hiertl_dist_posterior')}"
            )
        triangle = unpack_upper(arrays["triangle"])
        columns = tuple(
            Column(ElementSet.parse(b), tuple(e.split()), tuple(map(int, p.split()))) for b, e, p in arrays["columns"]
        )
        linear = Posterior(
            triangle, np.arange(len(columns)), len(columns), float(arrays["noise"]), float(meta["degrees_of_freedom"]),
            tuple(meta["notes"]),
        )  # fmt: skip
        return cls(
            tuple(map(ElementSet.parse, meta["blocks"])), columns, tuple(tuple(t) for t in meta["types"]), linear,
            float(meta["deviation"]), {k: KindNoise(**n) for k, n in meta["noise"].items()}, meta["weights"],
            meta["objective"], bool(meta["probed"]), meta["digest"], source,
        )  # fmt: skip


def types_digest(parameters: Parameters, types: Collection[Elements]) -> str:
    """SHA-256 of some cluster types of a model: what their terms depend on.

    Parameters
    ----------
    parameters : Parameters
        The model.
    types : collection of tuple of str
        Elements of types that it has.

    Returns
    -------
    str
        Of orders, cutoffs, transforms and coefficients of these types, whatever else is in the model and in whatever
        order.
    """
    basis, wanted = parameters.basis, set(types)
    values: dict[Elements, list[tuple[tuple[int, ...], str]]] = {}
    for column, value in parameters.as_dict().items():
        values.setdefault(column[1], []).append((column[2], float(value).hex()))
    pairs = {p.elements: [p.rmin, p.rmax, p.transform, p.morse_lambda] for p in basis.pairs}
    content = []
    for kind in sorted((t for t in basis.types if t.elements in wanted), key=lambda t: t.elements):
        edges = [[*e.elements, e.rmin, e.rmax, pairs[tuple(sorted(e.elements))]] for e in kind.edges]
        content.append([kind.elements, kind.order, edges, sorted(values.get(kind.elements, []))])
    return digest_of([str(basis.cutoff), content])


def is_probed(view: View) -> bool:
    """Whether a view is held on probe structures."""
    return view.deviation is not None and view.deviation.rows is not None and len(view.deviation.rows) > 0


def _deviation(given: ModelPosterior) -> float:
    """What multiplies the root of a leverage of a block, see :class:`BlockPosterior`."""
    noise = float(given.linear.noise)
    held = given.view.deviation
    if held is None or held.rows is None or not len(held.rows):
        return noise
    view = given.view
    groups = [g for g in view.factors if g.kind == "force" and g in view.summaries.fitted]
    part = 1.0  # without forces nothing tells what the mean leaves
    if groups:
        whole = stack((view.layer(g, factor_of(view, g)) for g in groups), len(held.mean)).r
        target = whole[:, -1]
        left, size = target - whole[:, :-1] @ held.mean, float(np.linalg.norm(target))
        part = min(1.0, float(np.linalg.norm(left)) / size) if size > 0.0 else 1.0
    # both sums are over the rows of the probes as they are weighted: weight and number cancel
    said = float(np.linalg.norm(held.rows @ held.mean))
    leverage = float(given.linear.leverage(held.rows).sum())
    return max(noise, part * said / np.sqrt(leverage)) if leverage > 0.0 else noise


def _sha256(arrays: Mapping[str, NDArray[Any]], name: str) -> str:
    whole = hashlib.sha256(name.encode())
    for key in ("triangle", "noise"):
        whole.update(np.ascontiguousarray(arrays[key], "<f8").tobytes())
    for key in ("columns", "meta"):
        whole.update("\n".join(map(str, np.ravel(arrays[key]).tolist())).encode())
    return whole.hexdigest()
