"""What lower blocks say of mixed types: exact where elements are alike, means over relabelled clusters where not."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from reference import EDGES, edge_functions, orbit_labels
from synthetic import random_parameters, small_basis

from hiertl_dist import Frame, Model
from hiertl_dist.errors import InputError
from hiertl_dist.model.blocks import columns_of
from hiertl_dist.model.cluster_functions import type_values
from hiertl_dist.model.mixing import mixed_parameters, prior_mean
from hiertl_dist.model.parameters import Parameters, Penalty, merge_parameters
from hiertl_dist.model.priors import Prior, prior_scale
from hiertl_dist.model.walls import nearest_kept

ELEMENTS = ("Mo", "Nb", "W")
ALIKE = {"lambda": 1.3, "rmin": 0.9, "rmax": 5.0}
PAIRS = ("MoMo", "MoNb", "MoW", "NbNb", "NbW", "WW")
BASIS = small_basis((4, 3, 2), ELEMENTS, pairs=dict.fromkeys(PAIRS, ALIKE))
MIXED = Prior(mean="mixed")
POINTS = np.array([[0.0, 0.0, 0.0], [1.9, 0.2, 0.0], [0.5, 2.1, 0.3], [1.0, 0.9, 1.8]])


def pure(seed=0):
    """Blocks of the single elements, without energies of free atoms."""
    kinds = [t for t in BASIS.types if len(set(t.elements)) == 1 and t.body > 1]
    return random_parameters(BASIS.with_types(kinds), seed)


def cluster_energy(parameters, species, body):
    """What the types of one body say of a molecule of ``body`` atoms."""
    kinds = [t for t in parameters.basis.types if t.body == body]
    frame = Frame(species, POINTS[: len(species)])
    return Model(parameters.with_types(kinds)).evaluate([frame], missing="zero")[0].energy


@pytest.mark.parametrize("kind", [t for t in BASIS.types if t.body > 1], ids=lambda t: t.name)
def test_values_of_a_type_are_those_of_the_reference(kind):
    distances = np.random.default_rng(1).uniform(1.0, 4.9, (5, len(EDGES[kind.body])))
    raw, labels = orbit_labels(kind.elements, kind.order)
    expected = np.zeros((5, len(set(labels))))
    order = sorted(set(labels))
    for powers, label in zip(raw, labels, strict=True):
        term = np.ones(5)
        for (a, b), power, r in zip(EDGES[kind.body], powers, distances.T, strict=True):
            edge = kind.edge(kind.elements[a], kind.elements[b])
            term = term * edge_functions(BASIS, edge, r, max(powers) + 1)[0][:, power]
        expected[:, order.index(label)] += term
    np.testing.assert_allclose(type_values(BASIS, kind, distances), expected, atol=1e-12)


def test_alike_elements_make_a_mixture_of_which_nobody_can_tell_the_elements():
    one = random_parameters(BASIS.with_types([t for t in BASIS.types if set(t.elements) == {"Mo"} and t.body > 1]))
    own = one.as_dict()
    whole = pure()
    values = [own["Mo", ("Mo",) * len(c.elements), c.powers] for c in whole.columns]
    whole = replace(whole, coefficients=np.array(values))
    kinds = [t for t in BASIS.types if len(set(t.elements)) > 1]
    model = Model(merge_parameters([whole, mixed_parameters(BASIS, kinds, [whole], MIXED)]))
    expected = model.evaluate([Frame(("Mo",) * 4, POINTS)])[0].energy
    for species in product(ELEMENTS, repeat=4):
        assert model.evaluate([Frame(species, POINTS)])[0].energy == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("species", [("Mo", "W"), ("W", "Mo", "Mo"), ("Nb", "W", "Nb", "Nb"), ("Mo", "W", "W", "Mo")])
def test_the_mean_over_the_atoms_of_a_cluster(species):
    given = pure()
    columns = columns_of(BASIS)
    mean = prior_mean(MIXED, BASIS, columns, [given])
    assert all("their deviation is left out" in note for note in mean.notes)  # of three elements: binaries are absent
    mixture = Parameters(BASIS, mean.values)
    expected = np.mean([cluster_energy(given, (e,) * len(species), len(species)) for e in species])
    assert cluster_energy(mixture, species, len(species)) == pytest.approx(expected, rel=1e-10)


def test_three_elements_add_the_mean_deviation_of_six_binaries():
    given = pure()
    binaries = random_parameters(BASIS.with_types([t for t in BASIS.types if len(set(t.elements)) == 2]), 5)
    kinds = [t for t in BASIS.types if t.name == "MoNbW"]
    made = mixed_parameters(BASIS, kinds, [given, binaries], MIXED)

    def of_pure(species):
        return np.mean([cluster_energy(given, (e,) * 3, 3) for e in species])

    species = ("W", "Mo", "Nb")
    deviations = []
    for old, new in product(species, repeat=2):
        if old != new:
            replaced = tuple(new if e == old else e for e in species)
            deviations.append(cluster_energy(binaries, replaced, 3) - of_pure(replaced))
    assert len(deviations) == 6
    expected = of_pure(species) + np.mean(deviations)
    assert cluster_energy(made, species, 3) == pytest.approx(expected, rel=1e-10)
    assert made.without_data == {"MoNbW": "mixed"}


def test_gamma_multiplies_by_body():
    given, columns = pure(), columns_of(BASIS)
    full = prior_mean(MIXED, BASIS, columns, [given]).values
    less = prior_mean(Prior(mean="mixed", gamma=(0.5, 0.0, 1.0)), BASIS, columns, [given]).values
    factor = np.array([{1: 1.0, 2: 0.5, 3: 0.0, 4: 1.0}[len(c.elements)] for c in columns])
    np.testing.assert_allclose(less, factor * full)
    assert not any(v for v, c in zip(full, columns, strict=True) if len(set(c.elements)) == 1)


def test_other_lengths_and_orders_are_projected():
    other = {"MoMo": {"lambda": 1.4, "rmin": 0.8, "rmax": 5.0}, "WW": {"lambda": 1.2, "rmin": 0.9, "rmax": 4.9}}
    table = {name: other.get(name, ALIKE) for name in PAIRS}
    richer = small_basis((4, 3, 2), ELEMENTS, pairs=table, blocks={"MoW": {"orders": [9, 5, 3]}})
    kinds = [t for t in richer.types if len(set(t.elements)) == 1 and t.body > 1]
    given = random_parameters(richer.with_types(kinds), 2)
    kinds = [t for t in richer.types if t.block == "MoW"]
    made = mixed_parameters(richer, kinds, [given], MIXED)
    assert any("projected" in note for note in made.notes)
    for species in (("Mo", "W"), ("Mo", "Mo", "W")):
        body = len(species)
        expected = np.mean([cluster_energy(given, (e,) * body, body) for e in species])
        assert cluster_energy(made, species, body) == pytest.approx(expected, rel=0.02)
    # coefficients as they are belong to other functions
    copied = mixed_parameters(richer, kinds, [given], Prior(mean="mixed", lower="coefficients"))
    expected = np.mean([cluster_energy(given, (e, e), 2) for e in ("Mo", "W")])
    assert abs(cluster_energy(copied, ("Mo", "W"), 2) - expected) > 0.02 * abs(expected)


def test_a_projection_holds_where_atoms_come_closer_than_lower_blocks_met():
    """Between the closest contacts and where the wall stops atoms no hole opens that the lower blocks don't have."""
    table = {name: {"lambda": 2.5 + 0.1 * k, "rmin": 1.2, "rmax": 5.5} for k, name in enumerate(PAIRS)}
    basis = small_basis((8, 9, 0), ELEMENTS, pairs=table, blocks={"MoW": {"orders": [8, 6, 0]}})
    kinds = [t for t in basis.types if len(set(t.elements)) == 1 and t.body > 1]
    coverage = {f"{e}:{e}{e}": (2.1, 5.5) for e in ELEMENTS}
    given = replace(random_parameters(basis.with_types(kinds), 3), coverage=coverage, penalty=Penalty(1e4, 0.85))
    # smooth, as a fit with a decay leaves them
    smooth = given.coefficients * np.exp(-0.3 * np.array([sum(c.powers) for c in given.columns]))
    given = replace(given, coefficients=smooth)
    kinds = [t for t in basis.types if t.name == "MoMoW"]
    made = mixed_parameters(basis, kinds, [given], MIXED)
    distances = np.random.default_rng(4).uniform(1.77, 2.2, (200, 3))
    pure = {e: next(t for t in given.basis.types if t.elements == (e,) * 3) for e in ("Mo", "W")}
    of = {
        e: type_values(given.basis, t, distances)
        @ np.array([v for c, v in given.as_dict().items() if c[1] == t.elements])
        for e, t in pure.items()
    }
    expected = (2 * of["Mo"] + of["W"]) / 3
    assert nearest_kept(1.2, given.penalty) == pytest.approx(1.76, abs=0.01)
    found = type_values(basis, kinds[0], distances) @ made.coefficients
    assert np.abs(found - expected).max() < 0.3 * np.abs(expected).max()


def test_what_lower_blocks_lack_is_said():
    given = pure()
    only = given.with_types([t for t in given.basis.types if t.elements[0] == "Mo"])
    mean = prior_mean(MIXED, BASIS, columns_of(BASIS, ["MoW"]), [only])
    assert any("no lower block has WW terms" in note for note in mean.notes)


def test_scale_falls_with_the_powers():
    columns = columns_of(BASIS)
    flat = prior_scale(Prior(), columns)
    assert (flat == 1.0).all()
    smooth = prior_scale(Prior(decay="exponential", strength=0.3, spread={"3B": 2.0, "WMo": 0.5}), columns)
    for c, s in zip(columns, smooth, strict=True):
        factor = (2.0 if len(c.elements) == 3 else 1.0) * (0.5 if c.elements == ("Mo", "W") else 1.0)
        assert s == pytest.approx(factor * np.exp(-0.3 * sum(c.powers)) if c.powers else 1.0)
    algebraic = prior_scale(Prior(decay="algebraic", strength=2.0), columns)
    assert algebraic[0] == pytest.approx(2.0**-2)


@pytest.mark.parametrize(
    ("table", "match"),
    [
        ({"mean": "average"}, "prior.mean: expected one of zero, mixed"),
        ({"gamma": 1.5}, "prior.gamma: expected numbers in 0 … 1"),
        ({"gamma": [1, 1]}, "prior.gamma: expected a number, or three"),
        ({"decay": "fast"}, "prior.decay"),
        ({"strength": -1}, "prior.strength"),
        ({"spread": {"MoW": 0}}, "prior.spread.MoW"),
        ({"probe": 3}, "probes"),
        ({"mean": "zero", "probes": 3}, "probes would hold the forces"),
        ({"probes": 1.5}, "prior.probes: expected a whole number"),
    ],
)
def test_a_wrong_prior_names_the_key(table, match):
    with pytest.raises(InputError, match=match):
        Prior.of(table)


def test_a_prior_goes_through_its_table():
    for given in (Prior(), MIXED, Prior.of({"gamma": 0.5, "decay": "algebraic", "strength": 1.5, "probes": 4})):
        assert Prior.of(given.as_dict()) == given
