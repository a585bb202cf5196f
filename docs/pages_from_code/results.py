"""The reference of what commands print with ``--json``."""

from __future__ import annotations

from hiertl_dist.text.json_results import RESULTS


def result_reference() -> str:
    """For each command a table of the keys of its object; commands that print the same share one."""
    commands_of: dict[str, list[str]] = {}
    for command, keys in RESULTS.items():
        rows = [f"| `{key}` | {result.kind} | {result.text} |" for key, result in (keys or RESULTS["fit"]).items()]
        commands_of.setdefault("\n".join(["| key | value | meaning |", "|---|---|---|", *rows]), []).append(command)
    sections = [f"### {', '.join(f'`{c}`' for c in names)}\n\n{table}" for table, names in commands_of.items()]
    return "\n\n".join(sections) + "\n"
