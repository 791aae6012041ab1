# %% [markdown]
# # 1. Molecules as graphs: what a network sees of aspirin, and what it does not
#
# **Goals.** After this lesson you can
#
# - read and write a *SMILES*, the line of text by which computers name molecules,
# - tell whether two SMILES are the same molecule,
# - say which numbers a neural network gets about each atom and each bond, and which facts it never gets,
# - find the traps in a table of molecules: duplicates, salts, tautomers and text that is no molecule.
#
# **You need** first-year chemistry and Python. **Time:** about 60 minutes; the cells run for less than two.

# %% [markdown]
# ## 1. An early success: four lines of text, four molecules

# %%
import numpy as np
import pandas as pd
from IPython.display import HTML
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from molfm.chem.drawing import draw, molecule_grid
from molfm.chem.featurize import ATOM_FIELDS, BOND_CODES, BOND_FIELDS, canonical_smiles, featurize
from molfm.lessons import budget, check, progress, reveal

aspirin = "CC(=O)Oc1ccccc1C(=O)O"
caffeine = "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
nicotine = "CN1CCC[C@H]1c1cccnc1"
paracetamol = "CC(=O)Nc1ccc(O)cc1"
known = {"aspirin": aspirin, "caffeine": caffeine, "nicotine": nicotine, "paracetamol": paracetamol}
HTML(molecule_grid(list(known.values()), [f"{name}\n{smiles}" for name, smiles in known.items()]))

# %% [markdown]
# Each line of text below a drawing is a *SMILES* (Weininger 1988,
# [doi 10.1021/ci00057a005](https://doi.org/10.1021/ci00057a005)). The drawing was made from this text and nothing else.
# Everything in this course starts from such texts.
#
# ## 2. How to read a SMILES
#
# | You see | It means | Example |
# |---|---|---|
# | a letter | an atom, with as many hydrogens as its valence needs; `Cl` and `Br` are one atom each | `C` is methane, CH₄ |
# | two letters side by side | a single bond between these atoms | `CCO` is ethanol |
# | `=` and `#` | a double and a triple bond | `C#N` is hydrogen cyanide |
# | parentheses | a branch | `CC(=O)O` is acetic acid |
# | the same digit twice | a bond that closes a ring | `C1CCCCC1` is cyclohexane |
# | small letters | *aromatic* atoms | `c1ccccc1` is benzene |
# | brackets | an atom with its charge, hydrogens or stereochemistry written out | `[NH4+]` is ammonium |
# | `@` and `@@` | the two hands of a stereocentre | `C[C@H](N)C(=O)O` is L-alanine |
# | `/` and `\` | which side of a double bond | `C/C=C/C` is (*E*)-but-2-ene |
# | a dot | no bond: another part of a salt or a mixture | `[Na+].[Cl-]` is table salt |
#
# *Aromatic* means here: the double bonds of the ring have no fixed place. RDKit, the chemistry library below molfm,
# recognizes this and writes small letters, also if you write alternating single and double bonds.
#
# Hydrogens are rarely written. You must count them from the valences: 4 for carbon, 3 for nitrogen, 2 for oxygen. A
# carbon in the ring of benzene uses three of its four valences for the ring.
#
# **Exercise 01.1** How many hydrogen atoms does paracetamol have? Its SMILES is `CC(=O)Nc1ccc(O)cc1`.

# %%
hydrogens = ...  # a whole number
### BEGIN SOLUTION
hydrogens = 3 + 1 + 4 + 1  # CH3, NH, four ring CH, OH
### END SOLUTION
check("01.1", hydrogens)

# %% [markdown]
# ## 3. One molecule, many SMILES
#
# You may start at any atom and walk around any ring in either direction. So `OC(=O)c1ccccc1OC(C)=O` is aspirin, too.
#
# **Exercise 01.2** Write a SMILES of paracetamol that begins with the oxygen of its OH group.

# %%
my_smiles = ...  # a text that begins with "O"
### BEGIN SOLUTION
my_smiles = "Oc1ccc(NC(C)=O)cc1"
### END SOLUTION
check("01.2", my_smiles)

# %% [markdown]
# <details><summary>Stuck? A hint</summary>
#
# Start with `Oc1`, the oxygen and the ring atom that it is bonded to. Walk around the ring. Two carbons later comes the
# carbon with the nitrogen: its branch stands in parentheses. Close the ring with a second `1`.
#
# </details>
#
# **Predict before you run.** RDKit can write a molecule in random order. If we let it do so ten thousand times, how many
# *different* texts will it find for aspirin, with its 13 atoms that are not hydrogen?

# %%
my_guess = ...  # a whole number
### BEGIN SOLUTION
my_guess = 30
### END SOLUTION

# %%
written = set(Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(aspirin), budget(10_000, fast=3_000), randomSeed=1))
print("\n".join(sorted(written)[::60]))
reveal(my_guess, len(written), "Different SMILES of aspirin")

# %% [markdown]
# All of them are correct. A table in which some people wrote aspirin one way and others another way has the same molecule
# many times, and nobody sees it.
#
# The cure is a *canonical SMILES*: an algorithm numbers the atoms by rules that do not depend on how you wrote the molecule,
# and writes the text in this order. All texts of one molecule then become one text. molfm uses it as the molecule's *key*.

# %%
{canonical_smiles(text) for text in written}

# %% [markdown]
# `canonical_smiles` returns `None` for a text that is not a molecule.
#
# **Exercise 01.3** Write a function that tells whether two SMILES are the same molecule. A text that is not a molecule
# is not the same as anything.


# %%
def same(a, b):
    """Return True if the SMILES a and b are one molecule."""
    result = ...
    ### BEGIN SOLUTION
    result = canonical_smiles(a) is not None and canonical_smiles(a) == canonical_smiles(b)
    ### END SOLUTION
    return result


check("01.3", same)

# %% [markdown]
# ## 4. The molecule as a graph
#
# A *graph* $G = (V, E)$ is a set $V$ of *nodes* and a set $E$ of *edges*, each of which connects two nodes. A molecule is a
# graph: atoms are nodes, bonds are edges. Hydrogens are usually left out as nodes. They are counted at the atom that
# they are bonded to. All other atoms are called *heavy atoms*.
#
# The same graph as a matrix: the *adjacency matrix* has $A_{ij} = 1$ if atoms $i$ and $j$ are bonded, else 0. The number of
# neighbours of atom $i$ is its *degree* $d_i = \sum_j A_{ij}$.


# %%
def numbered(smiles):
    """Draw a molecule with the number of each atom."""
    molecule = Chem.MolFromSmiles(smiles)
    for atom in molecule.GetAtoms():
        atom.SetProp("atomNote", str(atom.GetIdx()))
    return HTML(f"<div style='background:#fff;width:420px'>{draw(molecule, 420, 260)}</div>")


print(Chem.GetAdjacencyMatrix(Chem.MolFromSmiles(paracetamol)))
numbered(paracetamol)

# %% [markdown]
# Atom 1, the carbon of the C=O group, has three 1s in its row: its neighbours are the atoms 0, 2 and 3.
#
# A network needs more than who is bonded to whom. It gets *features*: some numbers $x_i$ for each atom $i$, and some numbers
# $e_{ij}$ for each bond (Duvenaud et al. 2015, [arXiv 1509.09292](https://arxiv.org/abs/1509.09292)). `featurize` makes
# them, and this table is **all** that molfm stores about the atoms of paracetamol.


# %%
def atom_table(smiles):
    """Return the features of a molecule's atoms, one row per atom."""
    return pd.DataFrame(featurize([smiles]).atoms, columns=list(ATOM_FIELDS))


atom_table(paracetamol)

# %% [markdown]
# - `element` is the atomic number. `degree` counts all neighbours, hydrogens included (unlike $d_i$ above); `hydrogens`
#   counts only them.
# - `charge` is the *formal charge* plus 7, so that no number is negative: 7 is neutral. The formal charge is the charge that
#   you write at an atom in a Lewis formula.
# - `valence` adds up the orders of all bonds, those to hydrogens included. `radicals` counts unpaired electrons.
# - `chirality` is 0 for none or unknown, 1 for *R* and 2 for *S*.
#
# These numbers are *codes*, not quantities: nitrogen (7) is not "more" than carbon (6). So a network first turns each
# code into a vector. The simplest is *one-hot*: all zeros, with a single 1 at the place of the code.
#
# Bonds have three codes each:

# %%
bonds = featurize([paracetamol]).bonds
bond_table = pd.DataFrame(BOND_CODES[bonds[:, 2]], columns=list(BOND_FIELDS))
bond_table.insert(0, "from", bonds[:, 0])
bond_table.insert(1, "to", bonds[:, 1])
bond_table["type"] = bond_table["type"].map({0: "single", 1: "double", 2: "triple", 3: "aromatic", 4: "other"})
bond_table

# %% [markdown]
# Look at the amino acid glycine in water. One atom has the charge code 8 (+1), another 6 (−1). They cancel in
# the molecule, but a network sees both.

# %%
atom_table("[NH3+]CC(=O)[O-]")

# %% [markdown]
# **The same bonds, but another molecule.** *Stereoisomers* have the same atoms and the same bonds, and differ in how these
# are arranged in space. Tobacco makes (*S*)-nicotine. Its mirror image, (*R*)-nicotine, is another molecule.
#
# **Exercise 01.4** In which columns do the atom tables of the two differ? Let Python compare them.

# %%
mirror_image = nicotine.replace("[C@H]", "[C@@H]")
columns = ...  # a list of names of columns
### BEGIN SOLUTION
differs = (atom_table(nicotine) != atom_table(mirror_image)).any()
columns = list(differs.index[differs])
### END SOLUTION
check("01.4", columns)

# %% [markdown]
# A network that does not get this column cannot tell the two apart, however large it is. Where a SMILES has no `@`, the
# arrangement is simply not stated: it may be one form, the other, or a mixture.
#
# ## 5. Eighteen thousand molecules
#
# *MiniMix*, the data that come with molfm, joins four datasets. The molecules come from three of them:
# `qm9_mini` (small molecules with computed quantum properties), `toxcast` (chemicals that were tested on cells) and `b3db`
# (mostly drugs, measured for their passage from blood into the brain). The fourth, `xtb`, has computed properties of
# molecules of `toxcast` and `b3db`. Lesson 2 looks at their labels. Today we look at the molecules.

# %%
print("opening MiniMix …")
data = molfm.load("minimix")
data.molecules

# %% alt="Histograms of the number of heavy atoms per molecule in three datasets. QM9-mini ends at 9 atoms. ToxCast has its middle at 15 atoms and reaches 40. B3DB has its middle at 26 and reaches beyond 60." slide="A dataset's molecules have their own sizes: at most 9 heavy atoms in QM9-mini, typically 15 in ToxCast and 26 in B3DB"
import plotly.express as px

from molfm.plots.style import DOMAIN_COLORS, SERIES_COLORS

domain = {"qm9_mini": "quantum", "toxcast": "biological", "b3db": "biological"}
parts = []
for dataset in domain:
    inside = data.molecules[f"split:{dataset}"].notna()
    parts.append(pd.DataFrame({"heavy atoms": data.sizes("node")[inside], "dataset": dataset}))
sizes = pd.concat(parts)
sizes["labels"] = sizes.dataset.map(domain)
print(sizes.groupby("dataset")["heavy atoms"].describe(percentiles=[0.5])[["count", "50%", "max"]].astype(int))
figure = px.histogram(
    sizes[sizes["heavy atoms"] <= 60],
    x="heavy atoms",
    facet_row="dataset",
    color="labels",
    color_discrete_map=DOMAIN_COLORS,
    histnorm="percent",
    nbins=60,
    template="plotly_white",
    height=480,
)
figure.for_each_annotation(lambda label: label.update(text=label.text.removeprefix("dataset=")))
figure.update_xaxes(title="heavy atoms per molecule", row=1)
figure.update_yaxes(title="", matches=None).update_yaxes(title="% of molecules", row=2)

# %% [markdown]
# The network of this course must learn from molecules of all these sizes at once. A graph makes this easy: the same rules apply
# to each atom, whether there are 5 or 50 of them.
#
# **Look for yourself.** Type a name into the search field of the browser, such as *caffeine*. Then search for a
# *substructure*, a piece of a molecule: `c1ccncc1` is the six-membered ring of nicotine. Such patterns are written in
# *SMARTS*, an extension of SMILES. For example, `[#16]` stands for any atom with the atomic number 16, which is sulfur.
# Click on a molecule for details and for its shape. (Without a running kernel you see a small preview.)

# %%
from molfm.widgets import Molecule3D, MoleculeBrowser

print("opening the browser …")
MoleculeBrowser(data)

# %% [markdown]
# **Exercise 01.5** What share of MiniMix's molecules contains sulfur? Use the browser's search, or write code.

# %%
share = ...  # between 0 and 1
### BEGIN SOLUTION
share = 2532 / len(data)  # the number of hits for [#16]
### END SOLUTION
check("01.5", share, data)

# %% [markdown]
# <details><summary>Stuck? A hint</summary>
#
# The browser shows the number of hits, as "… of 18,295 molecules". In code, ask RDKit instead of looking for the letter S in the text:
# `Chem.MolFromSmiles(smiles).HasSubstructMatch(Chem.MolFromSmarts("[#16]"))`.
#
# </details>
#
# ## 6. What the graph does not know: shape
#
# A molecule is not flat, and it moves. A *conformer* is one of its shapes: all bonds stay, but parts are turned around single
# bonds. Turn this conformer of aspirin with the mouse.

# %%
Molecule3D(aspirin)

# %% [markdown]
# RDKit can propose conformers with the method ETKDG (Riniker and Landrum 2015,
# [doi 10.1021/acs.jcim.5b00654](https://doi.org/10.1021/acs.jcim.5b00654)). We make twenty for aspirin, and measure two distances
# in each: from the CH₃ carbon (atom 0) to the carbon next to it, and to the oxygen of the acid's OH (atom 12).

# %%
molecule = Chem.AddHs(Chem.MolFromSmiles(aspirin))
rdDistGeom.EmbedMultipleConfs(molecule, 20, randomSeed=7)
rows = []
for conformer in molecule.GetConformers():
    place = conformer.GetPositions()  # (atoms, 3), in Å
    rows.append(("CH₃ to its neighbour", np.linalg.norm(place[0] - place[1])))
    rows.append(("CH₃ to the acid's OH", np.linalg.norm(place[0] - place[12])))
distances = pd.DataFrame(rows, columns=["pair of atoms", "distance (Å)"])
distances.groupby("pair of atoms").agg(["min", "max"]).round(2)

# %% alt="Distances in twenty conformers of aspirin. Between bonded atoms it is always 1.5 Å. Between the methyl carbon and the acid's OH it is near 3.7 Å in some conformers and near 5.9 Å in the others."
figure = px.strip(distances, x="distance (Å)", y="pair of atoms", range_x=[0, 7], template="plotly_white", height=260)
figure.update_traces(marker_color=SERIES_COLORS[0])

# %% [markdown]
# The bond has nearly the same length in all twenty. The distance between atoms that are many bonds apart depends on the
# conformer. The graph is the same for all of them, so a network that reads only the graph gives **one** answer for all.
# This is often enough: a bottle of aspirin contains all conformers, and a measurement averages over them. Where a
# property belongs to one geometry, as in quantum chemistry, the graph leaves something out.
#
# ## 7. Traps in tables of molecules
#
# Here is a small table, as you may get it from a laboratory.

# %%
mine = pd.DataFrame(
    [
        ("aspirin", "CC(=O)Oc1ccccc1C(=O)O", 0),
        ("acetylsalicylic acid", "OC(=O)c1ccccc1OC(C)=O", 1),
        ("(S)-nicotine", "CN1CCC[C@H]1c1cccnc1", 1),
        ("(R)-nicotine", "CN1CCC[C@@H]1c1cccnc1", 1),
        ("diphenhydramine", "CN(C)CCOC(c1ccccc1)c1ccccc1", 1),
        ("diphenhydramine hydrochloride", "CN(C)CCOC(c1ccccc1)c1ccccc1.Cl", 0),
        ("2-hydroxypyridine", "Oc1ccccn1", 0),
        ("2-pyridone", "O=c1cccc[nH]1", 0),
        ("neopentane with a mistake", "CC(C)(C)(C)C", 0),
        ("benzoic acid, half of it", "c1ccccc1C(=O", 1),
        ("a compound that is not published", "restricted", 1),
    ],
    columns=["name", "smiles", "active"],
)
mine

# %% [markdown]
# - The first two rows are one substance, with contradicting labels.
# - A *salt* contains the drug, but not only the drug. Diphenhydramine, a drug against allergies, is sold as its hydrochloride.
#   Which of the two was tested?
# - *Tautomers* differ by the place of a hydrogen and of double bonds, and turn into each other. 2-hydroxypyridine and 2-pyridone
#   are in one bottle, whatever the label says.
# - The last three texts are not molecules. One of them has a carbon with five bonds.
#
# molfm makes no secret decisions here. It stores one molecule per canonical SMILES, rejects what RDKit cannot read, and
# changes nothing else.
#
# **Exercise 01.6** How many molecules will molfm store from these 11 rows? Decide before you run the next cell.

# %%
stored = ...  # a whole number
### BEGIN SOLUTION
stored = mine.smiles.map(canonical_smiles).nunique()
### END SOLUTION
check("01.6", stored, mine.smiles)

# %% [markdown]
# The *audit* of a table lists what was found. A *constitution* is what remains of a molecule when stereochemistry, charge and the
# other parts of a salt are taken away: who is bonded to whom.

# %%
own = molfm.load(mine, tasks={"active": {"kind": "binary"}})
own.audit()

# %% [markdown]
# The audit found the rejected rows, the molecule in two rows, its contradicting labels, and the two groups that share a
# constitution: the two nicotines, and diphenhydramine with its salt. It did **not** find the tautomers: their bonds differ, so
# for the graph they are different molecules. A program cannot decide everything for you. Look at your molecules.

# %%
progress("01")

# %% [markdown]
# ## Discussion
#
# 1. Canonical SMILES is a good key for one program. What may go wrong if two groups use canonical SMILES of two different programs?
# 2. A colleague deletes all `@` from a table "because the network is simpler then". For which properties would you object, and
#    for which not?
# 3. Should diphenhydramine and its hydrochloride share one label? Think of a test on cells in water, and of a melting point.
#
# ## Quiz
#
# Click on an answer to see whether it is right, and why.
#
# **1. How many heavy atoms does `CC(=O)O`, acetic acid, have?**
# <details><summary>3</summary>Every capital letter is an atom, in parentheses too. Count again.</details>
# <details><summary>4</summary>Right. Two carbons and two oxygens; hydrogens do not count as heavy atoms.</details>
# <details><summary>8</summary>This counts the four hydrogens, too. Heavy atoms are all atoms except hydrogen.</details>
#
# **2. Why does molfm use canonical SMILES as the key of a molecule?**
# <details><summary>They are shorter than other SMILES.</summary>Their length is about the same. Think of what happens if a molecule stands in two tables.</details>
# <details><summary>They contain the three-dimensional shape.</summary>They contain stereochemistry if it was stated, but no coordinates.</details>
# <details><summary>However you write the molecule, the text is the same.</summary>Right. So the labels of several datasets meet at the same molecule.</details>
#
# **3. A network sees only the graph. It predicts a property for two conformers of one molecule. The predictions are …**
# <details><summary>… equal.</summary>Right. Both have the same atoms and bonds, so the network gets the same input twice.</details>
# <details><summary>… different, because the distances differ.</summary>The distances do differ, but they are not among the features of the graph.</details>
# <details><summary>… different, because each training has another random seed.</summary>The question is about one trained network. Which inputs does it get?</details>
#
# **4. Carbon has the code 6 and nitrogen the code 7. Why does a network not use these numbers as they are?**
# <details><summary>Networks cannot handle numbers above 1.</summary>They can. But the size of the number would have to mean something.</details>
# <details><summary>The codes name elements. Their difference has no meaning as a quantity.</summary>Right. One-hot vectors or learned vectors give each element its own place.</details>
# <details><summary>Atomic numbers are only known for some atoms.</summary>Every element has an atomic number.</details>
#
# **5. `Oc1ccccn1` and `O=c1cccc[nH]1` are tautomers. For molfm they are …**
# <details><summary>… one molecule, because they turn into each other.</summary>In the bottle, yes. But their graphs differ, and molfm compares graphs.</details>
# <details><summary>… two molecules, because their bonds differ.</summary>Right. If you want one key for both, you must standardize tautomers before you load the table.</details>
# <details><summary>… invalid, because a hydrogen moves.</summary>Both are valid SMILES of neutral molecules.</details>
#
# ## Further reading
#
# - Weininger 1988, *SMILES, a chemical language and information system*, [doi 10.1021/ci00057a005](https://doi.org/10.1021/ci00057a005)
# - Duvenaud et al. 2015, *Convolutional networks on graphs for learning molecular fingerprints*, [arXiv 1509.09292](https://arxiv.org/abs/1509.09292)
# - Bjerrum 2017, *SMILES enumeration as data augmentation for neural network modeling of molecules*, [arXiv 1703.07076](https://arxiv.org/abs/1703.07076)
# - Krenn et al. 2020, *SELFIES: a robust representation of semantically constrained graphs*, [arXiv 1905.13741](https://arxiv.org/abs/1905.13741)
