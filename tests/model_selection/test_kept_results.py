"""What a search keeps of its items: given back as it was, or told of and computed again."""

from __future__ import annotations

import json

import pytest

from hiertl_dist.model_selection.kept_results import as_kept, keep_result, kept_results

RESULT = {
    "key": "a",
    "cells": [["C", "force", 0]],
    "rows": [40],
    "models": [{"squares": [[0.5]], "conditions": [None]}],
}


def test_it_is_given_back_as_it_was(tmp_path):
    keep_result(tmp_path / "new", "a", RESULT)
    assert kept_results(tmp_path / "new", ["a", "b"]) == {"a": as_kept(RESULT)}


@pytest.mark.parametrize("change", [
    lambda text: text.replace("0.5", "0.6"), lambda text: text[:-10], lambda text: "[]", lambda text: "[" * 10**5,
    lambda text: text.replace("0.5", "NaN"),
    lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "sha256"}),
])  # fmt: skip
def test_what_is_damaged_is_told_of_and_counts_as_none(tmp_path, change, caplog):
    keep_result(tmp_path, "a", RESULT)
    path = tmp_path / "a.json"
    path.write_text(change(path.read_text()))
    assert kept_results(tmp_path, ["a"]) == {}
    assert str(path) in caplog.text
    assert "it is computed again" in caplog.text


def test_one_under_the_name_of_another_is_none(tmp_path):
    keep_result(tmp_path, "a", RESULT)
    (tmp_path / "a.json").rename(tmp_path / "b.json")
    assert kept_results(tmp_path, ["b"]) == {}
