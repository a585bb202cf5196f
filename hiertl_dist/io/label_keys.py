"""``LabelKeys``: under which keys an extended XYZ file keeps its labels, and which of them were met."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field

from ..errors import FrameError


@dataclass
class LabelKeys:
    """Under which keys a file keeps its labels; ``None`` is the usual name, and then it may be absent.

    A key that was named and that no frame had is an error, which :meth:`check_seen` raises. Naming one key leaves the
    others under their usual names; but who names the key of a stress or of a virial means that one.
    """

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None
    virial: str | None = None
    seen: set[str] = field(default_factory=set)
    offered: set[str] = field(default_factory=set)

    def key(self, label: str) -> str:
        """The key of a label; meeting it in a file is to be noted in ``seen``."""
        return getattr(self, label) or label

    def given(self) -> tuple[str | None, str | None, str | None, str | None]:
        """The keys of energy, forces, stress and virial."""
        return self.energy, self.forces, self.stress, self.virial

    def named(self) -> dict[str, str]:
        """The labels whose key was given, with that key."""
        labels = ("energy", "forces", "stress", "virial")
        return {label: key for label in labels if (key := getattr(self, label)) is not None}

    def stresses(self) -> tuple[str, ...]:
        """Which of stress and virial are looked for: those that were named, else both."""
        return tuple(label for label in ("stress", "virial") if label in self.named()) or ("stress", "virial")

    def check_seen(self, files: str) -> None:
        """Raise FrameError if a key that was named is in no frame, saying which ones there are."""
        for label, key in self.named().items():
            if label not in self.seen:
                offered = sorted(self.offered)
                more = f" and {len(offered) - 20} more" if len(offered) > 20 else ""
                lower = {name.lower(): name for name in offered}
                close = difflib.get_close_matches(key.lower(), lower, 1)
                meant = f"; did you mean {lower[close[0]][:40]!r}?" if close else ""
                raise FrameError(
                    f"{files}: no frame has the {label} key {key!r}; there are {[n[:40] for n in offered[:20]]}{more}"
                    f"{meant}"
                )
