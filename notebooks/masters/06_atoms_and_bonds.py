# %% [markdown]
# # 6. Atoms and bonds: make your own quantum labels
#
# **Goals.** After this lesson you can
#
# - compute charges, bond orders and energies of any small molecule yourself, in about a second,
# - read the chemistry in them: which atom is positive, which single bond is partly a double bond,
# - keep the labels of atoms and bonds in the right order, and say what happens if they are not,
# - train one network on labels of molecules, atoms and bonds together, and test it on molecules that you labelled yourself,
# - measure how much of a label depends on the *shape* of a molecule, which a graph does not know.
#
# **You need** lesson 3 (message passing, R²). **Time:** about 70 minutes; the cells run for about three, and loading the data for the
# first time can take one more.

# %% [markdown]
# ## 1. An early success: the charges of paracetamol
#
# Quantum chemistry is often said to need a supercomputer. For one molecule and a fast method, your own computer is enough.
# The next cell computes where the electrons of paracetamol, a painkiller, are.
#
# The program is called *tblite*. If it is missing, the cell says so. The lesson then takes its labels from a table of molfm,
# where they were computed in the same way.

# %%
from importlib.util import find_spec

import numpy as np
import pandas as pd
from IPython.display import HTML
from molfm.widgets import Molecule3D
from rdkit import Chem

from molfm.chem.drawing import atom_values
from molfm.lessons import budget, check, progress, reveal
from molfm.minimix.quantum import QuantumError, xtb_labels

CAN_COMPUTE = find_spec("tblite") is not None
if not CAN_COMPUTE:
    print('tblite is missing. To compute labels yourself: pip install "molfm[quantum]", then restart the kernel.')

print("Loading the data; the first time, this takes a minute.")
data = molfm.load("minimix", tasks=["xtb"])  # molecules with labels from the same method
row_of = {smiles: row for row, smiles in enumerate(data.molecules.smiles)}
columns = {task.removeprefix("xtb/"): data.labels(task) for task in data.tasks.task}


def labels_of(smiles):
    """Return the quantum labels of a molecule: computed here or, without tblite, from the table."""
    if CAN_COMPUTE:
        return xtb_labels(smiles)
    return {name: column[row_of[smiles]] for name, column in columns.items()}


paracetamol = "CC(=O)Nc1ccc(O)cc1"
labels = labels_of(paracetamol)
HTML(atom_values(paracetamol, labels["charge"], "e"))

# %% [markdown]
# Red atoms are negative: they have more than their share of electrons. Blue ones are positive. The unit e is the elementary
# charge. Look at the carbon of the C=O group: its neighbours O and N are electronegative and pull electrons away from it, so it is the
# most positive atom. Particles that bring electrons (*nucleophiles*) attack there. You know this from organic chemistry.
# Here it comes out of a calculation that knows no such rule.
#
# ## 2. What was computed: three levels of labels
#
# The method is GFN2-xTB (Bannwarth, Ehlert and Grimme 2019, *J. Chem. Theory Comput.* 15, 1652). It solves a simplified
# version of the quantum-mechanical equations for the outer electrons. It is *semi-empirical*: some of its integrals are
# replaced by formulas with fitted parameters. It is about a thousand times faster than the usual accurate methods, and less exact.
#
# The result is a matrix $P$ that says how electrons are spread over the *orbitals* of the atoms, and a matrix $S$ that says how
# much these orbitals overlap. Two labels are read from them:
#
# $$q_A = Z_A - \sum_{\mu \in A} (PS)_{\mu\mu} \qquad\qquad B_{AB} = \sum_{\mu \in A} \sum_{\nu \in B} (PS)_{\mu\nu} (PS)_{\nu\mu}$$
#
# - $q_A$ is the *Mulliken charge* of atom $A$ (Mulliken 1955, *J. Chem. Phys.* 23, 1833). $Z_A$ counts the protons minus the
#   inner electrons. The sum counts the outer electrons that belong to the orbitals $\mu$ of atom $A$.
# - $B_{AB}$ is the *bond order* of the atoms $A$ and $B$ (Wiberg 1968, *Tetrahedron* 24, 1083; with overlap: Mayer 1983, *Chem.
#   Phys. Lett.* 97, 270). It is close to 1 for a single bond, 2 for a double bond, and need not be a whole number.
#
# A label belongs to a *level*. A **graph label** is one number for a whole molecule, such as its energy. A **node label** is
# one number per atom, an **edge label** one per bond. The tasks of this lesson:

# %%
data.tasks[["task", "level", "unit", "n_train", "mean", "std"]].round(3)

# %% [markdown]
# `homo` and `lumo` are the energies of the highest occupied and the lowest empty orbital. The *gap* is the difference of the
# two. The *dipole* moment measures how far the centres of positive and negative charge lie apart, times the charge (unit:
# debye). The *solvation energy* is the change of energy when a molecule moves from the gas into water; it is negative if
# water attracts the molecule. `h_charge_max` is the largest charge of any hydrogen, `charge_min` the smallest charge of any
# atom. In the tasks `charge` and `bond_order`, only heavy atoms (all except hydrogen) and the bonds between them have
# labels.
#
# **Exercise 06.1** How many labels does paracetamol, `CC(=O)Nc1ccc(O)cc1`, have in each of the tasks `gap`, `charge` and `bond_order`?
# Count on the drawing, or let RDKit count.

# %%
counts = ...  # three numbers, as a list: [gap, charge, bond_order]
### BEGIN SOLUTION
molecule = Chem.MolFromSmiles(paracetamol)
counts = [1, molecule.GetNumAtoms(), molecule.GetNumBonds()]
### END SOLUTION
check("06.1", counts)

# %% [markdown]
# So a molecule has one label in each graph task, and often a dozen or more in a node or edge task. That is why labels of atoms and
# bonds are a rich source to learn from.
#
# ## 3. What a bond order tells a chemist
#
# A drawing has single, double, triple and aromatic bonds. What do the electrons say? Take 1,500 molecules of the table and
# sort their bonds by the kind of bond that is drawn. An *amide* is the group C(=O)–N. It links the amino acids of a protein.

# %%
from molfm.base.colors import THEMES
from molfm.plots.style import new_figure

KINDS = {  # what is drawn -> a pattern of two atoms in the language SMARTS
    "single C–C": "[CX4]-[CX4]",
    "single C–N": "[CX4]-[NX3]",
    "amide C–N": "[CX3;$(C=O)]-[NX3]",
    "aromatic C–C": "c:c",
    "double C=O": "[CX3]=[OX1]",
    "double C=C": "[CX3]=[CX3]",
}
patterns = {kind: Chem.MolFromSmarts(smarts) for kind, smarts in KINDS.items()}
found = {kind: [] for kind in KINDS}
for count, row in enumerate(data.members("train")[:1500]):
    if count % 500 == 0:
        print(f"{count} molecules searched")
    molecule, orders = Chem.MolFromSmiles(data.molecules.smiles[row]), columns["bond_order"][row]
    for kind, pattern in patterns.items():
        for first, second in molecule.GetSubstructMatches(pattern):
            bond = molecule.GetBondBetweenAtoms(first, second)
            found[kind].append(float(orders[bond.GetIdx()]))
spread = pd.DataFrame({kind: np.percentile(orders, [5, 25, 50, 75, 95]) for kind, orders in found.items()}).T
spread.columns = ["5%", "25%", "median", "75%", "95%"]
spread.assign(bonds=[len(orders) for orders in found.values()]).round(2)

# %% alt="Boxes of bond orders for six kinds of bonds. Medians: single C–C and single C–N 0.99, amide C–N 1.18, aromatic C–C 1.41, double C=O 1.76, double C=C 1.81." slide="Electrons know what lies between single and double bonds"
figure = new_figure(
    "Bond orders of 1,500 molecules (whiskers: 5% to 95%)", "bond, as it is drawn", "bond order (GFN2-xTB)"
)
figure.add_box(
    x=list(KINDS),
    q1=spread["25%"],
    median=spread["median"],
    q3=spread["75%"],
    lowerfence=spread["5%"],
    upperfence=spread["95%"],
    marker_color=THEMES["light"]["quantum"],
)

# %% [markdown]
# Each box holds the middle half of the bonds; the line in it is the median. The amide bond is drawn as a single bond, yet its
# order lies clearly above that of other C–N bonds. The free electron pair of nitrogen is partly shared with the C=O group. A
# bond with double-bond character does not rotate freely. This keeps the chains of proteins flat at every link.
#
# **Exercise 06.2** Write a function that returns the bond order of the amide bond of a molecule. `orders` has one entry per
# bond, in RDKit's order of bonds: entry $k$ belongs to the bond whose `GetIdx()` is $k$. The code of the cell before the
# figure shows how to find the two atoms of a pattern and the bond between them.


# %%
def amide_bond_order(smiles, orders):
    """Return the order of the first bond that matches the pattern of an amide."""
    molecule = Chem.MolFromSmiles(smiles)
    result = ...
    ### BEGIN SOLUTION
    carbon, nitrogen = molecule.GetSubstructMatch(patterns["amide C–N"])
    result = orders[molecule.GetBondBetweenAtoms(carbon, nitrogen).GetIdx()]
    ### END SOLUTION
    return result


check("06.2", amide_bond_order)

# %% [markdown]
# ## 4. Which number belongs to which atom?
#
# An array of charges is worthless if you do not know which atom comes first. Two tables may write the same molecule from different
# ends: `CCO` or `OCC`. A safe way is to number the atoms in the SMILES itself. The number behind the colon is the *atom-map number*:
#
# `[OH:0][CH2:2][CH3:1]`
#
# The first atom in this text, the oxygen, has map number 0, the second atom number 2. Two large public datasets, PCQM4M and
# PM6, use this form: **entry $k$ of the labels belongs to the atom with map number $k$**, wherever that atom stands in the
# text.
#
# **Exercise 06.3** Write a function that sorts such labels into the order of the atoms in the text, the order of
# `Chem.MolFromSmiles`. An atom tells its number by `atom.GetAtomMapNum()`.


# %%
def in_text_order(mapped_smiles, values):
    """Return one value per atom, in the order of the atoms in the SMILES."""
    molecule = Chem.MolFromSmiles(mapped_smiles)
    result = ...
    ### BEGIN SOLUTION
    result = [values[atom.GetAtomMapNum()] for atom in molecule.GetAtoms()]
    ### END SOLUTION
    return result


check("06.3", in_text_order)

# %% [markdown]
# This is not a detail. Until January 2024, public code for these datasets got the order wrong. Published networks were trained on
# charges that belonged to other atoms. Nothing crashed: such a mistake only makes the error larger. molfm sorts labels once,
# when it reads a table, and has tests with molecules that were checked by hand.
#
# ## 5. One molecule, two forms: glycine
#
# Glycine is the smallest amino acid. You can draw it neutral, or as a *zwitterion*, in which a proton has moved from the acid to
# the amine: one end is positive, the other negative. Which form is lower in energy?

# %%
forms = {"neutral": "NCC(=O)O"}
if CAN_COMPUTE:
    forms["zwitterion"] = "[NH3+]CC(=O)[O-]"
else:
    print("The zwitterion is not in the table, so without tblite only the neutral form is shown.")

N_ATOMS, KCAL_PER_EV = 10, 23.06  # glycine has 10 atoms, hydrogens included
rows = {}
for form, smiles in forms.items():
    glycine = labels_of(smiles)
    gas = glycine["energy_per_atom"] * N_ATOMS * KCAL_PER_EV
    rows[form] = {
        "in the gas": gas,
        "in water": gas + glycine["solvation_energy"],
    }
energies = pd.DataFrame(rows).T
(energies - energies.loc["neutral"]).round(1)  # in kcal/mol, relative to the neutral form

# %% [markdown]
# In the gas, the zwitterion lies far above the neutral form: nothing stabilizes its separated charges. Water pulls it down
# by about 25 kcal/mol, to 2.5 kcal/mol above the neutral form. In real water the zwitterion is lower. This fast calculation
# comes close, but not all the way: it uses one geometry that was not relaxed in water, and a simple model of
# water. **Know what your labels leave out.**
#
# Turn the molecule with the mouse. The SMILES writes a plus at the nitrogen, `[NH3+]`. Is the nitrogen blue?

# %%
shown = forms.get("zwitterion", forms["neutral"])
Molecule3D(shown, labels_of(shown)["charge"], "e")

# %% [markdown]
# It is not. Its three hydrogens, which have no colour here, carry the positive charge. **The plus in a drawing is book-keeping,
# not a charge of this one atom.**
#
# ## 6. The same graph, another shape
#
# A quantum calculation needs positions of the nuclei, and a SMILES has none. So `xtb_labels` first made a *conformer*: one
# of the shapes that a molecule takes by turning around its single bonds. A *force field*, a simple formula for the energy,
# then relaxed it. Here are all the steps. The number `seed` decides which shape you get:

# %%
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from molfm.minimix.quantum import ATOMIC_DIPOLE_IN_DEBYE, BOHR_IN_ANGSTROM, HARTREE_IN_EV


def compute(smiles, seed):
    """Return charges, bond orders, gap (eV) and dipole (debye) of one conformer."""
    from tblite.interface import Calculator

    heavy = Chem.MolFromSmiles(smiles)
    molecule = Chem.AddHs(heavy)  # a calculation needs the hydrogens, which come after all other atoms
    settings = rdDistGeom.ETKDGv3()  # knows which angles are usual in crystals
    settings.randomSeed = seed
    rdDistGeom.EmbedMolecule(molecule, settings)
    rdForceFieldHelpers.MMFFOptimizeMolecule(molecule, maxIters=500)  # relaxes it with a force field

    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
    positions = molecule.GetConformer().GetPositions() / BOHR_IN_ANGSTROM
    calculator = Calculator("GFN2-xTB", numbers, positions, charge=Chem.GetFormalCharge(molecule))
    calculator.set("verbosity", 0)
    result = calculator.singlepoint()  # the electrons, for fixed nuclei

    energies, filled = result["orbital-energies"], result["orbital-occupations"] > 0.5
    orders = result["bond-orders"][:, :, 0]
    return {
        "charge": np.array(result["charges"])[: heavy.GetNumAtoms()],
        "bond_order": np.array([orders[b.GetBeginAtomIdx(), b.GetEndAtomIdx()] for b in heavy.GetBonds()]),
        "gap": (energies[~filled].min() - energies[filled].max()) * HARTREE_IN_EV,
        "dipole": np.linalg.norm(result["dipole"]) * ATOMIC_DIPOLE_IN_DEBYE,
    }


if CAN_COMPUTE:
    first = compute(paracetamol, seed=20260101)["charge"]  # the seed of the table
    in_table = columns["charge"][row_of[paracetamol]]
    print(f"largest difference from the table: {np.abs(first - in_table).max():.4f} e")

# %% [markdown]
# The table rounds to three decimals, so you have just reproduced it. Now change nothing except the seed.
#
# **Predict before you run.** Take eight conformers of paracetamol. Their mean dipole moment is about 4.4 debye. By how much
# do the smallest and the largest differ? Write your guess.

# %%
my_guess = ...  # in debye
### BEGIN SOLUTION
my_guess = 0.5
### END SOLUTION

# %%
SEEDS = range(budget(8, fast=3))
if CAN_COMPUTE:
    shapes = [compute(paracetamol, seed) for seed in SEEDS]
else:  # what tblite 0.8 gave for the seeds 0 to 7
    shapes = [{"dipole": dipole} for dipole in (5.55, 5.55, 5.54, 2.59, 5.55, 2.59, 5.55, 2.59)]
dipoles = [float(shape["dipole"]) for shape in shapes]
reveal(my_guess, round(max(dipoles) - min(dipoles), 2), "Spread of the dipole among conformers", "debye")

# %%
np.round(dipoles, 2)

# %% [markdown]
# There are two groups. If the O–H group of paracetamol makes half a turn, the dipole of this group turns with it. It then
# adds to the dipole of the other end of the molecule, or cancels a part of it. The graph is the same. **A network that sees
# only the graph must give one answer for both.** Its best answer is the mean, and the scatter around it can never be
# learned. This is the *irreducible error*.
#
# How large is it for other labels? We compute several conformers of ten well-known molecules.

# %%
KNOWN = {
    "paracetamol": paracetamol,
    "glycine": "NCC(=O)O",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "caffeine": "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "ibuprofen": "CC(C)Cc1ccc(C(C)C(=O)O)cc1",
    "nicotine": "CN1CCC[C@H]1c1cccnc1",
    "lidocaine": "CCN(CC)CC(=O)Nc1c(C)cccc1C",
    "dopamine": "NCCc1ccc(O)c(O)c1",
    "vanillin": "COc1cc(C=O)ccc1O",
    "menthol": "CC(C)[C@@H]1CC[C@@H](C)C[C@H]1O",
}
TASKS = ["charge", "bond_order", "gap", "dipole"]
if CAN_COMPUTE:
    variance = {}
    for name, smiles in KNOWN.items():
        shapes = [compute(smiles, seed) for seed in SEEDS]
        variance[name] = [np.mean(np.var([shape[task] for shape in shapes], axis=0, ddof=1)) for task in TASKS]
        print(f"{name}: dipoles {min(s['dipole'] for s in shapes):.1f} to {max(s['dipole'] for s in shapes):.1f} debye")
    variance = pd.DataFrame(variance, TASKS).T
else:  # what tblite 0.8 gave for the seeds 0 to 7: standard deviations
    scatter = """paracetamol .0047 .0033 .003 1.55, glycine .0042 .0034 .040 .43, aspirin .0007 .0014 .047 .39,
        caffeine 0 0 0 0, ibuprofen .0021 .0038 .020 .25, nicotine .0020 .0039 .036 .58, lidocaine .0061 .0085 .282 .48,
        dopamine .0074 .0073 .031 1.07, vanillin .0053 .0034 .041 1.41, menthol .0027 .0023 .109 .07"""
    lines = [line.split() for line in scatter.split(",")]
    variance = pd.DataFrame({name: np.square(np.array(values, float)) for name, *values in lines}, TASKS).T
variance.pow(0.5).round(4)  # standard deviations: e, none, eV, debye

# %% [markdown]
# Compare this with how much a label varies over all molecules. If conformers have the variance $\sigma_c^2$ and all labels
# the variance $\sigma^2$, then no network that reads only the graph can have a larger R² than
#
# $$R^2_{\max} = 1 - \frac{\sigma_c^2}{\sigma^2}$$
#
# The next cell collects both, for each task. `within` is $\sigma_c^2$, the mean over our ten molecules. `total` is
# $\sigma^2$, over the test labels of the table. Ten molecules give a rough estimate, not a law.

# %%
test = data.members("test")
total = {}
for task in TASKS:
    values = columns[task][test].dropna()
    total[task] = np.var(np.concatenate([np.atleast_1d(value) for value in values]))
limits = pd.DataFrame({"within": variance.mean(), "total": total})
limits

# %% [markdown]
# **Exercise 06.4** Which R² can a graph network reach at most on the *dipole*, according to this table?

# %%
best_r2 = ...  # a number; limits.loc["dipole", "within"] is one of the two that you need
### BEGIN SOLUTION
best_r2 = 1 - limits.loc["dipole", "within"] / limits.loc["dipole", "total"]
### END SOLUTION
check("06.4", best_r2, limits)

# %% [markdown]
# For the other three labels the limit is above 0.99: charges, bond orders and the gap depend on the bonds, and hardly on
# the shape. That is good news for graph networks. It also shows which quantum labels are worth learning from a graph.
#
# ## 7. One network for three levels
#
# Now train one network on molecules, atoms and bonds together. It has one *trunk*, the message-passing layers that all tasks share,
# and one *head* per level, a small network that turns the vectors of the trunk into predictions:
#
# - the node head reads the state $h_i$ of an atom,
# - the edge head reads both atoms and the bond: $h_i + h_j$ and $|h_i - h_j|$ do not depend on which atom comes first,
# - the graph head reads the states of all atoms, added up or averaged.
#
# The *loss*, the number that training makes small, is computed in two steps. Each head takes the mean absolute error over all its
# labels, in units of their standard deviation. Then we take the mean over the three heads. So the many labels of atoms and
# bonds do not drown the one dipole of a molecule.
#
# We keep one molecule in three, which saves time. The table shows results on test molecules of new scaffolds.

# %%
third = data.keep(["xtb"], np.arange(len(data)) % 3 == 0)
chosen = [f"xtb/{task}" for task in TASKS]
run = molfm.train(
    third,
    tasks=chosen,
    steps=budget(250, fast=3),
    batch_size=64,
    validate_every=125,
    hidden_channels=48,
    num_layers=4,
    learning_rate=2e-3,
    seed=0,
)
results = run.results.query("split == 'test' and metric in ('r2', 'mae')")
results = results.pivot(index=["task", "n_labels"], columns="metric", values="value").reset_index("n_labels")
highest = 1 - limits["within"] / limits["total"]
results["R² at most"] = [highest[task.removeprefix("xtb/")] for task in results.index]
results.round(3)

# %% [markdown]
# After a short training, the network predicts charges and bond orders of new molecules well. The gap is harder, because it
# depends on the whole molecule. The dipole is hardest.
#
# **Exercise 06.5** Is the conformer to blame for the poor dipole? The network leaves the part $1 - R^2$ of the variance
# *unexplained*. The part $1 - R^2_{\max}$ is *irreducible*. Which share of the unexplained part is irreducible? Take both
# values of R² from the row of the dipole in the table `results`.

# %%
share = ...  # between 0 and 1
### BEGIN SOLUTION
dipole = results.loc["xtb/dipole"]
share = (1 - dipole["R² at most"]) / (1 - dipole["r2"])
### END SOLUTION
check("06.5", share, results)

# %% [markdown]
# So the shape explains a part of the error, not all of it. A dipole is a *vector*, the sum of charges times positions, and
# many of its terms cancel. After this short training, the network predicts single charges much better than their sum.
#
# ## 8. The network against your own labels
#
# Here is the fairest test: molecules that are in no table of this lesson. You compute their labels, and the network predicts
# them. (Without tblite, the cell takes test molecules from the table.)

# %%
NEW = {
    "serotonin": "NCCc1c[nH]c2ccc(O)cc12",
    "histamine": "NCCc1c[nH]cn1",
    "TNT": "Cc1c([N+](=O)[O-])cc([N+](=O)[O-])cc1[N+](=O)[O-]",
    "indigo": "O=C1Nc2ccccc2C1=C1Nc2ccccc2C1=O",
    "glyphosate": "O=C(O)CNCP(=O)(O)O",
    "glycine, zwitterion": "[NH3+]CC(=O)[O-]",
}
if not CAN_COMPUTE:  # molecules of the test set, which the network has not seen either
    NEW = {name: KNOWN[name] for name in ("paracetamol", "aspirin", "lidocaine", "dopamine", "vanillin")}

tables = []
for name, smiles in NEW.items():
    try:
        mine = labels_of(smiles)
    except QuantumError as error:
        print(f"{name}: no labels, {error}")
        continue
    table = run.model.predict(smiles, level="node", progress=False)
    table = table.assign(smiles=name, computed=mine["charge"]).rename(columns={"xtb/charge": "predicted"})
    tables.append(table)
atoms = pd.concat(tables)
errors = (atoms.predicted - atoms.computed).abs().groupby(atoms.smiles, sort=False).mean()
errors.round(3).rename("mean absolute error of the charges (e)").rename_axis("molecule").to_frame()

# %% alt="Predicted against computed charges of the heavy atoms of six molecules that are not in the data, one colour per element. Most points lie near the diagonal from −0.6 to 0.5 e; oxygens of the zwitterion and nitrogens of TNT lie farthest from it."
from molfm.plots.predictions import atom_agreement

atom_agreement(atoms, "computed", "predicted")

# %% [markdown]
# In our run, the largest errors are where the SMILES has a formal charge: at the ends of the zwitterion and in the nitro
# groups of TNT.
#
# Add a molecule of your own to `NEW`: a flavour, a drug, a dye. Can you find one whose charges the network gets badly
# wrong? The training molecules are drugs and other tested chemicals. Think of what these do *not* contain.
#
# **Look at the mistakes in the data.** Open the browser, choose the task `dipole`, click "biggest errors" and open three molecules.
# Are they large or small, charged or neutral, stiff or flexible? (Without a running kernel you see a small preview.)

# %%
from molfm.widgets import MoleculeBrowser

MoleculeBrowser(third, model=run)

# %%
progress("06")

# %% [markdown]
# ## Discussion
#
# 1. An xTB label costs about a second and can be made for nearly any molecule. A measured toxicity can cost thousands of
#    euros. What would have to be true for the cheap labels to help with the expensive ones?
# 2. You could give a network the positions of the atoms. Which positions would you use for a molecule that you only know as a SMILES?
#    What would you have gained?
# 3. Two methods give different Mulliken charges, and no experiment measures the charge of an atom directly. Is a charge then a
#    sensible thing to learn?
#
# ## Quiz
#
# Click on an answer to see whether it is right, and why.
#
# **1. What does a bond order of 1.2 mean for an amide bond?**
# <details><summary>One bond in five is a double bond, the others are single.</summary>All amide bonds of the molecule are alike. The number describes how the electrons of one bond are shared.</details>
# <details><summary>It is a single bond with some double-bond character.</summary>Right. Nitrogen shares its free electron pair with the C=O group, so the bond hardly rotates.</details>
# <details><summary>The calculation is wrong: bond orders are whole numbers.</summary>Only in drawings. Electrons are spread over several bonds.</details>
#
# **2. A table has the labels of `[CH3:1][OH:0]` as [−0.4, 0.1]. What is the charge of the carbon?**
# <details><summary>0.1</summary>Right. The carbon has map number 1, so entry 1 belongs to it.</details>
# <details><summary>−0.4</summary>That is entry 0, which belongs to the atom with map number 0, the oxygen. The carbon is only first in the text.</details>
# <details><summary>You cannot know it.</summary>You can: entry k belongs to the atom with map number k.</details>
#
# **3. Which label can a network that sees only the graph predict almost perfectly, in principle?**
# <details><summary>The dipole of flexible molecules.</summary>It changes from conformer to conformer, by up to 3 debye in paracetamol.</details>
# <details><summary>The total energy of each single conformer.</summary>Conformers of one graph have different energies, and the network gives one answer.</details>
# <details><summary>The charges of atoms.</summary>Right. They scatter by a few thousandths of e among conformers, which is little compared with their range.</details>
#
# **4. Why is the loss a mean over heads, and not over all labels?**
# <details><summary>Because graph labels are more exact.</summary>They are not. Think of how many labels each level has.</details>
# <details><summary>Otherwise atoms and bonds, which have more than ten times as many labels, would decide almost alone what the network learns.</summary>Right. A mean over heads gives each level the same weight.</details>
# <details><summary>Because the units differ.</summary>Units are removed before: every label is divided by the standard deviation of its task.</details>
#
# **5. What does a longer training do to the irreducible error?**
# <details><summary>Nothing.</summary>Right. It is scatter that the input does not determine. Other inputs, such as positions, would be needed.</details>
# <details><summary>It makes it smaller, but slowly.</summary>A longer training makes the rest of the error smaller, not this part.</details>
# <details><summary>It makes it larger, because the network overfits.</summary>Overfitting makes the total error larger. The irreducible part belongs to data and input, not to the network.</details>
#
# ## Further reading
#
# - Bannwarth, Ehlert, Grimme 2019, *GFN2-xTB*, J. Chem. Theory Comput. 15, 1652, [doi 10.1021/acs.jctc.8b01176](https://doi.org/10.1021/acs.jctc.8b01176)
# - Mulliken 1955, *Electronic population analysis*, J. Chem. Phys. 23, 1833, [doi 10.1063/1.1740588](https://doi.org/10.1063/1.1740588)
# - Mayer 1983, *Charge, bond order and valence in the ab initio SCF theory*, Chem. Phys. Lett. 97, 270, [doi 10.1016/0009-2614(83)80005-0](https://doi.org/10.1016/0009-2614(83)80005-0)
# - Beaini et al. 2024, *Towards foundational models for molecular learning on large-scale multi-task datasets* (PCQM4M and PM6 as training data), [arXiv 2310.04292](https://arxiv.org/abs/2310.04292)
