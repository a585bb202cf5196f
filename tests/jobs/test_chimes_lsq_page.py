"""The page for users of chimes_lsq and al_driver says of each of their options what becomes of it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from conftest import ROOT

PAGE = (ROOT / "docs" / "howto" / "chimes_lsq.md").read_text(encoding="utf-8")

OF_AL_DRIVER = """
ALC0_FILES ATOM_TYPES BULK_QM_METHOD CALC_REPO_ENER_CENT_QUEUE CALC_REPO_ENER_CENT_TIME CALC_REPO_ENER_QUEUE
CALC_REPO_ENER_TIME CHIMES_BUILD_NODES CHIMES_BUILD_QUEUE CHIMES_BUILD_TIME CHIMES_LSQ CHIMES_LSQ_MODULES CHIMES_MD
CHIMES_MD_MODULES CHIMES_MD_MPI CHIMES_MD_SER CHIMES_PEN_DIST CHIMES_PEN_PREFAC CHIMES_POSTPRC CHIMES_SOLVER
CHIMES_SOLVE_NODES CHIMES_SOLVE_PPN CHIMES_SOLVE_QUEUE CHIMES_SOLVE_TIME CHIMES_SRCDIR CLU_CODE CORRECTED_TEMPS_BY_FILE
CORRECTED_TYPE CORRECTED_TYPE_EXE CORRECTED_TYPE_FILES CP2K_EXE CP2K_FILES CP2K_POSTPRC DFTB_EXE DFTB_FILES DO_CLUSTER
DO_HIERARCH DRIVER_DIR EMAIL_ADD FIT_CORRECTION GAUS_EXE GAUS_REF GAUS_SCR HIERARCH_EXE HIERARCH_METHOD
HIERARCH_PARAM_FILES HPC_ACCOUNT HPC_EMAIL HPC_PPN HPC_PYTHON HPC_SYSTEM IGAS_QM_METHOD LMP_EXE LMP_UNITS LOOSE_CRIT
MAX_CLUATM MDFILES MD_MPI MD_NODES MD_QUEUE MD_SER MD_STYLE MD_TIME MEM_BINS MEM_CYCL MEM_ECUT MEM_NSEL MOLANAL
MOLANAL_SPECIES NO_CASES N_HYPER_SETS QM_FILES REGRESS_ALG REGRESS_NRM REGRESS_VAR RUN_MOLANAL SEED STRS_STYLE
THIS_SMEAR TIGHT_CRIT USE_AL_STRS VASP_EXE VASP_POSTPRC WEIGHTS_ALC_0 WEIGHTS_EGAS WEIGHTS_ENER WEIGHTS_FGAS
WEIGHTS_FORCE WEIGHTS_SET_ALC_0 WEIGHTS_STRES WORKING_DIR
""".split()
OF_CHIMES_LSQ = """
TRJFILE WRAPTRJ NFRAMES NLAYERS FITCOUL CNSCOUL FITSTRS FITENER FITEATM FITPOVR PAIRTYP CHBTYPE CHEBYFIX SPLITFI HIERARC
SKPFRMS USENEIG FCUTTYP NATMTYP TYPEIDX PAIRIDX EXCLUDE SPECIAL
""".split()
OF_SOLVER = """
--A --algorithm --dlasso_dlars_path --alpha --b --cores --eps --header --map --nodes --mpistyle --normalize
--read_output
--restart_dlasso_dlars --split_files --test_suite --weights --active --folds
""".split()
OF_DLARS = """
--algorithm --distributed_solver --iterations --feature_weights --lambda --max_norm --normalize --con_grad
--precondition --restart --split_files --weights
""".split()


def named(page):
    """What a page has in code, with what stands for many: ``MD_*`` and ``…_TIME``."""
    words = {w for code in re.findall(r"`([^`]+)`", page) for w in re.split(r"[\s=,:]+", code)}
    return words, [w[:-1] for w in words if w.endswith("*")], [w[1:] for w in words if w.startswith("…")]


def unsaid(page, names):
    words, starts, ends = named(page)
    return [n for n in names if n not in words and not n.startswith(tuple(starts)) and not n.endswith(tuple(ends))]


@pytest.mark.parametrize("names", [OF_AL_DRIVER, OF_CHIMES_LSQ, OF_SOLVER])
def test_every_option_is_on_the_page(names):
    assert unsaid(PAGE, names) == []


def test_every_option_of_dlars():
    page = (ROOT / "hiertl_dist" / "algebra" / "dlars.md").read_text(encoding="utf-8")
    assert unsaid(page, OF_DLARS) == []


def test_no_option_of_al_driver_was_forgotten():
    folder = os.environ.get("HIERTL_AL_DRIVER")
    if not folder:
        pytest.skip("HIERTL_AL_DRIVER names no checkout of al_driver")
    source = (Path(folder) / "src" / "verify_config.py").read_text(encoding="utf-8")
    assert unsaid(PAGE, sorted(set(re.findall(r"hasattr\(user_config, ?'([A-Z0-9_]+)'", source)))) == []
