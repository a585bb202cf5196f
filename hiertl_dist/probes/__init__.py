"""Probe structures: frames without labels, at which a cross block is kept near to what its lower blocks say.

They are made of frames of single elements (:mod:`~hiertl_dist.probes.reassigning`), of ideal lattices
(:mod:`~hiertl_dist.probes.lattices`), or by molecular dynamics (:mod:`~hiertl_dist.probes.dynamics`). How a fit uses
them is no business of this folder.
"""
