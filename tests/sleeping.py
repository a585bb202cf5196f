"""A process that sleeps for longer than its leases while another works on the same store; no time passes."""

from __future__ import annotations

import threading

import pytest

from hiertl_dist.dataset import folder, unpacking
from hiertl_dist.design_matrix import store_claims
from hiertl_dist.files import fences, leases, locks
from hiertl_dist.fitting import pass_claims

STATES = (
    (fences, "_fences"), (locks, "_leases"), (folder, "_holding"), (unpacking, "_readers"), (store_claims, "_runs"),
    (pass_claims, "_claims"),
)  # fmt: skip


def forget(patch):
    """Be another process, which knows of no locks and claims of this one."""
    for module, state in STATES:
        patch.setattr(module, state, {})


class Sleeper:
    """``sleeper(patch, (owner, name), n, meanwhile)``: it sleeps at the n-th call of a function, in its main thread."""

    def __init__(self, patch):
        self._slept, own = 0.0, leases.elapsed
        patch.setattr(leases, "elapsed", lambda: own() + self._slept)
        patch.setattr(leases, "BEAT", 3600.0)

    def sleep(self):
        self._slept += 2 * leases.LEASE

    def __call__(self, patch, at, n, meanwhile):
        owner, name = at
        call, calls = getattr(owner, name), []

        def late(*args, **options):
            if threading.current_thread() is threading.main_thread():
                calls.append(None)
            if len(calls) == n and not late.slept:
                late.slept = True
                self.sleep()
                with pytest.MonkeyPatch.context() as other:
                    forget(other)
                    meanwhile()
            return call(*args, **options)

        late.slept = False
        patch.setattr(owner, name, late)
        return calls
