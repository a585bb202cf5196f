"""Ionic steps of VASP's OUTCAR and vasprun.xml, one at a time, each understood by ASE.

ASE's own functions hold a whole file of XML, and the bands of each step, in memory. Here one step at a time is handed
to them, without what no label is in. What the files say and ASE does not is noted: a step that is not complete,
electrons that may not have converged.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from xml.etree import ElementTree
from xml.parsers.expat import errors

from ..errors import FrameError
from ..text.words import shown
from .ase_images import Image
from .text_files import open_bytes, open_text, room_for_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CUT: Final = "the file ends in the middle of the ionic step after this one; that step was left out"
CUT_LATE: Final = "the file ends in the middle of this ionic step, but after its labels"
UNCONVERGED: Final = "VASP says that the electrons were not converged (EDIFF was not reached)"
MAY_BE_UNCONVERGED: Final = "as many electronic steps as NELM allows were made: the electrons may not have converged"
NO_STEP: Final = "expected at least one complete ionic step; the file ends before that"

ITERATION: Final = re.compile(r"Iteration\s+\d+\(\s*(\d+)\)")
NELM: Final = re.compile(r"^\s*NELM\s*=\s*(\d+)")


class _Facts(NamedTuple):
    """Of a part of an OUTCAR: whether a step begins in it, electronic steps, and what is said of their convergence."""

    begun: bool = False
    electronic: int = 0
    reached: bool = False
    missed: bool = False

    def doubts(self, most: int) -> tuple[str, ...]:
        if self.missed:
            return (UNCONVERGED,)
        return (MAY_BE_UNCONVERGED,) * (not self.reached and 0 < most <= self.electronic)


class _Lines:
    """The lines of an OUTCAR as ASE takes them, with an eye on some."""

    def __init__(self, text: Any, path: Path) -> None:
        self.name = str(path)
        """ASE asks for it."""
        self.most = 0
        """NELM."""
        self._text = text
        self._facts = _Facts()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line: str = next(self._text)
        if "Iteration" in line:
            if found := ITERATION.search(line):
                self._facts = self._facts._replace(begun=True, electronic=int(found[1]), reached=False, missed=False)
        elif "EDIFF" in line:
            self._facts = self._facts._replace(
                reached=self._facts.reached or "EDIFF is reached" in line,
                missed=self._facts.missed or "EDIFF was not reached" in line,
            )
        elif not self.most and (found := NELM.match(line)):
            self.most = int(found[1])
        return line

    def taken(self) -> _Facts:
        """The facts since the last call."""
        facts, self._facts = self._facts, _Facts()
        return facts


POSITIONS: Final = ("vasp", "vasp-xdatcar")
"""What ASE calls POSCAR, CONTCAR and XDATCAR."""

LEAST_LINE: Final = 6
"""Characters of the shortest line of an atom."""


def require_possible_counts(path: Path) -> None:
    """Raise FrameError where a file of positions tells of more atoms than it has room for; ASE would make them first.

    Numbers of atoms of each element are on line 6, or on line 7 where line 6 has their names.
    """
    with open_bytes(path)[0] as stream:
        lines = [stream.readline(65536) for _ in range(7)]
    room = room_for_lines(path, LEAST_LINE)
    for number, line in enumerate(lines[5:], 6):
        words = line.split(b"!")[0].split()
        if words and all(word.isdigit() for word in words):
            # Python reads no number of thousands of digits
            if any(len(word) > 18 for word in words) or sum(map(int, words)) > room:
                found = shown(line.decode("utf-8", "replace").strip())
                raise FrameError(f"{path}, line {number}: expected numbers of atoms, at most {room}, found {found}")
            return


def outcar_images(path: Path) -> Iterator[Image]:
    """The ionic steps of an OUTCAR, plain or packed; raises FrameError, or what ASE raises."""
    from ase.io.vasp_parsers import vasp_outcar_parsers as parsers

    text, _ = open_text(path)
    with text:
        lines = _Lines(text, path)
        # no parser of what no label is in: of bands, which are most of the file, and magnetic moments
        chunks = parsers.outcarchunks(
            lines,
            parsers.OutcarChunkParser(
                parsers=[parsers.Cell(), parsers.PositionsAndForces(), parsers.Stress(), parsers.Energy()]
            ),
            parsers.OutcarHeaderParser(parsers=[parsers.SpeciesTypes(), parsers.IonsPerSpecies()]),
        )
        held: tuple[Any, _Facts] | None = None
        failure: Exception | None = None
        while True:
            try:
                chunk = next(chunks, None)
            except Exception as error:
                chunk, failure = None, error
            facts = lines.taken()
            if held is not None:
                cut = (CUT,) * (chunk is None and facts.begun and failure is None)
                yield Image(held[0].build(), (), (*held[1].doubts(lines.most), *cut))
            if failure is not None:
                raise failure
            if chunk is None:
                break
            held = chunk, facts
    if held is None:
        raise FrameError(f"{path}: {NO_STEP}")


HEADS: Final = ("kpoints", "parameters", "atominfo")
"""What ASE asks of a vasprun.xml before the steps, beside the first structure."""

TRUNCATED: Final = tuple(
    code
    for text, code in errors.codes.items()
    if text in (errors.XML_ERROR_NO_ELEMENTS, errors.XML_ERROR_UNCLOSED_TOKEN, errors.XML_ERROR_PARTIAL_CHAR)
)
"""What the XML reader says of a file that ends too early."""


class _Step(NamedTuple):
    """One step of a vasprun.xml: what ASE is to read, and what is said of it."""

    document: bytes
    doubts: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def image(self, *doubts: str) -> Image:
        from ase.io.vasp import read_vasp_xml

        (atoms,) = read_vasp_xml(io.BytesIO(self.document), slice(None))
        return Image(atoms, self.notes, (*self.doubts, *doubts))


def vasprun_images(path: Path) -> Iterator[Image]:
    """The ionic steps of a vasprun.xml, plain or packed; raises FrameError, or what ASE raises."""
    stream, _, _ = open_bytes(path)
    with stream:
        reader = _XmlSteps(stream)
        held: _Step | None = None
        for step in reader:
            if held is not None:
                yield held.image()
            held = step
        if held is not None:
            yield held.image(*(CUT,) * reader.cut)
        if reader.failure is not None:
            raise reader.failure
    if held is None:
        raise FrameError(f"{path}: {NO_STEP}")


class _XmlSteps:
    """The steps of a vasprun.xml, of which one is held at a time.

    After the last one, ``cut`` says whether the file ends in the middle of another, and ``failure`` what else is wrong.
    """

    def __init__(self, stream: Any) -> None:
        self.cut = False
        self.failure: Exception | None = None
        self._stream = stream
        self._heads: dict[str, ElementTree.Element] = {}
        self._electronic = 0

    def __iter__(self) -> Iterator[_Step]:
        above: list[ElementTree.Element] = []
        kept: list[ElementTree.Element] = []
        events = ElementTree.iterparse(self._stream, ("start", "end"))
        try:
            for event, element in events:
                if event == "start":
                    above.append(element)
                    if len(above) == 2 and element.tag == "calculation":
                        kept, self._electronic = [], 0
                    continue
                above.pop()
                in_step = len(above) == 2 and above[1].tag == "calculation"
                if in_step:
                    kept = self._keep(kept, element)
                    above[1].clear()
                elif len(above) == 1:
                    if element.tag == "calculation":
                        yield self._step(kept)
                    elif element.tag in HEADS or element.attrib.get("name") == "initialpos":
                        self._heads.setdefault(element.tag, element)
                    above[0].clear()
        except ElementTree.ParseError as error:
            if error.code not in TRUNCATED:
                self.failure = error
            elif len(above) > 1 and above[1].tag == "calculation":
                complete = any(e.tag == "energy" for e in kept)
                self.cut = not complete
                if complete:
                    yield self._step(kept, CUT_LATE)
        except Exception as error:  # of what unpacks it
            self.failure = error

    def _keep(self, kept: list[ElementTree.Element], element: ElementTree.Element) -> list[ElementTree.Element]:
        """What a label is in: of electronic steps the last."""
        if element.tag == "scstep":
            self._electronic += 1
            kept = [e for e in kept if e.tag != "scstep"]
        elif element.tag not in ("structure", "energy") and element.attrib.get("name") not in ("forces", "stress"):
            return kept
        return [*kept, element]

    def _step(self, kept: list[ElementTree.Element], *notes: str) -> _Step:
        document = ElementTree.Element("modeling")
        document.extend(self._heads.values())
        ElementTree.SubElement(document, "calculation").extend(kept)
        most = self._heads["parameters"].find(".//i[@name='NELM']") if "parameters" in self._heads else None
        reached = most is not None and most.text is not None and 0 < int(most.text) <= self._electronic
        return _Step(ElementTree.tostring(document), (MAY_BE_UNCONVERGED,) * reached, notes)
