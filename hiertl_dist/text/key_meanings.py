"""What each key of an input file means and what holds without it: for the reference, the JSON schema and editors.

The keys themselves, which are what is checked, are in :mod:`~hiertl_dist.text.table_keys`; a test compares the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Meaning(NamedTuple):
    """What a key means.

    Attributes
    ----------
    text : str
        A sentence or two, in Markdown.
    default : str
        What holds without the key: a value as an input file has it, or a few words; empty where it must be given.
    """

    text: str
    default: str = ""


NOTHING: Final = "none"
FROM_FIT: Final = "as in `[fit]` and `[basis]`"

OF_TOP: Final = {
    "basis": Meaning("What is fitted: elements, orders, cutoffs. This, or `fm_setup`.", NOTHING),
    "data": Meaning(
        "The frames, a `[[data]]` table for each source. Not beside `fm_setup`, which names its own.", NOTHING),
    "fm_setup": Meaning(
        "A chimes_lsq input that gives basis and frames instead of `[basis]` and `[[data]]`. Weights are then"
        " chimes_lsq's ones, unless `[fit]` has others.", NOTHING),
    "hold_out": Meaning("Frames that are evaluated and not fitted.", NOTHING),
    "fit": Meaning("How blocks are fitted.", "the defaults of its keys"),
    "weights": Meaning(
        "Weights of single rows, which follow from their frames: by expressions, and from a file. Those of `[fit]` "
        "multiply them, and are then ones where `[fit]` gives none.", NOTHING),
    "frozen": Meaning("Blocks that are taken from files and not fitted.", NOTHING),
    "library": Meaning(
        "A folder of fitted blocks, instead of `[frozen]`: blocks that it has are taken, others are fitted "
        "and added.", NOTHING),
    "store": Meaning(
        "Where rows of the design matrix go, and how the folder is shared with other runs.",
        "the defaults of its keys"),
    "output": Meaning("Where results go, and in which units tables are.", "the defaults of its keys"),
    "executor": Meaning("Who does the work. Options of the command line go before.", "the defaults of its keys"),
    "search": Meaning("What `hiertl-dist search` varies, and how it chooses.", NOTHING),
    "cycle": Meaning("The active-learning loop of `hiertl-dist cycle`.", NOTHING),
}  # fmt: skip

OF_BASIS: Final = {
    "elements": Meaning("Symbols of the elements, or names of types of atoms."),
    "orders": Meaning(
        "Two-, three- and four-body Chebyshev orders, counted as in `PAIRTYP`: `[14, 7, 3]` has the powers "
        "1…14, 0…6 and 0…2. 0 switches a body off."),
    "transform": Meaning("Of distances: `MORSE`, `INVRSE_R`, or `DEFAULT` (also `NONE`).", '"MORSE"'),
    "cutoff": Meaning(
        "The cutoff function: `CUBIC`, or `TERSOFF` with the fraction of rmax in which it falls.", '"CUBIC"'),
    "pairs": Meaning(
        "A table for each pair of elements, such as `CN = { rmin = 0.6, rmax = 6.0, lambda = 1.6 }`; names "
        "that are no elements are joined by hyphens, `C1-C1`."),
    "three_body": Meaning("Cutoffs of all three-body types.", "those of the pairs"),
    "four_body": Meaning("Cutoffs of all four-body types.", "those of the pairs"),
    "blocks": Meaning("Other orders for single blocks, by their elements.", NOTHING),
    "types": Meaning("Order and cutoffs of single cluster types, by their elements.", NOTHING),
    "one_body": Meaning(
        "Whether energies of free atoms are part of the basis: of all elements, none, or those listed.", "true"),
    "exclude": Meaning("Cluster types that are left out, such as `CCCN`.", "[]"),
    "energies": Meaning(
        'Energies of free atoms that are given and not fitted, by element, with `unit` `"eV"` (default) or '
        '`"kcal"` (kcal/mol).', "they are fitted"),
    "masses": Meaning(
        "Masses in u, by element; those of types that are no elements must be given for files that programs "
        "of molecular dynamics read.", "of the elements"),
}  # fmt: skip
OF_PAIR: Final = {
    "rmin": Meaning("Inner cutoff in Å: what happens to frames with a shorter distance is `[fit] policy`."),
    "rmax": Meaning("Outer cutoff in Å."),
    "lambda": Meaning("λ of the Morse transform in Å, which needs one."),
    "transform": Meaning("Of this pair.", "that of `[basis]`"),
}  # fmt: skip
OF_TYPE: Final = {
    "order": Meaning("Its order.", "that of its block, else of `[basis]`"),
    "rmin": Meaning(
        "Inner cutoff in Å: a number, or a table by pair.", "that of all types of its size, else the pair's"),
    "rmax": Meaning(
        "Outer cutoff in Å: a number, or a table by pair.", "that of all types of its size, else the pair's"),
}  # fmt: skip
OF_MANY_BODY: Final = {
    "rmin": Meaning("Inner cutoff in Å: a number, or a table by pair.", "the pair's"),
    "rmax": Meaning("Outer cutoff in Å: a number, or a table by pair.", "the pair's"),
}  # fmt: skip
OF_BLOCK: Final = {
    "orders": Meaning("Two-, three- and four-body orders of the block.", "those of `[basis]`"),
}  # fmt: skip
OF_DATA: Final = {
    "path": Meaning(
        "A file, a pattern, a list of such, or the folder of a data set that was imported. Extended XYZ or `.xyzf`, "
        "plain or compressed, and what ASE reads; relative to the input file."
    ),
    "format": Meaning('`"extxyz"`, `"xyzf"` or `"ase"` for all files of this table.', "by the file's name"),
    "group": Meaning("The group of all frames of this table.", "the file's name"),
    "group_key": Meaning("The key of the comment line that names each frame's group.", NOTHING),
    "energy_key": Meaning("The key that has the energy.", "the one that is there"),
    "forces_key": Meaning("The column that has the forces.", "the one that is there"),
    "stress_key": Meaning("The key that has the stress.", "the one that is there"),
    "virial_key": Meaning("The key that has the virial, −V × stress.", "the one that is there"),
    "start": Meaning("The first frame that is read, counted from 0.", "0"),
    "stop": Meaning("The frame before which reading ends.", "the end of the file"),
}

OF_HOLD_OUT: Final = {
    "groups": Meaning("Patterns of groups that are evaluated and not fitted.", "[]"),
    "fraction": Meaning("Of the other frames this part is held out, drawn at random.", NOTHING),
    "every": Meaning(
        "Of the other frames of each group every so manieth is held out. Neighbours in a trajectory are not "
        "independent.", NOTHING),
}  # fmt: skip
OF_FIT: Final = {
    "regulariser": Meaning("What is added to the least squares: a table with its `kind`.", '{ kind = "none" }'),
    "weights": Meaning(
        'They multiply rows. `"auto"`: from the labels and a first fit; `"evidence"`: from the noise of each '
        "kind of row, estimated; or numbers by kind (`force`, `energy`, `stress`), by group, or by "
        "`group/kind`; `{}` are ones.", '"auto"'),
    "apart": Meaning(
        "Patterns of groups whose rows are kept apart where there are more than 50 groups; others that no "
        "weight names are pooled, residuals too.", "[]"),
    "objective": Meaning(
        'How often rows count: `"lsq"`, as in chimes_lsq (off-diagonal stresses twice, energies three times),'
        ' or `"plain"`, once each.', '"lsq"'),
    "method": Meaning(
        '`"rfactor"`: TSQR; `"gram"`: normal equations, refused where unsafe; `"auto"`: gram, where that is '
        "unsafe rfactor.", '"rfactor"'),
    "policy": Meaning(
        'Frames with a pair inside an inner cutoff: `"refuse"`, `"skip_frame"`, `"lsq"` (as chimes_lsq treats'
        ' them) or `"damp"` (as chimes_calculator does).', '"refuse"'),
    "include_fewer": Meaning(
        "Also fit a block to frames that have only some of its elements; of use with `partial`.", "false"),
    "penalty": Meaning(
        "The wall below the inner cutoffs that is written into parameter files: `scale` in kcal/mol/Å³ and "
        '`distance` in Å; `"auto"`: one that keeps atoms apart and no frame feels, from the contacts of the frames.',
        "that of the frozen files, else scale 1e4, distance 0.01"),
    "partial": Meaning("Lower blocks that are left free when a block is fitted.", "[]"),
    "prior": Meaning(
        'What a regulariser draws coefficients to: `"zero"`; `"mixed"`, the mean of what the blocks of the '
        'elements say; `"auto"`, that where forces speak for it; or a table.', '"zero"'),
    "only": Meaning("The blocks to fit.", "all that are not frozen"),
    "missing": Meaning(
        'Blocks of several elements that no frame has: `"refuse"` (they are not in the model, and frames that'
        ' have them are refused), `"zero"` (also of blocks that the basis '
        'leaves out as a whole), or `"mixed"`, made of lower blocks.',
        '"mixed" where there is a prior, else "refuse"'),
    "probes": Meaning("Files of structures on which priors hold predictions.", "they are made of the frames"),
}  # fmt: skip
OF_WEIGHTS: Final = {
    "force": Meaning(
        'Weight of rows of forces: a number, or an expression such as `"A(1.0) * B(1.0, -1.0)"` or '
        '`"1.0 if max_force < 200 else 0.1"`.', "1"),
    "energy": Meaning("Weight of energies, likewise.", "1"),
    "stress": Meaning("Weight of stresses, likewise.", "1"),
    "rows": Meaning(
        "A file with a number for each row as chimes_lsq writes rows of A: al_driver's `weights.dat`. They multiply "
        "expressions.", NOTHING),
    "frames": Meaning(
        "A CSV file with a line for each frame: columns `frame` (from 1, in the order of the data), and `force`, "
        "`energy`, `stress` or some of these.", NOTHING),
    "cycles": Meaning(
        "By pattern of groups, the number of the cycle of active learning of their frames.",
        "the number behind `ALC-` or `cycle_` in the group's name"),
    "gas": Meaning("Patterns of groups whose frames are of the gas phase.", '"G_*"'),
}  # fmt: skip
OF_PENALTY: Final = {
    "scale": Meaning("A in kcal/mol/Å³ of A (rmin + d − r)³.", "1e4"),
    "distance": Meaning("d in Å: the wall begins at rmin + d.", "0.01"),
}  # fmt: skip
OF_PRIOR: Final = {
    "mean": Meaning('`"mixed"`, `"zero"` or `"auto"`.', '"mixed"'),
    "gamma": Meaning(
        "Factors of the mean, 0 … 1: a number, or three for two, three and four bodies.", "[1.0, 1.0, 1.0]"),
    "lower": Meaning(
        'What is taken of lower blocks where cutoffs, orders or λ differ: `"function"`, projected on the '
        "block's basis, or `\"coefficients\"`, as they are.", '"function"'),
    "decay": Meaning('How fast high powers become stiff: `"none"`, `"algebraic"` or `"exponential"`.', '"none"'),
    "strength": Meaning("Of the decay.", "0.0"),
    "spread": Meaning('Factors of the standard deviation by type (`CCN`) or number of bodies (`"3B"`).', "{}"),
    "probes": Meaning("Number of probe structures on which forces are held to those of the mean.", "0"),
    "probe_weight": Meaning("Of their rows beside forces of weight 1.", "estimated from the data"),
    "probe_force": Meaning("In eV/Å, by about so much forces may deviate; instead of `probe_weight`.", NOTHING),
    "probe_energy": Meaning("In meV/atom, by about so much energies of probes may deviate; else: free.", NOTHING),
    "seed": Meaning("Of the choice of probes.", "0"),
}  # fmt: skip
OF_REGULARISERS: Final = {
    "kind": Meaning(
        "One of `none`, `svd`, `ridge`, `lasso`, `elastic_net`, `adaptive_lasso`, `bayesian_ridge`, `ard`."),
    "alpha": Meaning("Ridge penalty, in the units of b²/x²; of `adaptive_lasso`, that of its first step."),
    "lam": Meaning("LASSO penalty λ of (1/2N) ‖A x − b‖² + λ ‖x‖₁."),
    "l1_ratio": Meaning("Part of the penalty of an elastic net that acts on lengths, above 0 and up to 1."),
    "gamma": Meaning("Exponent of the adaptive LASSO.", "1.0"),
    "normalize": Meaning("Divide columns by their lengths first; nothing is centred.", "false"),
    "tolerance": Meaning(
        "`none`, `svd`: below which part of the largest a direction is left out (`svd` must have it); "
        "`bayesian_ridge`, `ard`: accuracy at which the iteration ends.", "by kind"),
    "max_iter": Meaning("The most steps of `bayesian_ridge` and `ard`.", "1000"),
    "prune": Meaning("`ard`: coefficients are zero whose alpha exceeds this times the noise's precision.", "1e8"),
    "penalise_one_body": Meaning("Penalise energies of free atoms, too, as chimes_lsq does.", "false"),
}  # fmt: skip

OF_FROZEN: Final = {
    "files": Meaning("Parameter files of any ChIMES program, or solution files.", "[]"),
    "energies": Meaning(
        'Where these files lack the energy of a free atom that frames need: `"refuse"`, `"fit"` it here, or '
        '`"zero"` is meant.', '"refuse"'),
}  # fmt: skip
OF_STORE: Final = {
    "path": Meaning(
        "Folder of stores, each named by the digest of its basis; `s3://bucket/name` is on an object store.",
        '"design.zarr"'),
    "keep_rows": Meaning("Write rows there; `false` streams.", "true"),
    "memory": Meaning('Of all workers together, such as `"16 GiB"` or a number of bytes.', "what is available"),
    "in_use": Meaning(
        'Where another run works on the store: `"join"` computes what it has not claimed, `"refuse"` fails.', '"join"'),
    "wait": Meaning("Seconds to wait for who has a lock; 0: not at all.", "for ever, and said"),
    "fsync": Meaning("Flush each file to the disk before going on: outlives a loss of power; slow.", "false"),
    "checkpoint": Meaning(
        "Folder, or `s3://bucket/name`, of what a long pass over rows goes on from when it is cut; `false`: none.",
        "`checkpoint` in the output folder"),
}  # fmt: skip
OF_OUTPUT: Final = {
    "folder": Meaning(
        "Folder of the results; what an earlier run left there is moved to `earlier_1`, …", '"hiertl_results"'),
    "units": Meaning('Of tables and figures: `"kcal"` or `"eV"`.', '"kcal"'),
    "covariance": Meaning("Write what fits leave open in the coefficients, for predicted errors.", "true"),
}  # fmt: skip
OF_EXECUTOR: Final = {
    "kind": Meaning(
        "`auto` (ranks under mpirun, the current dask client, else all cores), `serial`, `processes`, `dask` "
        "or `mpi`.", '"auto"'),
    "workers": Meaning("How many.", "one for each core"),
    "scratch": Meaning("Folder of temporary files of `processes` and of a local dask cluster.", "`TMPDIR`"),
    "scheduler": Meaning(
        "Address of a dask scheduler that runs already, such as `tcp://host:8786`.", "a local cluster is started"),
    "tls_ca_file": Meaning("PEM file of the authority's certificate, for a scheduler with TLS.", NOTHING),
    "tls_cert": Meaning("PEM file of one's own certificate.", NOTHING),
    "tls_key": Meaning("PEM file of its key.", NOTHING),
    "encrypted": Meaning("Local dask cluster with TLS and temporary certificates.", "false"),
    "worker_wait": Meaning("Seconds to wait for a dask worker where there is none.", "600.0"),
    "dashboard": Meaning("Give the local dask cluster a dashboard on 127.0.0.1.", "false"),
    "performance_report": Meaning("HTML file for dask's performance report.", NOTHING),
    "resources": Meaning(
        "By name of tasks (`assemble`, `assemble-CN`, `merge` …) the resources that a dask worker must have "
        "for them.", "{}"),
}  # fmt: skip
OF_LIBRARY: Final = {
    "path": Meaning("Folder of the library; made with its first block."),
    "theory": Meaning('Level of theory of the data: a text or a table; `"unknown"` if nobody knows it.'),
    "energy_reference": Meaning('What the zero of the energies is: a text or a table; `"unknown"` if nobody knows it.'),
    "versions": Meaning("By block the version that counts here, or how it begins.", "those in use"),
    "update": Meaning("Blocks that are fitted anew.", "[]"),
    "accept": Meaning(
        "By block, in what it may differ and be used: `orders`, `theory`, `energy_reference`, `lower_blocks`.", "{}"),
    "covariance": Meaning("Keep the covariance of coefficients of blocks that are fitted.", "true"),
}  # fmt: skip

OF_SEARCH: Final = {
    "summaries": Meaning(
        "Folder of the summary store, or `s3://bucket/name`: later searches begin with it.", '"summaries"'),
    "folds": Meaning("A number of folds, or a table.", "5"),
    "strategy": Meaning(
        '`"grid"`: every combination; `"ladder"`: one list after the other, each with the best so far.', '"grid"'),
    "rule": Meaning(
        '`"one_se"`: the cheapest within one standard error of the best, no composition worse than its own; '
        '`"best"`.', '"one_se"'),
    "importance": Meaning(
        "Exponents of force, energy and stress in the score, a geometric mean of held-out RMSEs.", "all alike"),
    "grid": Meaning("What is varied: every list is an axis.", "{}"),
    "blocks": Meaning("Other grids for single blocks.", NOTHING),
}  # fmt: skip
OF_FOLDS: Final = {
    "count": Meaning("Number of folds, at least 2.", "5"),
    "split": Meaning('What stays together: `"frame"`, `"group"` or `"system"`.', '"frame"'),
    "seed": Meaning("Decides between folds that are equally full.", "0"),
    "stratify": Meaning("Spread each composition over the folds.", "true"),
    "system": Meaning(
        'What a system is, with `split = "system"`: `"composition"`, `"elements"`, or patterns of groups by '
        'name, `{ cold = "*_{0..500}K", hot = "*" }`.', '"composition"'),
}  # fmt: skip
OF_GRID: Final = {
    "regulariser": Meaning("A table whose values may be lists, or a list of such tables.", FROM_FIT),
    "weights": Meaning("A table whose values may be lists, or a list of tables.", FROM_FIT),
    "objective": Meaning("One or a list.", FROM_FIT),
    "orders": Meaning("Lists of three, or tables by block or type.", FROM_FIT),
    "exclude": Meaning("Lists of types or bodies (`4B`) that are left out.", FROM_FIT),
    "prior": Meaning("Names, or tables whose values may be lists.", FROM_FIT),
}  # fmt: skip
OF_CYCLE: Final = {
    "states": Meaning("At which the model is run: a `[[cycle.states]]` table for each."),
    "folder": Meaning("Where each cycle has a folder of its own.", '"cycles"'),
    "cycles": Meaning("How many times frames are picked and labelled at most.", "3"),
    "picks": Meaning("Frames that a cycle picks at most.", "20"),
    "shares": Meaning(
        "Of the picks, by why they are picked; they sum to 1 at most.",
        "{ distances = 0.25, leverage = 0.5, clusters = 0.25 }"),
    "label": Meaning(
        "Who labels what was picked: a calculator (`emt`, `module:function`), a code whose inputs are written "
        "(`vasp`, `espresso`, `cp2k`, `extxyz`), or a table.", '"extxyz"'),
    "steps": Meaning("Steps of each run of molecular dynamics.", "2000"),
    "every": Meaning("After so many steps, again and again, a frame is kept.", "50"),
    "timestep": Meaning("Time step in fs.", "1.0"),
    "friction": Meaning("Friction of Langevin's thermostat in 1/fs.", "0.01"),
    "contact": Meaning(
        "A run is cut where a pair is closer than this times the shortest distance that the model was fitted on.",
        "0.9"),
    "heat": Meaning("A run is cut where its atoms are so many times as hot as they should be.", "3.0"),
    "sigma": Meaning(
        "In eV/Å: the loop ends where no frame of the runs has a σ of forces above, rms over its atoms, as far as the "
        "coefficients leave one.", "no such end"),
    "least": Meaning(
        "How many coefficients' worth a frame must settle (the sum of its leverages) to be picked by leverage or "
        "clusters; the loop ends where none does and no distance is new.", "0.1"),
    "seed": Meaning("Of all that is random.", "0"),
}  # fmt: skip
OF_CYCLE_STATE: Final = {
    "temperatures": Meaning("In K: one, or a list."),
    "pressures": Meaning("In GPa: one, or a list; the cell keeps its shape and breathes.", "the volume is kept"),
    "volumes": Meaning("Volumes that are kept, as multiples of that of the starting structure.", "1.0"),
    "start": Meaning("Files of starting structures.", "frames that are fitted"),
    "groups": Meaning("Patterns of groups of fitted frames from which runs start.", "all"),
    "elements": Meaning("Sets of elements (`CuNi`) of fitted frames from which runs start.", "all"),
    "compositions": Meaning(
        "Tables such as `{ Cu = 3, Ni = 1 }`: elements in these shares are assigned anew to the sites of each "
        "starting structure, whose volume follows from those of the fitted frames.", "as they are"),
    "count": Meaning("Starting structures, drawn anew in each cycle.", "1"),
}  # fmt: skip
OF_CYCLE_LABEL: Final = {
    "calculator": Meaning(
        "`module:function`, a function or class that gives an ASE calculator (the module may be beside the input "
        "file), or a name of ASE's, such as `emt`.", NOTHING),
    "code": Meaning("Whose inputs are written: `extxyz`, `vasp`, `espresso`, `cp2k`.", '"extxyz"'),
    "options": Meaning("Keyword arguments of the calculator, or of ASE's writer of the inputs.", "{}"),
    "template": Meaning("For `cp2k`: an input file with all but the cell and the atoms.", NOTHING),
    "energy_key": Meaning(
        "Under which name results of a code have the energy, as in `[[data]]`: for VASP `free_energy`, if the data "
        "have that.", "the one that is there"),
}  # fmt: skip
OF_CYCLE_SHARES: Final = {
    "distances": Meaning("Frames with distances, or types of clusters, that the model was not fitted on.", "0.25"),
    "leverage": Meaning("Frames that would settle most of the coefficients (D-optimal).", "0.5"),
    "clusters": Meaning(
        "Of clusters of frames that are alike, the frame of the largest σ of those that have no pick yet.", "0.25"),
    "random": Meaning("Drawn at random: to compare with.", "0.0"),
}  # fmt: skip

MEANINGS: Final[Mapping[str, Mapping[str, Meaning]]] = {
    "the top of the file": OF_TOP, "[basis]": OF_BASIS, "[basis.pairs] XY": OF_PAIR, "[basis.types] XYZ": OF_TYPE,
    "[basis.three_body], [basis.four_body]": OF_MANY_BODY, "[basis.blocks] XY": OF_BLOCK, "[[data]]": OF_DATA,
    "[hold_out]": OF_HOLD_OUT, "[fit]": OF_FIT, "[weights]": OF_WEIGHTS,
    "the table of the regulariser, { kind = … }": OF_REGULARISERS,
    "[fit] penalty": OF_PENALTY, "[fit] prior": OF_PRIOR, "[frozen]": OF_FROZEN, "[store]": OF_STORE,
    "[output]": OF_OUTPUT, "[executor]": OF_EXECUTOR, "[library]": OF_LIBRARY, "[search]": OF_SEARCH,
    "[search] folds": OF_FOLDS, "[search.grid]": OF_GRID,
    "[cycle]": OF_CYCLE, "[[cycle.states]]": OF_CYCLE_STATE, "[cycle] label": OF_CYCLE_LABEL,
    "[cycle] shares": OF_CYCLE_SHARES,
}  # fmt: skip
"""By table, as a person would write where it is: what :data:`~hiertl_dist.text.table_keys.TABLES` has, and those of
basis and folds that are not there."""
