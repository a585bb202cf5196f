"""The command ``import``, which makes a data set on disk of files, or adds files to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .look_commands import LABELS, reading_parser
from .store_options import add_store_options, chosen_store_use

UNLABELLED: Final = (
    "WARNING: {} has an energy, forces or a stress: such frames can be predicted and selected from, but nothing can be "
    "fitted to them. If they have labels under other names, --energy-key, --forces-key, --stress-key and --virial-key "
    "read these, into another folder"
)

UNUSED_KEY: Final = (
    "frames have the key {0!r}, and groups are the names of the files, by which alone weights, hold-outs and folds can "
    "tell frames apart later: --group-key {0} takes groups from it, --group-by-file says that files are meant"
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ..executors.base import Executor
    from ..frames.frame_facts import FrameFacts


def import_parser(verbs: Any, running: argparse.ArgumentParser) -> None:
    """The grammar of the command."""
    one = verbs.add_parser(
        "import", parents=[running, reading_parser("the usual name")],
        help="a data set that workers read from: data larger than memory",
    )  # fmt: skip
    one.add_argument("folder", help="the data set, named as path in [[data]] afterwards; s3://bucket/name too")
    one.add_argument("data", nargs="+", help="trajectories (extended XYZ, .xyzf, by ASE; patterns), or an fm_setup.in")
    one.add_argument("--group", help="group of every frame (default: the name of its file)")
    one.add_argument("--append", action="store_true", help="add to the data set that is there")
    add_store_options(one)


def import_data(arguments: argparse.Namespace, start: Callable[[argparse.Namespace], Executor]) -> int:
    """Run the command; ``start`` makes the executor that its options ask for. Returns the exit code."""
    from ..dataset.dataset import Dataset
    from ..dataset.importing import import_frames
    from ..files.json_files import json_text
    from ..files.paths import named_place
    from ..files.store_use import StoreUse, use_stores
    from ..frames.label_summary import summarise_labels
    from ..suggestion.guessing import unused_group_key
    from ..text.words import count_text

    options = {f"{label}_key": getattr(arguments, f"{label}_key") for label in LABELS}
    folder = named_place(arguments.folder, "data set")
    with start(arguments) as runner, use_stores(chosen_store_use(arguments, StoreUse())):
        options |= {"format": arguments.format, "group": arguments.group, "group_key": arguments.group_key or None}
        done = import_frames(folder, arguments.data, options=options, append=arguments.append, executor=runner)
        data = Dataset(folder)
        facts, labels = data.facts, summarise_labels(data)
        sets = {s: int((facts.sets == code).sum()) for code, s in enumerate(facts.set_names)}
        atoms, groups = int(facts.n_atoms.sum()), len(facts.groups())
        nothing = "nothing is new: no frames were added, and those that are there were not read again"
        notes = [*([] if done.added else [nothing]), *done.remarks(), *done.repeats]
        key = ""
        if done.added and arguments.group is None and arguments.group_key is None:
            key = unused_group_key(arguments.data, arguments.format)
        if key:
            notes.append(UNUSED_KEY.format(key))
        labelled, of_these = _labelled(facts), _labelled(data[len(data) - done.added :].facts)
        if done.added and of_these["none"] == done.added:
            notes.append(UNLABELLED.format("no frame" if done.added == len(data) else "no frame that was added now"))
        content = {
            "path": str(folder), "frames": len(data), "added": done.added, "atoms": atoms, "groups": groups,
            "element_sets": sets, "labelled": labelled, "labels": labels.as_dict(), "notes": notes,
            "passed_over": list(done.passed_over),
        }  # fmt: skip
        without = f"; {labelled['none']} without any" if labelled["none"] else ""
        counts = ", ".join(f"{label} {labelled[label]}" for label in ("energy", "forces", "stress"))
        lines = [
            f"{folder}: {count_text(len(data), 'frame')}, {count_text(atoms, 'atom')}, "
            f"{count_text(groups, 'group')}; {count_text(done.added, 'frame')} added now",
            ", ".join(f"{s} {n}" for s, n in sorted(sets.items(), key=lambda item: (len(item[0].elements), item[0]))),
            "labels: NONE" if labelled["none"] == len(data) else
            f"labels, of {count_text(len(data), 'frame')}: {counts}{without}",
            labels.text(), *(note if note.startswith("WARNING") else f"note: {note}" for note in notes),
            f'in an input file: [[data]] path = "{folder}"',
        ]  # fmt: skip
        print(json_text(content) if arguments.json else "\n".join(lines), file=runner.out(), flush=True)
    return 0


def _labelled(facts: FrameFacts) -> dict[str, int]:
    """How many frames have which labels, and how many none."""
    from ..frames.frame_facts import ENERGY, FORCES, STRESS

    bits = {"energy": facts.labels & ENERGY, "forces": facts.labels & FORCES, "stress": facts.labels >= STRESS}
    return {**{label: int((own != 0).sum()) for label, own in bits.items()}, "none": int((facts.labels == 0).sum())}
