"""Units and their conversion. Inside the package: Å, kcal/mol, kcal/mol/Å, kcal/mol/Å³.

The ChIMES factors are chimes_lsq's own numbers, digit for digit, because its rows are the
reference; the electronvolt is CODATA 2018 with the thermochemical calorie (4.184 J).
"""

from __future__ import annotations

from typing import Final

HARTREE: Final = 627.50960803
"""kcal/mol per Hartree, as chimes_lsq has it."""

INVERSE_BOHR: Final = 1.889725989
"""1/Å per 1/Bohr, as chimes_lsq has it."""

HARTREE_PER_BOHR: Final = HARTREE * INVERSE_BOHR
"""kcal/mol/Å per Hartree/Bohr."""

KCAL_PER_A3_IN_GPA: Final = 6.9476955
"""GPa per kcal/mol/Å³, as chimes_lsq has it."""

EV: Final = 23.060547830619026
"""kcal/mol per eV."""

KELVIN: Final = 8.31446261815324 / 4184.0
"""kcal/mol per kelvin: Boltzmann's constant (CODATA 2018)."""

SYMBOLS: Final[frozenset[str]] = frozenset(
    """H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
    Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb
    Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf
    Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og""".split()
)
"""Chemical symbols of the 118 elements."""
