"""What is said of names that have changed, until a version in which the old ones are gone.

``tests/text/test_renaming.py`` fails as soon as the package has that version and an old name is understood still.
"""

from __future__ import annotations


def renaming(what: str, now: str, *, gone_in: str) -> str:
    """The sentence of a :class:`~hiertl_dist.errors.RenamedWarning`.

    Parameters
    ----------
    what : str
        The name of before, with what it belongs to: ``summarise: rows=``.
    now : str
        What it is called.
    gone_in : str
        The version that does not know it any more, as a literal: ``"0.2"``.

    Returns
    -------
    str
        ``summarise: rows= is now called store=; version 0.2 will not know the old name``.
    """
    return f"{what} is now called {now}; version {gone_in} will not know the old name"
