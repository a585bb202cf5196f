"""chimes_lsq's input: the basis, the labels that are fitted, and every refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fm_text import FRAME, SETUP, add, frames_text, setup

from hiertl_dist.errors import FrameError, InputError
from hiertl_dist.io.fm_setup import read_fm_setup
from hiertl_dist.io.trajectories import read_frames
from hiertl_dist.model.basis import Cutoff
from hiertl_dist.units import KCAL_PER_A3_IN_GPA


def listed(folder: Path, listing: str, *changes: tuple[str, str], files: dict[str, int]) -> Path:
    path = setup(folder, ("\ttraj.xyzf", "MULTI list.dat"), *changes)
    (folder / "list.dat").write_text(listing)
    for name, n in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(frames_text(n))
    return path


def test_basis(tmp_path):
    basis = read_fm_setup(setup(tmp_path)).basis
    assert basis.elements == ("O", "C")
    assert [t.name for t in basis.types] == [
        "OO", "CC", "CO", "OOO", "COO", "CCO", "CCC", "OOOO", "COOO", "CCOO", "CCCO", "CCCC", "O", "C",
    ]  # fmt: skip
    assert [t.order for t in basis.types] == [6] * 3 + [4] * 4 + [3] * 5 + [1] * 2
    pair = basis.pair("O", "C")
    assert (pair.rmin, pair.rmax, pair.transform, pair.morse_lambda) == (0.95, 4.2, "MORSE", 1.3)
    assert basis.cutoff == Cutoff("TERSOFF", 0.5)
    assert basis.type_named("CCO").edge("C", "O").rmax == 4.2


def test_defaults_of_chimes_lsq(tmp_path):
    path = setup(
        tmp_path, ("# CHBTYPE #\n    MORSE", ""), ("# FCUTTYP #\n    TERSOFF 0.5 ! sharp", ""),
        ("# FITENER #\n    true   of every frame", ""), ("# FITSTRS #\n    ALL", ""), (" 6 4 3 -1 1", " 6"),
    )  # fmt: skip
    read = read_fm_setup(path)
    assert read.basis.cutoff == Cutoff()
    assert {p.transform for p in read.basis.pairs} == {"DEFAULT"}
    assert [t.name for t in read.basis.types] == ["OO", "CC", "CO"]
    assert {(f.energy, f.stress is None, f.forces is None) for f in read.frames} == {(None, True, False)}


@pytest.mark.parametrize(("word", "transform"), [("INVRSE_R", "INVRSE_R"), ("DEFAULT", "DEFAULT"), ("NONE", "DEFAULT")])
def test_transforms(tmp_path, word, transform):
    basis = read_fm_setup(setup(tmp_path, ("    MORSE", word))).basis
    assert {(p.transform, p.morse_lambda) for p in basis.pairs} == {(transform, None)}


def test_special_cutoffs(tmp_path):
    text = (
        "SPECIAL 3B S_MAXIM: SPECIFIC 2\nOCOCCC CC CO OC 3.5 3.0 3.0\nOOOOOO OO OO OO 3.9 3.9 3.9\n"
        "SPECIAL 4B S_MAXIM: ALL 2.5\nSPECIAL 4B S_MINIM: ALL 0.7\n"
    )
    basis = read_fm_setup(setup(tmp_path, add(text))).basis
    edges = {t.name: {e.name: (e.rmin, e.rmax) for e in t.edges} for t in basis.types}
    assert edges["CCO"] == {"CC": (0.9, 3.5), "CO": (0.95, 3.0)}
    assert edges["OOO"] == {"OO": (1.0, 3.9)}
    assert edges["COO"] == {"CO": (0.95, 4.2), "OO": (1.0, 4.0)}
    assert edges["CCOO"] == {"CC": (0.7, 2.5), "CO": (0.7, 2.5), "OO": (0.7, 2.5)}
    assert edges["CC"] == {"CC": (0.9, 4.1)}


def test_exclusions_in_any_order_of_elements(tmp_path):
    text = (
        "EXCLUDE 1B INTERACTION: 1\nC\nEXCLUDE 2B INTERACTION: 1\nC O\nEXCLUDE 3B INTERACTION: 1\nO C O\n"
        "EXCLUDE 4B INTERACTION: 2\nO C O C\nC C C C\n"
    )
    basis = read_fm_setup(setup(tmp_path, add(text))).basis
    assert [t.name for t in basis.types] == [
        "OO", "CC", "OOO", "CCO", "CCC", "OOOO", "COOO", "CCCO", "O",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "diagonal", "full"),
    [
        ("false", 0, 0),
        ("True", 3, 0),
        ("FIRST 2", 2, 0),
        ("First 9", 3, 0),
        ("ALL", 0, 3),
        ("ALL 1", 0, 3),
        ("FIRSTALL 1", 0, 1),
    ],
)
def test_fitstrs(tmp_path, word, diagonal, full):
    frames = read_fm_setup(setup(tmp_path, ("    ALL", word))).frames
    full_stress = np.arange(1, 7) / KCAL_PER_A3_IN_GPA
    for k, frame in enumerate(frames):
        if k < full:
            assert np.array_equal(frame.stress, full_stress)
        elif k < diagonal:
            assert np.array_equal(frame.stress[:3], full_stress[:3])
            assert np.isnan(frame.stress[3:]).all()
        else:
            assert frame.stress is None


@pytest.mark.parametrize(("word", "n"), [("false", 0), ("TRUE", 3), ("FIRST 2", 2), ("first 0", 0), ("FIRST 7", 3)])
def test_fitener(tmp_path, word, n):
    read = read_fm_setup(setup(tmp_path, ("    true   of every frame", word)))
    assert [frame.energy for frame in read.frames] == [-float(k) if k < n else None for k in range(3)]
    assert (read.basis.type_named("C") is not None) == (word != "false")


def test_first_counts_over_all_trajectories_and_groups_are_named(tmp_path):
    listing = "3\n1 a.xyzf 300\n2 sub/b.xyzf\n0 none.xyzf\n"
    path = listed(tmp_path, listing, ("    ALL", "FIRSTALL 2"), files={"a.xyzf": 1, "sub/b.xyzf": 2})
    read = read_fm_setup(path)
    assert [(f.group, f.stress is not None, f.origin) for f in read.frames] == [
        ("a", True, "a.xyzf, frame 1, line 1"),
        ("b", True, "b.xyzf, frame 1, line 1"),
        ("b", False, "b.xyzf, frame 2, line 5"),
    ]
    assert any("none.xyzf" in note for note in read.notes)


def test_labels_tell_files_of_one_name_apart(tmp_path):
    listing = "3\n1 x/t.xyzf 300\n1 y/t.xyzf 600 F_ S_ E_\n1 z.xyzf None None None\n"
    path = listed(tmp_path, listing, files={"x/t.xyzf": 1, "y/t.xyzf": 1, "z.xyzf": 1})
    read = read_fm_setup(path)
    assert [f.group for f in read.frames] == ["t_300", "t_600", "z"]
    assert [note for note in read.notes if "prefixes" in note] == [
        "list.dat, line 3: the prefixes of row labels have no effect"
    ]


def test_a_prefix_of_all_rows_is_one_of_the_group(tmp_path):
    """As al_driver marks frames of the gas phase."""
    path = listed(tmp_path, "2\n1 a.xyzf\n2 b.xyzf G_ G_ G_\n", files={"a.xyzf": 1, "b.xyzf": 2})
    read = read_fm_setup(path)
    assert [f.group for f in read.frames] == ["a", "G_b", "G_b"]
    assert not any("prefixes" in note for note in read.notes)


def test_single_trajectory_with_more_frames(tmp_path):
    read = read_fm_setup(setup(tmp_path, n=4))
    assert len(read.frames) == 3
    assert "traj.xyzf: only the first 3 frames are read (NFRAMES); it has more" in read.notes
    assert len(read_frames(tmp_path / "traj.xyzf")) == 4


def test_without_frames_nothing_is_opened(tmp_path):
    path = setup(tmp_path)
    (tmp_path / "traj.xyzf").unlink()
    read = read_fm_setup(path, read_frames=False)
    assert read.frames == ()
    assert read.basis.elements == ("O", "C")
    with pytest.raises(FileNotFoundError):
        read_fm_setup(path)


def test_labels_of_a_list_and_masses_without_effect_are_noted(tmp_path):
    many = ("# NFRAMES #\n    3", "# NFRAMES #\n    4")
    listing, files = "2\n2 a.xyzf 300\n2 b.xyzf 2000\n", {"a.xyzf": 2, "b.xyzf": 2}
    path = listed(tmp_path, listing, many, ("O  0.0  15.999", "O  0.0  17.999"), files=files)
    notes = read_fm_setup(path).notes
    assert [n for n in notes if n.startswith("labels 300, 2000 of the list of TRJFILE: no effect")]
    assert [n for n in notes if n.endswith("parameter files have standard ones, and of this file O 17.999")]
    listing = "2\n2 one/a.xyzf 300\n2 two/a.xyzf 2000\n"
    read = read_fm_setup(listed(tmp_path, listing, many, files={"one/a.xyzf": 2, "two/a.xyzf": 2}))
    assert {f.group for f in read.frames} == {"a_300", "a_2000"}
    assert not [n for n in read.notes if n.startswith("labels")]


def test_notes(tmp_path):
    text = "CHARGE CONSTRAINTS:\nOO CC CO 1 2 3 0\nOO CC CO 1 2 -3 0\n# NLAYERS #\n2\n# CNSCOUL #\ntrue\n"
    text += "# SPLITFI #\nfalse"
    notes = read_fm_setup(setup(tmp_path, add(text), ("    ALL", "ALL 3"))).notes
    for word in (
        "WRAPTRJ",
        "NLAYERS",
        "CNSCOUL",
        "SPLITFI",
        "ATMMASS",
        "S_DELTA",
        "CHARGE CONSTRAINTS",
        "FITSTRS",
    ):
        assert len([note for note in notes if note.startswith(word)]) == 1
    unused = setup(tmp_path, (" 6 4 3 -1 1", " 6 4 0"), add("SPECIAL 4B S_MAXIM: ALL 2\nEXCLUDE 4B INTERACTION: 0"))
    named = [note for note in read_fm_setup(unused).notes if "no 4-body functions" in note]
    assert [note.split(":")[0] for note in named] == ["SPECIAL 4B S_MAXIM", "EXCLUDE 4B"]


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("    false", "    true", 9, "FITCOUL is true.*not supported"),
        ("O  0.0", "O  -0.8", 24, "charge of O is -0.8.*not supported"),
        ("1.4  false", "1.4  true", 27, "USEOVRP of OO is true"),
        (*add("# FITPOVR #\ntrue"), 31, "FITPOVR is true"),
        (*add("# FITEATM #\ntrue"), 31, "FITEATM is true"),
        (*add("# SKPFRMS #\n2"), 31, "SKPFRMS above 1"),
        (*add("# FITFOO #\ntrue"), 31, "unknown keyword # FITFOO # is 'true'"),
        (*add("#NLAYERS#\n1"), 30, "blanks around the word"),
        (*add("stray words"), 30, "expected a keyword.*'stray words'"),
        (*add("# NFRAMES #\n3"), 30, "given twice"),
        (*add("# NLAYERS #"), 30, "expected a value below"),
        ("    false", "    maybe", 9, "FITCOUL: expected true or false, found 'maybe'"),
        ("    3\n", "    three\n", 7, "NFRAMES, a whole number"),
        ("    3\n", "    0\n", 7, "NFRAMES, a whole number ≥ 1, found '0'"),
        ("    ALL", "    SOME", 11, "FITSTRS: expected"),
        ("    ALL", "    FIRST", 11, "number of frames of FITSTRS.*nothing"),
        ("    true   of", "    FIRST -1", 13, "number of frames of FITENER.*'-1'"),
        ("CHEBYSHEV", "SPLINE", 15, "expected CHEBYSHEV, found 'SPLINE'"),
        ("-1 1", "0 1", 15, "expected the range -1 1, found 0 1"),
        ("6 4 3", "6 x 3", 15, "three-body order"),
        ("    MORSE", "    MORS", 17, "CHBTYPE: expected one of"),
        ("TERSOFF 0.5", "TERSOFF", 31, "fraction of TERSOFF.*nothing"),
        ("TERSOFF 0.5", "TERSOFF 1.5", 31, "fraction in"),
        ("TERSOFF 0.5", "CUBSTRETCH 0.5", 31, "others are not supported"),
        ("2  C  0.0", "3  C  0.0", 25, "expected index 2, found 3"),
        ("2  C  0.0", "2  C:x  0.0", 25, "chemical symbol or the name of a type of atoms, found 'C:x'"),
        ("2  C  0.0", "2  O  0.0", 25, "O is given twice"),
        ("2  C  0.0  12.011\n", "2  C  0.0\n", 25, "index, element, charge and mass"),
        ("2  C  0.0  12.011\n", "", 23, "expected 2 rows below.*found 1"),
        ("# S_DELTA # ", "", 26, "expected the column S_DELTA, found MORSE_LAMBDA"),
        ("3  C  O", "3  C  N", 29, r"\['N'\] are not elements"),
        ("3  C  O", "3  C  C", 29, "pair CC is given twice"),
        ("3  C  O  0.95", "3  C  O  6", 29, "expected 0 ≤ rmin ≤ rmax"),
        ("3  C  O  0.95  4.2  0.01  1.3  false", "3  C  O  0.95  4.2", 29, "rmin, rmax, delta and lambda"),
        ("3  C  O  0.95  4.2  0.01  1.3", "3  C  O  0.95  4.2  0.01  inf", 29, "MORSE_LAMBDA, a number"),
        (*add("EXCLUDE 3B INTERACTION: 1\nC O"), 31, "expected 3 elements"),
        (*add("EXCLUDE 3B INTERACTION: 1\nC O N"), 31, r"\['N'\] are not elements"),
        (*add("EXCLUDE 5B INTERACTION: 1\nC O N"), 30, "1B.2B.3B.4B INTERACTION"),
        (*add("EXCLUDE 3B INTERACTION: 2\nC C C"), 30, "expected 2 rows"),
        (*add("SPECIAL 3B S_MAXIM: SOME 1\n"), 30, "ALL value"),
        (*add("SPECIAL 3B S_MAXIM: ALL far\n"), 30, "S_MAXIM, a number, found 'far'"),
        (*add("SPECIAL 3B S_MAXIM: SPECIFIC 1\nOOOONN OO OO OO 3 3 3"), 31, "unknown type 'OOOONN'"),
        (*add("SPECIAL 3B S_MAXIM: SPECIFIC 1\nOOOOOO OO OO 3 3"), 31, "3 pairs and 3 values, found 5"),
        (
            *add("SPECIAL 3B S_MAXIM: SPECIFIC 1\nOOOOOO OO OO CC 3 3 3"),
            31,
            "'CC' is no pair of the type OOO",
        ),
        (
            *add("SPECIAL 3B S_MAXIM: SPECIFIC 1\nOOOOOO OO OO OO 3 3 4"),
            31,
            "two values for the pair OO: 3.0 and",
        ),
        (*add("SPECIAL 3B S_MAXIM: SPECIFIC 1\nOOOCOC OC OC OC 3 3 3"), 31, "has no value for OO"),
    ],
)
def test_refusals_name_file_and_line(tmp_path, old, new, line, what):
    with pytest.raises(InputError, match=rf"fm_setup\.in, line {line}: .*{what}"):
        read_fm_setup(setup(tmp_path, (old, new)))


@pytest.mark.parametrize("body", [1, 2])
def test_exclusions_that_chimes_lsq_would_ignore(tmp_path, body):
    text = f"EXCLUDE {body}B INTERACTION: 1\n{' '.join('C' * body)}"
    with pytest.raises(InputError, match=rf"line 30: EXCLUDE {body}B has an effect only with # HIERARC # true"):
        read_fm_setup(setup(tmp_path, ("# HIERARC #\n    true", "# HIERARC #\n    false"), add(text)))
    read_fm_setup(setup(tmp_path, ("# HIERARC #\n    true", ""), add(f"EXCLUDE {body}B INTERACTION: 0")))


@pytest.mark.parametrize("key", ["ENDFILE", "NATMTYP", "TYPEIDX", "PAIRIDX", "NFRAMES", "TRJFILE", "PAIRTYP"])
def test_what_must_be_there(tmp_path, key):
    text = SETUP[: SETUP.index(f"# {key} #")]
    if key != "ENDFILE":
        rows = {"TYPEIDX": 2, "PAIRIDX": 3}.get(key, 1)
        text += SETUP[SETUP.index(f"# {key} #") :].split("\n", 1 + rows)[-1]
    path = tmp_path / "fm_setup.in"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"fm_setup\.in: expected .*# {key} #"):
        read_fm_setup(path, read_frames=False)


def test_cutoffs_that_contradict_each_other(tmp_path):
    with pytest.raises(InputError, match=r"fm_setup\.in: .*rmin 1.0, rmax 0.5"):
        read_fm_setup(setup(tmp_path, add("SPECIAL 3B S_MAXIM: ALL 0.5")))


@pytest.mark.parametrize(
    ("listing", "files", "error", "what"),
    [
        ("1\n3 a.xyzf\n", {"a.xyzf": 2}, FrameError, r"a\.xyzf: expected 3 frames, found 2"),
        ("1\n3 a.xyzf\n", {"a.xyzf": 5}, FrameError, r"a\.xyzf: expected 3 frames, found 5"),
        ("1\n2 a.xyzf\n", {"a.xyzf": 2}, InputError, r"line 7: NFRAMES is 3, .*list\.dat add up to 2"),
        ("2\n3 a.xyzf\n", {"a.xyzf": 3}, InputError, r"list\.dat, line 1: expected 2 trajectories, found 1"),
        ("1\n3 a.xyzf\n1 b.xyzf\n", {"a.xyzf": 3}, InputError, "expected 1 trajectories, found 2"),
        ("1\n3 a.xyzf 300 F\n", {"a.xyzf": 3}, InputError, r"list\.dat, line 2: expected 'frames file"),
        ("1\nx a.xyzf\n", {"a.xyzf": 3}, InputError, r"list\.dat, line 2: expected the number of frames"),
        ("3 a.xyzf\n", {"a.xyzf": 3}, InputError, "number of trajectories alone"),
        ("", {}, InputError, "number of trajectories alone"),
    ],
)
def test_lists_that_do_not_add_up(tmp_path, listing, files, error, what):
    with pytest.raises(error, match=what):
        read_fm_setup(listed(tmp_path, listing, files=files))


@pytest.mark.parametrize(
    ("header", "columns", "what"),
    [
        ("8 9 10 1 2 3 4 5 6", 7, "expected an energy"),
        ("8 9 10 -5", 7, "expected a stress"),
        ("8 9 10 1 2 3 -5", 7, "expected the full stress"),
        ("8 9 10 1 2 3 4 5 6 -5", 4, "expected forces"),
    ],
)
def test_labels_that_are_missing(tmp_path, header, columns, what):
    path = setup(tmp_path)
    atoms = "\n".join(" ".join(row.split()[:columns]) for row in FRAME.splitlines()[2:])
    (tmp_path / "traj.xyzf").write_text(frames_text(2) + f"2\n{header}\n{atoms}\n")
    with pytest.raises(FrameError, match=rf"traj\.xyzf, frame 3, line 9: {what}"):
        read_fm_setup(path)


def test_trajectory_errors(tmp_path):
    path = setup(tmp_path, n=2)
    with pytest.raises(FrameError, match=r"traj\.xyzf: expected 3 frames, found 2"):
        read_fm_setup(path)
    (tmp_path / "traj.xyzf").write_text(frames_text(3).replace("O 0", "N 0"))
    with pytest.raises(FrameError, match=r"traj\.xyzf, frame 1, line 1: \['N'\] are not elements of TYPEIDX"):
        read_fm_setup(path)
    with pytest.raises(InputError, match="line 3: TRJFILE: expected a file, or MULTI"):
        read_fm_setup(setup(tmp_path, ("traj.xyzf", "traj.xyzf of today")))
