"""``Solution``: coefficients of the blocks that were fitted, with everything they were conditioned on; one file."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import ParameterFileError
from ..files.checksums import warn_if_other
from ..files.paths import replacing, require_file
from ..text.display import Shown
from ..text.result_cards import solution_card
from .basis import Basis
from .file_names import swapped_name
from .parameters import Parameters, Penalty
from .undetermined import undetermined_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FORMAT: Final = 1

_AGAIN: Final = "copy it back from where there is another, or fit the block again"


@dataclass(frozen=True)
class GroupResidual:
    """How well one group of rows is fitted.

    Attributes
    ----------
    rows : int
        Number of rows.
    target_rms, rmse : float
        Root mean square of target and residual, in the unit of the rows: kcal/mol, kcal/mol/Å or kcal/mol/Å³.
    """

    rows: int
    target_rms: float
    rmse: float


@dataclass(frozen=True, eq=False, repr=False)
class Solution(Shown, card=solution_card):
    """A fit of one or several blocks, with all that it was conditioned on (docs/theory.md, sections 4, 7 and 8).

    Attributes
    ----------
    parameters : Parameters
        Coefficients of the blocks that were free, with the range of distances they were fitted on.
    block : str
        The element set whose frames they were fitted on.
    blocks : tuple of str
        Names of the blocks that were free.
    frozen : Mapping from str to str
        Digest of each frozen model, by its source.
    regulariser : Mapping from str to Any
        Kind and settings, as in the input.
    weights : Mapping from str to float
        Weights of rows by kind (``"force"``), by source (``"liquid"``) or by both (``"liquid/energy"``), and where
        compositions are kept apart by these too; they multiply one another.
    objective : {"lsq", "plain"}
        How often kinds of rows count.
    method : {"rfactor", "gram"}
        The summary that was solved.
    rank : int
        Independent columns of the design matrix; of ``svd`` the singular values kept.
    condition : float
        Condition number of the regularised problem: an estimate with columns scaled to length 1; of ``svd``, and of
        ridges that were solved together, exact and without that scaling.
    nonzeros : int
        Coefficients that are not 0.
    n_counted : int
        Rows, each as often as the objective counts it.
    rmse : float
        Root mean square residual over all rows that the objective counts, unweighted.
    residuals : Mapping from str to GroupResidual
        Of each group of rows (``source/kind``), unweighted.
    notes : tuple of str
        What the solver wants known.
    hyperparameters : Mapping from str to float
        What the solver chose or was held to: tolerance; or alpha, noise (standard deviation of a row of weight 1),
        effective_parameters, log_evidence.
    prior : Mapping from str to Any
        What was believed of the coefficients beforehand, see :meth:`~hiertl_dist.model.priors.Prior.of`; empty for mean
        zero and all alike.
    row_weights : Mapping from str to Any
        What single rows were multiplied by beside ``weights``: expressions by kind, and the file and SHA-256 of a list,
        see :meth:`~hiertl_dist.frames.row_weights.RowWeights.record`; empty for none.
    """

    parameters: Parameters
    block: str
    blocks: tuple[str, ...]
    frozen: Mapping[str, str]
    regulariser: Mapping[str, Any]
    weights: Mapping[str, float]
    objective: str
    method: str
    rank: int
    condition: float
    nonzeros: int
    n_counted: int
    rmse: float
    residuals: Mapping[str, GroupResidual] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    prior: Mapping[str, Any] = field(default_factory=dict)
    row_weights: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_columns(self) -> int:
        """Number of coefficients."""
        return len(self.parameters.coefficients)

    @property
    def rows(self) -> int:
        """Rows of the design matrix."""
        return sum(r.rows for r in self.residuals.values())

    def as_dict(self) -> dict[str, Any]:
        """Everything but the coefficients, for JSON.

        Returns
        -------
        dict from str to Any
            The attributes, the numbers of columns and rows, the coverage (Å), the types without data, and by
            type frames and clusters that were fitted on.
        """
        return {
            "block": self.block, "blocks": list(self.blocks), "columns": self.n_columns, "rows": self.rows,
            "frozen": dict(self.frozen), "regulariser": dict(self.regulariser), "weights": dict(self.weights),
            "objective": self.objective, "method": self.method, "rank": self.rank, "condition": self.condition,
            "nonzeros": self.nonzeros, "n_counted": self.n_counted, "rmse": self.rmse, "notes": list(self.notes),
            "hyperparameters": dict(self.hyperparameters), "prior": dict(self.prior),
            "row_weights": dict(self.row_weights),
            "residuals": {g: vars(r) for g, r in self.residuals.items()},
            "coverage": {p: list(r) for p, r in self.parameters.coverage.items()},
            "without_data": dict(self.parameters.without_data),
            "fitted_on": {t: list(n) for t, n in self.parameters.fitted_on.items()},
        }  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Write one ``.npz`` file, atomically; coefficients are kept to the bit.

        Parameters
        ----------
        path : str or Path
            The file; one that is there is replaced, folders that are missing are made.
        """
        path = Path(path)
        penalty = self.parameters.penalty
        meta = self.as_dict() | {
            "hiertl_dist_solution": FORMAT, "basis": self.parameters.basis.to_dict(),
            "penalty": [penalty.scale, penalty.distance],
            "undetermined": [dict(d) for d in self.parameters.undetermined], "file": path.name,
        }  # fmt: skip
        coefficients, text = self.parameters.coefficients, json.dumps(meta)
        with replacing(path) as stream:
            np.savez(
                stream, coefficients=coefficients, meta=np.array(text), sha256=np.array(_sha256(coefficients, text))
            )

    @classmethod
    def load(cls, path: str | Path) -> Solution:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : str or Path
            The file.

        Returns
        -------
        Solution
            The one that was saved; ``parameters.source`` is the path.

        Raises
        ------
        ParameterFileError
            Naming the file: it is no solution file, one of another format, damaged, or has the name of another block.
        MissingFileError
            There is no such file.

        Warns
        -----
        HiertlWarning
            It is not the file that the run wrote whose results are in its folder.
        """
        warn_if_other(require_file(path, "solution file"))
        try:
            # np.load leaves the file open where it is no archive
            with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as data:
                text, coefficients = str(data["meta"]), data["coefficients"]
                if "sha256" in data.files and _sha256(coefficients, text) != str(data["sha256"]):
                    raise ParameterFileError(
                        f"{path}: its content is not that of its SHA-256: it was damaged; {_AGAIN}"
                    )
            meta = json.loads(text)
            if fault := swapped_name(str(meta.get("file", "")), Path(path).name):
                raise ParameterFileError(f"{path}: {fault}")
            return cls._of(meta, coefficients, str(path))
        except (FileNotFoundError, ParameterFileError):
            raise
        except (
            KeyError, ValueError, TypeError, AttributeError, OSError, EOFError, zipfile.BadZipFile, zlib.error,
            TokenError, MemoryError, struct.error, RuntimeError, OverflowError, IndexError,
        ) as error:  # fmt: skip
            # the last ones for heads of archives and arrays that are damaged
            # numpy takes any other file for a pickle, and advises to load it as one
            why = "it is none" if "pickle" in str(error) else repr(error)
            raise ParameterFileError(
                f"{path}: expected a solution file (.npz, as Solution.save writes it), but: {why}; parameter files are "
                f"read by Model.read; where it is one, it is damaged: {_AGAIN}"
            ) from error

    @classmethod
    def _of(cls, meta: dict[str, Any], coefficients: NDArray[np.float64], source: str) -> Solution:
        if meta.get("hiertl_dist_solution") != FORMAT:
            raise ParameterFileError(
                f"{source}: expected solution format {FORMAT}, found {meta.get('hiertl_dist_solution')}"
            )
        coverage = {p: (float(a), float(b)) for p, (a, b) in meta["coverage"].items()}
        directions = meta.get("undetermined", meta.get("untold", ()))  # the latter is its name of before
        undetermined = tuple({str(e): float(x) for e, x in d.items()} for d in directions)
        notes = (f"{source}: {undetermined_text(undetermined)}",) if undetermined else ()
        parameters = Parameters(
            Basis.from_dict(meta["basis"]), coefficients, Penalty(*meta["penalty"]), coverage, source, notes,
            undetermined, meta.get("without_data", {}),
            {t: (int(n), int(m)) for t, (n, m) in meta.get("fitted_on", {}).items()},
        )  # fmt: skip
        return cls(
            parameters, meta["block"], tuple(meta["blocks"]), meta["frozen"], meta["regulariser"], meta["weights"],
            meta["objective"], meta["method"], meta["rank"], meta["condition"], meta["nonzeros"], meta["n_counted"],
            meta["rmse"], {g: GroupResidual(**r) for g, r in meta["residuals"].items()}, tuple(meta["notes"]),
            meta.get("hyperparameters", {}), meta.get("prior", {}), meta.get("row_weights", {}),
        )  # fmt: skip


def _sha256(coefficients: NDArray[np.float64], meta: str) -> str:
    whole = hashlib.sha256(np.ascontiguousarray(coefficients, "<f8").tobytes())
    whole.update(meta.encode())
    return whole.hexdigest()
