"""Tables of a page as files: CSV with all digits, LaTeX for papers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..files.paths import replacing
from ..jobs.csv_tables import CsvTable
from ..text.display import cell_text
from .html_page import is_number_column

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .pieces import Table

SPECIAL: Final = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "Å": r"\AA{}", "λ": r"$\lambda$", "σ": r"$\sigma$", "µ": r"\textmu{}",
    "±": r"$\pm$", "×": r"$\times$", "≥": r"$\geq$", "≤": r"$\leq$", "−": "$-$", "–": "--", "…": r"\ldots{}",
    "→": r"$\rightarrow$", "³": r"\textsuperscript{3}", "²": r"\textsuperscript{2}", "\n": " ",
}  # fmt: skip
"""What LaTeX would take for commands, and what its standard fonts lack."""


def table_paths(folder: Path, tables: Sequence[Table]) -> list[Path]:
    """The files of tables: of each a CSV and a LaTeX one."""
    return [folder / f"{table.name}{ending}" for table in tables for ending in (".csv", ".tex")]


def write_tables(folder: Path, tables: Sequence[Table]) -> list[Path]:
    """Write tables into a folder, which is made; returns their paths."""
    for table in tables:
        CsvTable(f"{table.name}.csv", table.header, table.rows).write(folder)
        with replacing(folder / f"{table.name}.tex") as stream:
            stream.write(latex_text(table).encode())
    return table_paths(folder, tables)


def latex_text(table: Table) -> str:
    r"""A table for LaTeX, which needs ``\usepackage{booktabs}``; numbers have four digits."""
    columns = "".join("r" if is_number_column(table, k) else "l" for k in range(len(table.header)))
    head = " & ".join(map(latex_escaped, table.header))
    rows = "".join(" & ".join(latex_escaped(cell_text(v)) for v in row) + " \\\\\n" for row in table.rows)
    return (
        "\\begin{table}\n\\centering\n"
        f"\\caption{{{latex_escaped(table.caption)}}}\n\\label{{tab:{table.name}}}\n"
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{head} \\\\\n\\midrule\n{rows}\\bottomrule\n"
        "\\end{tabular}\n\\end{table}\n"
    )


def latex_escaped(text: str) -> str:
    """A text as LaTeX shows it."""
    return "".join(SPECIAL.get(letter, letter) for letter in text)
