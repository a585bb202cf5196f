"""Files as programs write them that ASE reads: an OUTCAR and a vasprun.xml of VASP, of two ionic steps of two atoms."""

from __future__ import annotations

import numpy as np

CELL = np.array([[4.0, 0.0, 0.0], [0.5, 5.0, 0.0], [0.2, 0.3, 6.0]])
POSITIONS = np.array([[[0.0, 0.0, 0.0], [1.2, 0.3, 0.4]], [[0.01, 0.02, 0.0], [1.21, 0.31, 0.43]]])
FORCES = np.array([[[0.5, -0.25, 0.125], [-0.5, 0.25, -0.125]], [[0.4, -0.2, 0.1], [-0.4, 0.2, -0.1]]])
ENERGIES = (-10.5, -10.75)
FREE = (-10.5, -10.7504)
KBAR = (np.array([10.0, 20.0, 30.0, 4.0, 5.0, 6.0]), np.array([11.0, 21.0, 31.0, 4.5, 5.5, 6.5]))
"""Stresses as VASP writes them: kbar, positive under compression, XX YY ZZ XY YZ ZX."""

PACKAGE_ORDER = [0, 1, 2, 3, 5, 4]
"""Takes them to xx yy zz xy xz yz."""

NELM = 60


def row(numbers) -> str:
    return " ".join(f"{x:13.6f}" for x in numbers)


def outcar(steps: int = 2, *, electronic: int = 3, ending: str = "aborting loop because EDIFF is reached") -> str:
    """An OUTCAR of C and N; the last line about convergence may be another, or none."""
    lines = [" vasp.6.3.0", *2 * [" POTCAR:    PAW_PBE C 08Apr2002", " POTCAR:    PAW_PBE N 08Apr2002"]]
    lines += [
        "   ions per type =               1   1",
        f"   NELM   =     {NELM};   NELMIN=  2; NELMDL= -5     # of ELM steps",
    ]
    for k in range(steps):
        for i in range(electronic):
            lines.append(f"--------------------------------------- Iteration{k + 1:7d}({i + 1:4d})  ----------------")
        lines += [f"------------------------ {ending} ------------------------"] if ending else []
        lines += [
            "  FORCE on cell =-STRESS in cart. coord.  units (eV):",
            "  Direction    XX          YY          ZZ          XY          YZ          ZX",
            f"  in kB {row(KBAR[k])}",
            "  external pressure =       20.00 kB  Pullay stress =        0.00 kB",
            "      direct lattice vectors                 reciprocal lattice vectors",
            *(f"  {row(CELL[i])} {row(np.linalg.inv(CELL).T[i])}" for i in range(3)),
            " POSITION                                       TOTAL-FORCE (eV/Angst)",
            " " + "-" * 83,
            *(f" {row(POSITIONS[k][i])} {row(FORCES[k][i])}" for i in range(2)),
            " " + "-" * 83,
            "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)",
            "  ---------------------------------------------------",
            f"  free  energy   TOTEN  =   {FREE[k]:18.8f} eV",
            "",
            f"  energy  without entropy=  {ENERGIES[k]:18.8f}  energy(sigma->0) =  {ENERGIES[k]:18.8f}",
            "",
        ]  # fmt: skip
    lines += [" General timing and accounting informations for this job:", ""]
    return "\n".join(lines)


def vectors(name: str, rows, words: str = "varray") -> str:
    return f'<{words} name="{name}">' + "".join(f"<v>{row(r)}</v>" for r in rows) + f"</{words}>"


def structure(k: int, name: str = "") -> str:
    cell = vectors("basis", CELL)
    scaled = vectors("positions", POSITIONS[k] @ np.linalg.inv(CELL))
    named = f' name="{name}"' if name else ""
    return f"<structure{named}>\n<crystal>{cell}</crystal>\n{scaled}\n</structure>"


def energies(k: int) -> str:
    return (
        f'<energy><i name="e_fr_energy">{FREE[k]:.8f}</i><i name="e_wo_entrp">{ENERGIES[k]:.8f}</i>'
        f'<i name="e_0_energy">{ENERGIES[k]:.8f}</i></energy>'
    )


def vasprun(steps: int = 2, *, electronic: int = 2) -> str:
    """A vasprun.xml of C and N with its bands."""
    nine = [[0, 3, 5], [3, 1, 4], [5, 4, 2]]
    parts = [
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>',
        '<generator><i name="program" type="string">vasp</i></generator>',
        f'<kpoints>{vectors("kpointlist", [[0, 0, 0]])}<varray name="weights"><v>1.0</v></varray></kpoints>',
        f'<parameters><separator name="electronic"><i type="int" name="NELM">{NELM}</i></separator></parameters>',
        "<atominfo><atoms>2</atoms><types>2</types>"
        '<array name="atoms"><set><rc><c>C </c><c>1</c></rc><rc><c>N </c><c>2</c></rc></set></array></atominfo>',
        structure(0, "initialpos"),
    ]
    for k in range(steps):
        tensor = [[KBAR[k][i] for i in line] for line in nine]
        parts += [
            "<calculation>", *(f"<scstep>{energies(k)}</scstep>" for _ in range(electronic)), structure(k),
            vectors("forces", FORCES[k]), vectors("stress", tensor), energies(k),
            '<eigenvalues><array><set><set comment="spin 1"><set comment="kpoint 1"><r>-1.0 1.0</r></set></set></set>'
            "</array></eigenvalues>",
            "</calculation>",
        ]  # fmt: skip
    parts += [structure(steps - 1, "finalpos") if steps else "", "</modeling>"]
    return "\n".join(parts) + "\n"
