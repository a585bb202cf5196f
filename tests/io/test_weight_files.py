"""Files of weights: a number for each row as chimes_lsq writes rows, or a line for each frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import labelled, random_frames, random_parameters, small_basis

from hiertl_dist.errors import InputError, MissingFileError
from hiertl_dist.frames.frame_sequence import FrameList
from hiertl_dist.io.weight_files import read_frame_weights, read_row_weights

WHOLE, DIAGONAL, BARE = labelled(random_frames({"CN": 3}), random_parameters(small_basis()))
DIAGONAL = replace(DIAGONAL, stress=np.array([*DIAGONAL.stress[:3], np.nan, np.nan, np.nan]))
BARE = replace(BARE, stress=None, energy=None)
FRAMES = FrameList([WHOLE, DIAGONAL, BARE])
N = len(WHOLE)
THEIRS = 3 * 3 * N + (9 + 3) + (3 + 3)


def written(path, numbers):
    path.write_text("".join(f"{x}\n" for x in numbers))
    return path


def test_rows_of_chimes_lsq(tmp_path):
    numbers = np.random.default_rng(0).uniform(0.1, 3.0, THEIRS)
    found = read_row_weights(written(tmp_path / "weights.dat", map(repr, numbers.tolist())), FRAMES).values
    # one row after the other, as chimes_lsq writes them: twice or thrice the same row, with weights of their own
    squares, start = [], 0
    for frame, n_stress, energies in ((WHOLE, 9, 3), (DIAGONAL, 3, 3), (BARE, 0, 0)):
        squares += [numbers[start + i] ** 2 for i in range(3 * len(frame))]
        start += 3 * len(frame)
        own = numbers[start : start + n_stress] ** 2
        if n_stress == 9:
            s = own.reshape(3, 3)
            squares += [s[0, 0], s[1, 1], s[2, 2], s[0, 1] + s[1, 0], s[0, 2] + s[2, 0], s[1, 2] + s[2, 1]]
        else:
            squares += own.tolist()
        start += n_stress
        squares += [sum(numbers[start : start + energies] ** 2)] if energies else []
        start += energies
    counts = np.concatenate([np.ones(3 * N), [1, 1, 1, 2, 2, 2], [3], np.ones(3 * N + 3), [3], np.ones(3 * N)])
    assert found**2 * counts == pytest.approx(squares, rel=1e-14)


def test_equal_weights_stay_as_they_are(tmp_path):
    found = read_row_weights(written(tmp_path / "w", ["0.3"] * THEIRS), FRAMES).values
    assert (found == 0.3).all()


@pytest.mark.parametrize(("numbers", "said"), [
    (["1.0"] * (THEIRS - 1), f"expected {THEIRS} weights, .* found {THEIRS - 1}"),
    (["1.0"] * int(FRAMES.facts.n_rows.sum()), "it has as many as there are labels"),
    (["1.0", "x", *["1.0"] * (THEIRS - 2)], "line 2: expected one number, found 'x'"),
    (["1.0", "1.0 2.0", *["1.0"] * (THEIRS - 2)], "line 2: expected one number"),
    (["1.0", "", *["1.0"] * (THEIRS - 2)], "line 2: expected one number"),
    (["1.0", "-2", *["1.0"] * (THEIRS - 2)], "line 2: expected a finite number ≥ 0, found '-2'"),
    (["nan", *["1.0"] * (THEIRS - 1)], "line 1: expected a finite number"),
    (["1_0", *["1.0"] * (THEIRS - 1)], "line 1: expected one number, found '1_0'"),
    (["1.0", "\u0663", *["1.0"] * (THEIRS - 2)], "line 2: expected one number"),
])  # fmt: skip
def test_rows_that_do_not_fit(tmp_path, numbers, said):
    with pytest.raises(InputError, match=said):
        read_row_weights(written(tmp_path / "w", numbers), FRAMES)


def test_a_stress_that_chimes_lsq_has_no_rows_for(tmp_path):
    odd = FrameList([replace(WHOLE, stress=np.array([1.0, np.nan, np.nan, np.nan, np.nan, np.nan]))])
    with pytest.raises(InputError, match="has 1 components of its stress"):
        read_row_weights(written(tmp_path / "w", ["1"]), odd)


def test_a_line_for_each_frame(tmp_path):
    path = tmp_path / "w.csv"
    path.write_text("# mine\nframe, energy, force\n3, 9, 0.5\n1, 0.25, 1.5\n\n2, 0, 2\n")
    found = read_frame_weights(path, FRAMES).values
    expected = [*[1.5] * (3 * N), *[1.0] * 6, 0.25, *[2.0] * (3 * N), *[1.0] * 3, 0.0, *[0.5] * (3 * N)]
    assert found.tolist() == expected


@pytest.mark.parametrize(("text", "said"), [
    ("", "found nothing"), ("frame\n1\n2\n3\n", "expected names of columns"),
    ("frame,forces\n1,1\n2,1\n3,1\n", "expected names of columns"),
    ("frame,force\n1,1\n2,1\n", r"no line for frame 3 \("),
    ("frame,force\n1,1\n2,1\n2,1\n", "line 4: frame 2 is there twice, first in line 3"),
    ("frame,force\n0,1\n", "line 2: expected the number of a frame, 1 to 3, found '0'"),
    ("frame,force\n4,1\n", "1 to 3, found '4'"),
    ("frame,force\n1,-1\n", "line 2, force: expected a finite number ≥ 0"),
    ("frame,force\n1,1,1\n", "expected 2 values, frame, force, found 3"),
    ("frame,force\n1,a\n", "expected one number, found 'a'"),
    ("frame,force\n\u00b2,1\n", "line 2: expected the number of a frame, 1 to 3"),
    (f"frame,force\n{'9' * 5000},1\n", "line 2: expected the number of a frame, 1 to 3"),
    (f"frame,force\n1,{'1' * 200000}\n", "line 2: expected values with commas between them"),
    ("frame,force\n1,1_0\n", "expected one number, found '1_0'"),
])  # fmt: skip
def test_lines_that_do_not_fit(tmp_path, text, said):
    path = tmp_path / "w.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_frame_weights(path, FRAMES)


def test_no_text(tmp_path):
    for read in (read_row_weights, read_frame_weights):
        (tmp_path / "w").write_bytes(b"1.0\n\xff\xfe\n")
        with pytest.raises(InputError, match="line 2: expected text in UTF-8, found"):
            read(tmp_path / "w", FRAMES)


def test_no_such_file(tmp_path):
    for read in (read_row_weights, read_frame_weights):
        with pytest.raises(MissingFileError, match="weights"):
            read(tmp_path / "none", FRAMES)
