"""``SuggestedInput``: an input for a data set, as a table, as TOML with a comment at each choice, and as text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..model.walls import BARRIER, HOTTEST
from ..text.cards import NOT_IN_IT, cpu_text, suggested_card
from ..text.display import Shown, table_text
from ..text.words import count_text
from ..units import EV
from .isolated_atoms import agreed_energies, disagreements

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..design_matrix.fit_costs import FitSeconds
    from .suggesting_basis import BlockChoice, PairChoice
    from .suggesting_search import SearchChoice
    from .surveying import Survey

WIDTH: Final = 112
"""Characters of a line of comment."""


COST_OF_ENERGIES: Final = (
    "of Si/C, block by block, errors on held-out frames with neighbours grew by factors of 2.3 (energies), 1.2 "
    "(forces) and 1.7 (stresses), of C alone they were the same"
)
"""What energies of isolated atoms, given instead of fitted, do to held-out errors of the only reference data that have
isolated atoms: medians of eight draws of a fifth of the other frames, these atoms always fitted. Of Si alone 3.2, 1.2,
1.9; of the frames with both elements 1.2, 1.2, 1.0; of C alone 1.0 each. All blocks at once in five folds, the isolated
atoms among what is held out and dimers the most of the error, factors are 0.83, 0.81 and 1.7, and 1.05 of the score
(``benchmarks/init_rules.py``)."""


@dataclass(frozen=True)
class HoldOut:
    """What is held out.

    Attributes
    ----------
    table : Mapping from str to object
        The ``[hold_out]`` table; empty where nothing is held out.
    frames : int
        How many frames are held out.
    reason : str
        Why these.
    """

    table: Mapping[str, Any]
    frames: int
    reason: str


@dataclass(frozen=True, eq=False, repr=False)
class SuggestedInput(Shown, card=suggested_card):
    """An input that runs as it is.

    Attributes
    ----------
    table : Mapping from str to object
        The input, for :meth:`hiertl_dist.Input.from_dict`.
    survey : Survey
        Of the frames that it was chosen from.
    pairs : tuple of PairChoice
        Inner cutoff and λ of each pair of elements, in Å, beside the closest contact and the first peak of g(r).
    blocks : tuple of BlockChoice
        The orders of each block, what is fitted with it, and the estimated CPU seconds.
    hold_out : HoldOut
        What is held out, how many frames that is, and why.
    all_at_once : bool
        Whether the fit needs ``--all-at-once``, because some frames have more elements than a block can have (four).
    guesses : tuple of str
        How the files are read, where nobody said.
    warnings : tuple of str
        What a user should know.
    search : SearchChoice
        What ``hiertl-dist search`` would compare.
    cpu : FitSeconds
        Estimated CPU seconds of the fit by what is done, as ``hiertl-dist plan`` estimates them.
    looked_at : int
        How many of the frames to be fitted they follow from; a plan looks at all.
    """

    table: Mapping[str, Any]
    survey: Survey
    pairs: tuple[PairChoice, ...]
    blocks: tuple[BlockChoice, ...]
    hold_out: HoldOut
    all_at_once: bool
    guesses: tuple[str, ...]
    warnings: tuple[str, ...]
    search: SearchChoice
    cpu: FitSeconds
    looked_at: int

    @property
    def notes(self) -> tuple[str, ...]:
        """Guesses and warnings."""
        return (*self.guesses, *self.warnings)

    @property
    def seconds(self) -> float:
        """Estimated CPU seconds of the fit."""
        return self.cpu.total

    def toml(self, name: str = "input.toml") -> str:
        """A commented input file, which :meth:`hiertl_dist.Input.from_toml` reads.

        Parameters
        ----------
        name : str, optional
            What the file will be called: its comments have commands with that name.

        Returns
        -------
        str
            The file's text, with the reason of each choice in a comment.
        """
        return _toml(self, name)

    def text(self) -> str:
        """The choices, for people.

        Returns
        -------
        str
            A table of the blocks, a line of what is held out, and a line for each warning.
        """
        return _text(self)


def _toml(suggested: SuggestedInput, name: str) -> str:
    table = suggested.table
    parts = [
        _head(suggested, name), _basis(suggested),
        *(_table("[[data]]", d, _data_comment(i)) for i, d in enumerate(table.get("data", ()))),
        _hold_out(suggested), _library(suggested), _fit(suggested), _table("[output]", table["output"]),
        _search(suggested, name),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _text(suggested: SuggestedInput) -> str:
    rows = [
        [", ".join(b.names) if not b.at_once else f"{b.name}, all at once", " ".join(map(str, b.level)), b.columns,
         b.labels, f"{b.seconds:.0f}"]
        for b in suggested.blocks
    ]  # fmt: skip
    lines = [
        table_text(["blocks fitted together", "orders", "columns", "labels", "CPU s (estimate)"], rows),
        f"CPU time of rows, priors and solve, by a ridge (estimate from {count_text(suggested.looked_at, 'frame')}, "
        f"which hiertl-dist plan makes from all): {cpu_text(suggested.cpu.as_dict())}; {NOT_IN_IT}",
        f"held out: {suggested.hold_out.reason}",
    ]
    lines += [f"note: {note}" for note in suggested.warnings]
    return "\n".join(lines)


def _head(suggested: SuggestedInput, name: str) -> str:
    known = suggested.survey
    once = " --all-at-once" if suggested.all_at_once else ""
    lines = [
        f"Written by hiertl-dist init from {known.frames} frames, {known.atoms} atoms of {', '.join(known.elements)}. "
        "Every value is a suggestion; the comments say where it comes from. It runs as it is:",
        f"    hiertl-dist plan {name}{once}    # what it will compute and need",
        f"    hiertl-dist fit {name}{once}     # about {max(suggested.seconds, 1.0):.0f} CPU s by the estimate",
    ]
    if suggested.search.table:
        lines.append(f"    hiertl-dist search {name}{once}  # compares the models of [search] by cross-validation")
    lines += [f"Note: {note}." for note in suggested.notes]
    return _comment(*lines)


def _basis(suggested: SuggestedInput) -> str:
    basis = suggested.table["basis"]
    three, four = basis["three_body"]["rmax"], basis["four_body"]["rmax"]
    blocks = "; ".join(
        f"{'+'.join(b.names) if not b.at_once else 'all blocks'} {' '.join(map(str, b.level))}: {b.columns} columns, "
        f"{b.labels} labels" for b in suggested.blocks
    )  # fmt: skip
    lines = [
        "[basis]", f"elements = {_value(basis['elements'])}",
        _comment("Chebyshev orders of two-, three- and four-body terms, counted as in PAIRTYP of fm_setup.in: the "
                 "highest with four labels for each column, and whose fit takes minutes. " + blocks + "."),
        f"orders = {_value(basis['orders'])}", f"transform = {_value(basis['transform'])}",
        _comment("that of the library" if "library" in suggested.table else
                 "1 below a quarter of an outer cutoff, then smoothly to 0 (as in published ChIMES models)"),
        f"cutoff = {_value(basis['cutoff'])}",
    ]  # fmt: skip
    lines += _energies(suggested.survey)
    if "exclude" in basis:
        lines += [_comment("types that blocks of the library lack"), f"exclude = {_value(basis['exclude'])}"]
    for block, table in basis.get("blocks", {}).items():
        lines += ["", f"[basis.blocks.{_key(block)}]", f"orders = {_value(table['orders'])}"]
    for kind, table in basis.get("types", {}).items():
        lines += ["", _table(f"[basis.types.{_key(kind)}]", table, "as the library has it")]
    lines += [
        "", "[basis.pairs]",
        _comment("Å. lambda: the first peak of g(r) (Lindsey, Fried, Goldman, J. Chem. Theory Comput. 13, 6222, 2017). "
                 "rmin: 0.5 to 0.7 of the closest contact in all frames, so that a model in use does not meet the edge "
                 "of its polynomials at the first shorter contact, and such that the wall of [fit] penalty, from "
                 "rmin + distance on, begins just below that contact. Unlike atoms count as no farther apart than the "
                 "mean of the contacts of their elements."),
    ]  # fmt: skip
    wide = max(len(_key(p.name)) for p in suggested.pairs)
    for p in suggested.pairs:
        table, wall = basis["pairs"][p.name], p.rmin + suggested.table["fit"]["penalty"]["distance"]
        seen = "never met" if p.shortest is None else f"closest {p.shortest:.3f}, peak {p.peak or p.shortest:.2f}"
        whose = "of the library; " if p.known else ""
        lines.append(f"{_key(p.name).ljust(wide)} = {_value(table)}    # {whose}{seen}, wall below {wall:.2f}")
    lines += ["", "[basis.three_body]", f"rmax = {three}", "", "[basis.four_body]", f"rmax = {four}"]
    return "\n".join(lines)


def _energies(known: Survey) -> list[str]:
    """The isolated atoms of the data, as a line that gives their energies."""
    agreed = agreed_energies(known.isolated)
    comments = list(disagreements(known.isolated, "eV", EV))
    if agreed:
        first = (
            f"Energies of free atoms are fitted. The data have isolated atoms of {', '.join(agreed)}: the next line "
            "holds the energies at their labels, so that the model is right where atoms are far apart (Batatia et al., "
            f"arXiv:2205.06643); it costs elsewhere: {COST_OF_ENERGIES}."
        )
        comments = [first, *comments]
    given = {e: float(f"{x / EV:.12g}") for e, x in agreed.items()}
    line = [f"# energies = {_value({**given, 'unit': 'eV'})}"] if given else []
    return [_comment(*comments), *line] if comments else []


def _library(suggested: SuggestedInput) -> str:
    if "library" not in suggested.table:
        return ""
    comment = (
        "its blocks in use are taken as they are, and what is fitted is added to it; cutoffs, lambda, orders and wall "
        "of its pairs and blocks are theirs. theory and energy_reference are statements of these data: blocks of which "
        "others are stated are refused"
    )
    return _table("[library]", suggested.table["library"], comment)


def _data_comment(number: int) -> str:
    return "paths are relative to this file; patterns are taken" if number == 0 else ""


def _hold_out(suggested: SuggestedInput) -> str:
    held_out = suggested.hold_out
    if not held_out.table:
        return _comment(f"[hold_out]: {held_out.reason}")
    return _table("[hold_out]", held_out.table, f"evaluated, but not fitted: {held_out.reason}")


def _fit(suggested: SuggestedInput) -> str:
    fit = suggested.table["fit"]
    lines = [
        "[fit]",
        _comment("forces in kcal/mol/Å of weight 1"),
        f"regulariser = {_value(fit['regulariser'])}",
        _comment("from the spread of the labels and the number of rows of each kind; or { force = 1.0, energy = 1.0, "
                 "stress = 100.0 }, which multiply rows"),
        f"weights = {_value(fit['weights'])}",
        _comment("the repulsive wall of the parameter files: scale (rmin + distance − r)³ kcal/mol below rmin + "
                 "distance" + ("; that of the library, for a model has one" if "library" in suggested.table else
                 f"; no frame is there. Half-way to rmin it has {BARRIER / EV:.1f} eV or more, which atoms at "
                 f"{HOTTEST:g} K do not get over.")),
        f"penalty = {_value(fit['penalty'])}",
    ]  # fmt: skip
    leaning = (
        "blocks of several elements lean on those of their single elements where the data speak for it, are held there "
        "by probe structures as hard as their own frames bear (probes = 0: not at all), and are made of "
        'them where no frame has them (mean = "zero": none of it); '
    )
    smooth = "high powers are held tighter, so that what the data don't say stays smooth"
    lines += [
        _comment((leaning if fit["prior"]["mean"] != "zero" else "") + smooth),
        f"prior = {_value(fit['prior'])}",
    ]
    if "only" in fit:
        lines += [
            _comment("blocks whose own frames do not determine them are fitted together with a larger one (partial)"),
            f"only = {_value(fit['only'])}",
        ]
    for block, own in fit.get("blocks", {}).items():
        reason = "lower blocks that are fitted with it: their own frames, if any, do not determine them"
        lines += ["", _table(f"[fit.blocks.{_key(block)}]", own, reason)]
    return "\n".join(lines)


def _search(suggested: SuggestedInput, name: str) -> str:
    search, once = suggested.search, " --all-at-once" if suggested.all_at_once else ""
    if not search.table:
        return _comment(f"[search]: these frames are too few or too uneven to cross-validate. {search.why}")
    grid = search.table["grid"]
    lines = [
        "[search]",
        _comment(f"hiertl-dist search {name}{once}: reads the rows once and compares these strengths, for each fit of "
                 "[fit] apart, by errors on folds left out; every list is an axis. It writes the model that it chooses "
                 "to [output] folder, as fit does."),
        f"folds = {_value(search.table['folds'])}", "", "[search.grid]", f"regulariser = {_value(grid['regulariser'])}",
    ]  # fmt: skip
    if len(search.orders) > 1:
        lines += [
            _comment("orders too; of blocks that have lower ones above, these are the highest"),
            f"# orders = {_value([list(o) for o in search.orders])}",
        ]
    return "\n".join(lines)


def _table(title: str, table: Mapping[str, Any], comment: str = "") -> str:
    head = [_comment(comment)] if comment else []
    return "\n".join([title, *head, *(f"{key} = {_value(value)}" for key, value in table.items())])


def _comment(*paragraphs: str) -> str:
    """Comment lines; a paragraph that begins with blanks is kept as it is."""
    lines: list[str] = []
    for text in paragraphs:
        if text.startswith("    "):
            lines.append(text)
            continue
        line = ""
        for word in text.split():
            if line and len(line) + len(word) >= WIDTH:
                lines.append(line)
                line = ""
            line = f"{line} {word}" if line else word
        lines.append(line)
    return "\n".join(f"# {line}" for line in lines)


def _value(value: Any) -> str:
    """A value in TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON escapes what TOML does, but for DEL, which a TOML string may not hold as it is
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return _list([_value(v) for v in value])
    return repr(value)


def _list(items: Iterable[str]) -> str:
    listed = list(items)
    short = "[" + ", ".join(listed) + "]"
    if len(short) <= WIDTH:
        return short
    return "[\n" + "".join(f"    {item},\n" for item in listed) + "]"


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)
