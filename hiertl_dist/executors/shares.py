"""Who does what where it is settled before the work begins: items shared out by what they are expected to cost."""

from __future__ import annotations

from collections.abc import Sequence


def longest_first(costs: Sequence[float]) -> list[int]:
    """Indices of the items, the costliest first; those that cost the same stay in order."""
    return sorted(range(len(costs)), key=lambda i: (-costs[i], i))


def fair_shares(costs: Sequence[float], workers: int) -> list[list[int]]:
    """The items of each worker, in order: the costliest go first, each to the worker who has least to do.

    Graham, SIAM J. Appl. Math. 17, 416 (1969): the worker with most has at most 4/3 of what is possible. Where all
    cost the same, consecutive items stay together.
    """
    if len(set(costs)) <= 1:
        owners = fair_runs(costs, workers)
        return [[i for i, owner in enumerate(owners) if owner == w] for w in range(workers)]
    shares: list[list[int]] = [[] for _ in range(workers)]
    loads = [0.0] * workers
    for i in longest_first(costs):
        least = min(range(workers), key=lambda w: (loads[w], w))
        shares[least].append(i)
        loads[least] += costs[i]
    return [sorted(share) for share in shares]


def fair_runs(costs: Sequence[float], workers: int) -> list[int]:
    """The worker of each item, if each has consecutive ones and worker 0 the first."""
    total = sum(costs)
    owners: list[int] = []
    before = 0.0
    for i, cost in enumerate(costs):
        fair = int((before + 0.5 * cost) * workers / total) if total > 0.0 else i * workers // len(costs)
        owners.append(min(fair, owners[-1] + 1 if owners else 0, workers - 1))
        before += cost
    return owners
