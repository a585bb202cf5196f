"""Searching for a model: what is declared, its plan, candidates, the choice, stages, report and command.

``settings`` declares; ``plan`` makes stages of it; ``items`` cross-validates the candidates of a stage; ``choice``
chooses one; ``stages`` climbs, which is :func:`hiertl_dist.search`; ``report`` and ``job`` are what people see. Nothing
is imported here, for input files need ``settings`` alone.
"""
