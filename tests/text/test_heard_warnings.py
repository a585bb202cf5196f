"""Warnings that one thread hears: others warn as they would, and nothing stays changed."""

from __future__ import annotations

import threading
import warnings

import pytest

from hiertl_dist.text.heard_warnings import hearing_warnings


def test_all_are_heard_and_none_is_shown() -> None:
    with hearing_warnings() as heard:
        for _ in range(2):
            warnings.warn("one", UserWarning, stacklevel=1)  # would be shown once, or raised
        warnings.warn("two", DeprecationWarning, stacklevel=1)
    assert [(h.text, h.category) for h in heard] == [
        ("one", UserWarning), ("one", UserWarning), ("two", DeprecationWarning),
    ]  # fmt: skip
    with pytest.raises(UserWarning, match="after"):
        warnings.warn("after", UserWarning, stacklevel=1)


def test_what_was_shown_once_before_is_heard_again() -> None:
    def warn() -> None:
        warnings.warn("again", UserWarning, stacklevel=1)

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        for _ in range(2):
            with hearing_warnings(UserWarning) as heard:
                warn()
            assert [h.text for h in heard] == ["again"]
            for _ in range(2):
                warn()
    assert [str(w.message) for w in shown] == ["again"] * 2, "once after each time"


def test_other_categories_and_other_threads_go_their_way() -> None:
    shown = warnings.showwarning
    inside, go_on, heard_there = threading.Event(), threading.Event(), []

    def other() -> None:
        with hearing_warnings(RuntimeWarning) as heard:
            inside.set()
            assert go_on.wait(30)
            warnings.warn("theirs", RuntimeWarning, stacklevel=1)
            heard_there.extend(heard)

    thread = threading.Thread(target=other)
    with hearing_warnings(RuntimeWarning) as heard:
        thread.start()
        assert inside.wait(30)
        warnings.warn("mine", RuntimeWarning, stacklevel=1)
        with pytest.warns(UserWarning, match="shown"):
            warnings.warn("shown", UserWarning, stacklevel=1)
    # the other one, which began later, still hears, and this thread does not
    with pytest.raises(RuntimeWarning, match="alone"):
        warnings.warn("alone", RuntimeWarning, stacklevel=1)
    go_on.set()
    thread.join(30)
    assert [h.text for h in heard] == ["mine"]
    assert [h.text for h in heard_there] == ["theirs"]
    assert warnings.showwarning is shown
