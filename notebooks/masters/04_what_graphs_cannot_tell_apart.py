# %% [markdown]
# # 4. What graph networks cannot tell apart
#
# **Goals.** After this lesson you can
#
# - refine the colours of atoms by hand, and predict from them which molecules a graph network confuses,
# - say what a sum, a mean and a maximum over neighbours lose,
# - explain what positional encodings add, and what they do not add,
# - test whether an encoding helps a trained network, instead of assuming it.
#
# **You need** lesson 3 (messages, layers, sum over neighbours) and Python. **Time:** about 65 minutes; the cells run for
# about three.

# %% [markdown]
# ## 1. An early success: two molecules that confuse a network
#
# *Decalin* is a solvent: two rings of six carbons that share a bond. *Bicyclopentyl* has two rings of five carbons, joined by
# a bond. Both are C₁₀H₁₈. You see the difference at once.

# %%
import numpy as np
import pandas as pd
import plotly.express as px
from IPython.display import HTML
from rdkit import Chem

from molfm.chem.drawing import atom_values, molecule_grid
from molfm.lessons import budget, check, progress, reveal

decalin, bicyclopentyl = "C1CCC2CCCCC2C1", "C1CCC(C1)C1CCCC1"
HTML(molecule_grid([decalin, bicyclopentyl], ["decalin", "bicyclopentyl"]))

# %% [markdown]
# A network of lesson 3 starts with the element of each atom: here, all of them are carbon. After one round of messages,
# an atom also knows how many neighbours it has. After two rounds, it knows how many neighbours its neighbours have.
#
# **Exercise 04.1** Do it on paper for decalin. Give all carbons the same colour. In each round, give two atoms different
# colours if their own colours differ, or if their neighbours' colours differ. How many colours are there when nothing
# changes any more?

# %%
colors_of_decalin = ...  # a whole number
### BEGIN SOLUTION
colors_of_decalin = 3
### END SOLUTION
check("04.1", colors_of_decalin)

# %% [markdown]
# <details><summary>Stuck? A hint</summary>
#
# Round 1 separates the CH (three neighbours) from the CH₂ (two neighbours). In round 2, look at each CH₂: does it have a CH
# beside it?
#
# </details>
#
# Now both molecules, coloured with the same rules. Each number is a colour.

# %%
from molfm.lessons.playground import compare

compare(decalin, bicyclopentyl, rounds=8)

# %% [markdown]
# Every colour occurs equally often in both molecules, and a thousand more rounds would not change that. **A network that
# passes messages and knows only elements gives both molecules exactly the same prediction,** however long you train it.
#
# ## 2. Colour refinement, in a few lines
#
# What you did on paper is the *Weisfeiler-Leman test* (WL, from 1968), also called *colour refinement*. Atom $i$ has
# the colour $c_i^{(t)}$ after round $t$:
#
# $$c_i^{(t+1)} = \mathrm{new}\Big(c_i^{(t)},\; \{\!\!\{\, c_j^{(t)} : j \in N(i) \,\}\!\!\}\Big)$$
#
# - $N(i)$ are the neighbours of atom $i$.
# - The double braces are a *multiset*: a set that also counts how often each element occurs. Order does not matter.
# - $\mathrm{new}$ gives a new colour to each new combination, and the same colour to the same combination.
#
# A message-passing layer has the same form: own state, then a function of the neighbours' states that ignores their
# order. So a layer can never separate two atoms that WL leaves equal. Xu et al. (2019,
# [arXiv 1810.00826](https://arxiv.org/abs/1810.00826)) and Morris et al. (2019,
# [arXiv 1810.02244](https://arxiv.org/abs/1810.02244)) proved it, and also that GIN, the layer of lesson 3, can separate
# everything that WL separates.
#
# **Exercise 04.2** Write one round. An atom's *signature* is its own colour together with the multiset of its neighbours'
# colours. In Python, a sorted tuple is a good multiset.


# %%
def one_round(colors, neighbours):
    """Return the new colours. colors[i] is the colour of atom i, neighbours[i] the list of its neighbours."""
    signatures = ...  # one signature per atom
    ### BEGIN SOLUTION
    signatures = [(colors[i], tuple(sorted(colors[j] for j in neighbours[i]))) for i in range(len(colors))]
    ### END SOLUTION
    if signatures is ...:
        return ...
    known = sorted(set(signatures))
    return [known.index(signature) for signature in signatures]


check("04.2", one_round)

# %% [markdown]
# <details><summary>Stuck? A hint</summary>
#
# The signature of atom `i` is a pair. Its first part is `colors[i]`. Its second part is
# `tuple(sorted(colors[j] for j in neighbours[i]))`.
#
# </details>
#
# ## 3. The same with a real network
#
# Is it only theory? Take molfm's network with random weights. If two molecules get different vectors, such a network *can*
# separate them. If random weights give equal vectors, all weights do (except by an unlikely accident). The *embedding* of
# a molecule is the vector that the network makes of it before the last step.
#
# The network usually gets *positional encodings*, which section 8 explains. We switch them off with an encoder of our own.

# %%
from molfm.nn.config import ModelConfig
from molfm.nn.encoders import ENCODERS, CodeEncoder
from molfm.nn.multitask import MultiTaskModel


class WithoutPositions(CodeEncoder):
    """molfm's usual encoder, without the positional encoding."""

    encodings = ()

    def __init__(self, channels, with_bonds):
        super().__init__(channels, with_bonds)
        del self.of_walk

    def forward(self, batch):
        return self.of_atoms(batch.x), self.bond_vectors(batch.edge_attr)


ENCODERS["without positions"] = WithoutPositions  # now molfm knows it by this name
data = molfm.load("minimix")
print(data)

# %% [markdown]
# Now the embeddings of both molecules of a pair, and the largest difference between their numbers. `gin` is the layer of lesson 3; `gine`
# also reads the bonds.


# %%


def difference(one, other, **settings):
    """Return the largest difference between the embeddings of two molecules, by a network with random weights."""
    network = MultiTaskModel(ModelConfig(**settings), data.select("logBB").tasks, seed=0)
    vectors = np.asarray(network.embed([one, other], progress=False))
    return float(np.abs(vectors[0] - vectors[1]).max())


cubane, cuneane = "C12C3C4C1C5C2C3C45", "C12C3C4C1C5C3C2C45"
rows = []
for name, pair in {"decalin, bicyclopentyl": (decalin, bicyclopentyl), "cubane, cuneane": (cubane, cuneane)}.items():
    rows.append(
        {
            "pair": name,
            "gin": difference(*pair, layer="gin", encoder="without positions"),
            "gine": difference(*pair, layer="gine", encoder="without positions"),
            "gine with positions": difference(*pair, layer="gine"),
        }
    )
pd.DataFrame(rows).round(4)

# %% [markdown]
# - `gin` ignores bonds. It makes the same vector for decalin and for bicyclopentyl: the difference is zero up to
#   rounding.
# - `gine` also knows of each bond whether it lies in a ring. The bond between the two rings of bicyclopentyl does not,
#   so this one feature separates the pair. **A hand-made feature can replace expressive power** (which molecules a kind
#   of network can tell apart at all).
# - *Cubane* and *cuneane* are both C₈H₈. In both, every atom is a CH with three ring bonds. No feature of a single atom
#   or bond helps.
#
# Look at them: with one colour for all atoms, nothing is left to refine.

# %%
compare(cubane, cuneane, rounds=8, knows="all features, without R and S")

# %% [markdown]
# ## 4. Sum, mean, maximum
#
# WL keeps the whole multiset of neighbours. A network must squeeze it into one vector. Three ways are common. Here are
# four neighbourhoods, each atom with one number (C = 1, O = 2):

# %%
neighbourhoods = {
    "C": [1.0],
    "C C": [1.0, 1.0],
    "C O": [1.0, 2.0],
    "C O O": [1.0, 2.0, 2.0],
    "C C O O": [1.0, 1.0, 2.0, 2.0],
}
table = {name: (sum(x), np.mean(x), max(x)) for name, x in neighbourhoods.items()}
pd.DataFrame(table, index=["sum", "mean", "maximum"]).T.round(2)

# %% [markdown]
# The mean forgets how many neighbours there are: it keeps only shares. The maximum also forgets the shares: it keeps only
# which kinds occur.
#
# **Exercise 04.3** Which of these pairs of neighbourhoods can the mean tell apart, but not the maximum? Answer
# `"A"` (C and C C), `"B"` (C O and C O O) or `"C"` (C O and C C O O).

# %%
pair = ...
### BEGIN SOLUTION
pair = "B"
### END SOLUTION
check("04.3", pair)

# %% [markdown]
# The same question returns at the end of the network, where the vectors of all atoms become one vector: *pooling*.
# Cyclopropane and cyclohexane are rings of CH₂ only, so all their atoms have one colour. Only the *number* of atoms
# differs.

# %%
cyclopropane, cyclohexane = "C1CC1", "C1CCCCC1"
for pooling in ("sum", "mean", "max"):
    found = difference(cyclopropane, cyclohexane, pooling=pooling, encoder="without positions")
    print(f"pooling {pooling:>4}: difference {found:.4f}")

# %% [markdown]
# With mean or maximum, cyclopropane (a gas, once an anaesthetic) and cyclohexane (a solvent) are the same to the
# network. molfm pools with `sum+mean`. It keeps the mean as well, because many properties do not grow with the size of
# the molecule.
#
# ## 5. The playground
#
# Choose a pair, or type two SMILES, and move the slider. Also change what the network knows. (Without a running kernel you see
# one state only.)

# %%
from molfm.lessons.playground import Playground

Playground(decalin, bicyclopentyl, rounds=3)

# %% [markdown]
# **Exercise 04.4** Naphthalene (white) and azulene (deep blue) are both C₁₀H₈. The network knows only elements. How many rounds
# does it need to tell them apart? Find out in the playground, or with `compare`.

# %%
rounds = ...  # the smallest number of rounds
### BEGIN SOLUTION
rounds = 3
### END SOLUTION
check("04.4", rounds)

# %% [markdown]
# ## 6. How often does it happen?
#
# **Predict before you run.** MiniMix has 18,295 different molecules. Suppose a network knows the elements and who is
# bonded to whom, nothing else. What percentage of the molecules share their colours with another molecule?

# %%
my_guess = ...  # percent
### BEGIN SOLUTION
my_guess = 5
### END SOLUTION

# %%
from molfm.chem.featurize import ATOM_FIELDS, BOND_FIELDS
from molfm.lessons.playground import molecule_colors

plain_atoms = [name for name in ATOM_FIELDS if name != "chirality"]
knowledge = {
    "elements": {},
    "+ bond types": {"bonds": ["type"]},
    "+ hydrogens, charges, rings": {"atoms": plain_atoms, "bonds": ["type", "in_ring"]},
    "+ R, S, E, Z": {"atoms": list(ATOM_FIELDS), "bonds": list(BOND_FIELDS)},
    "+ random walks": {"atoms": list(ATOM_FIELDS), "bonds": list(BOND_FIELDS), "walk": True},
}
colors, other_bonds = {}, {}
for name, what in knowledge.items():
    color = pd.Series(molecule_colors(data, **what))
    # Molecules with the same bonds have the same constitution. Does one colour cover several constitutions?
    constitutions = pd.DataFrame({"color": color, "constitution": data.constitution}).drop_duplicates()
    colors[name], other_bonds[name] = color, color.isin(constitutions.color[constitutions.color.duplicated()])
    print(f"{name}: {color.nunique():,} different colourings")

shared = {name: 100 * color.duplicated(keep=False).mean() for name, color in colors.items()}
reveal(my_guess, round(shared["elements"]), "molecules that share their colours with another", "%")

# %% [markdown]
# So many? Two different things hide in this number. Some pairs have other bonds: they are *constitutional isomers*, or differ in the
# number of hydrogens. Others have the same bonds and differ only in space: *stereoisomers*. We count the first kind
# separately.

# %% alt="Bars of the share of MiniMix's molecules that share their colours with another molecule, for five levels of knowledge: elements 41%, plus bond types 32%, plus hydrogens, charges and rings 32%, plus R, S, E, Z 0.13%, plus random walks 0.09%. The shares with a molecule that has other bonds are 14%, 0.5%, 0.03%, 0.03% and 0%." slide="What a graph network confuses is mostly stereoisomers: share of 18,295 molecules with the same colours as another"
rows = []
for name in colors:
    rows.append((name, "any other molecule", shared[name]))
    rows.append((name, "one that has other bonds", 100 * other_bonds[name].mean()))
confused = pd.DataFrame(rows, columns=["the network knows", "shared with", "molecules, %"])
numbers = [f"{value:.2g}" for value in confused["molecules, %"]]
figure = px.bar(confused, x="the network knows", y="molecules, %", color="shared with", barmode="group", text=numbers)
figure.update_traces(textposition="outside")
figure.update_layout(legend={"x": 0.99, "xanchor": "right", "y": 0.98}, yaxis_range=[0, 46])

# %% [markdown]
# - Bond types and hydrogens separate nearly all pairs with other bonds. The elegant cases of section 1 are *rare* among
#   real molecules.
# - Nearly all the remaining pairs are stereoisomers. Four codes (R, S, E, Z) separate nearly all of them.
# - Random walks, the positional encoding of section 8, separate the last few pairs with other bonds.
#
# Here are all of these last pairs:

# %%
cages = data.molecules.smiles[other_bonds["+ R, S, E, Z"]]
cages = cages.groupby(colors["+ R, S, E, Z"]).apply(list).explode()  # pairs side by side
HTML(molecule_grid(cages, cages))

# %% [markdown]
# They are small cages, designed by a computer for the collection QM9. And what remains even with random walks?

# %%
rest = colors["+ random walks"]
for _, group in data.molecules.smiles[rest.duplicated(keep=False)].groupby(rest):
    print(" | ".join(group))

# %% [markdown]
# Three kinds remain, and no encoding of the graph can separate them:
#
# - *Isotopes*: `[18F]` marks a radioactive tracer for medical imaging. The features do not contain the isotope.
# - *cis and trans on a ring*, such as the four forms of hexachlorocyclohexane in the last line. One of them is the
#   insecticide lindane. These atoms have no R or S.
# - A molecule of this kind with its stereochemistry written out, and the same molecule without it.
#
# ## 7. Hands: the two carvones
#
# R-carvone smells of spearmint, S-carvone of caraway. They are mirror images, with the same atoms, bonds and distances.

# %%
r_carvone, s_carvone = "C=C(C)[C@@H]1CC=C(C)C(=O)C1", "C=C(C)[C@H]1CC=C(C)C(=O)C1"
print("with R and S:   ", round(difference(r_carvone, s_carvone), 4))
print("without R and S:", round(difference(r_carvone.replace("@", ""), s_carvone.replace("@", "")), 4))
compare(r_carvone, s_carvone, rounds=8, knows="all features, without R and S")

# %% [markdown]
# Only the code R or S separates them. A network must learn from examples what R and S mean at each place.
#
# **Look it up.** Is there a reason to separate them in ToxCast? Type `carvone` into the search field of the browser, open the
# results, and compare their labels. Then try `limonene` and `thalidomide`. (Without a running kernel you see a small preview.)

# %%
from molfm.widgets import MoleculeBrowser

MoleculeBrowser(data)

# %% [markdown]
# ## 8. Positional encodings
#
# A *positional encoding* is a list of numbers that tells each atom where it sits in the graph, before the first layer. Two kinds are common.
#
# **Random walks** (Dwivedi et al. 2021, [arXiv 2110.07875](https://arxiv.org/abs/2110.07875)). Start at atom $i$. In
# each step, walk along a randomly chosen bond. The encoding is the list of probabilities of being back at atom $i$
# after $k$ = 1, 2, 3 … steps:
#
# $$p_i^{(k)} = \big[(D^{-1} A)^k\big]_{ii}$$
#
# $A$ is the *adjacency matrix* (1 where two atoms are bonded), $D$ the diagonal matrix with each atom's number of neighbours.
#
# **Exercise 04.5** A walk starts at an atom of cyclopropane, a ring of three. What is the probability that it is back
# there after exactly three steps? (It may have been back before.)

# %%
back = ...  # between 0 and 1
### BEGIN SOLUTION
back = 2 / 8
### END SOLUTION
check("04.5", back)

# %% [markdown]
# <details><summary>Stuck? A hint</summary>
#
# Each step goes left or right, so there are 2 · 2 · 2 equally likely walks. Which of them end where they began?
#
# </details>
#
# In molecules, an odd number of steps brings you back only around an odd ring. Compare decalin (six-membered rings) with
# bicyclopentyl (five-membered rings):


# %% alt="Probability of being back against the number of steps, averaged over atoms. Decalin, dots: zero at every odd number of steps. Bicyclopentyl, diamonds: above zero at 5, 7, 9 and later odd numbers of steps."
def adjacency(smiles):
    return Chem.GetAdjacencyMatrix(Chem.MolFromSmiles(smiles)).astype(float)


def walk_home(smiles, steps=12):
    """Return the probability of being back after 1 … steps steps, one row per atom."""
    a = adjacency(smiles)
    step = a / a.sum(1, keepdims=True)  # D⁻¹ A
    return np.stack([np.linalg.matrix_power(step, k).diagonal() for k in range(1, steps + 1)], axis=1)


rows = [
    {"molecule": name, "steps": k + 1, "probability of return": p}
    for name, smiles in (("decalin", decalin), ("bicyclopentyl", bicyclopentyl))
    for k, p in enumerate(walk_home(smiles).mean(0))
]
px.line(pd.DataFrame(rows), x="steps", y="probability of return", color="molecule", symbol="molecule", markers=True)

# %% [markdown]
# The encoding shows the difference in ring sizes, which messages alone could not find. molfm's own function gives the
# same numbers, for thousands of molecules at once: `molfm.chem.encodings.random_walk`.
#
# **Laplacian eigenvectors** (Dwivedi et al. 2020, [arXiv 2003.00982](https://arxiv.org/abs/2003.00982)) are the second
# kind. The *graph Laplacian* is $L = D - A$. Its eigenvectors, the vectors $v$ with $L v = \lambda v$, are like the
# vibrations of a string: the first is constant, the second divides the molecule into a positive and a negative part,
# and later ones change sign more often.

# %%
naphthalene = "c1ccc2ccccc2c1"
a = adjacency(naphthalene)
values, vectors = np.linalg.eigh(np.diag(a.sum(1)) - a)  # ascending eigenvalues
second = vectors[:, 1]
HTML(atom_values(naphthalene, second, "second eigenvector") + atom_values(naphthalene, -second, "the same, times −1"))

# %% [markdown]
# Both pictures are right. If $v$ is an eigenvector, so is $-v$: the sign is a choice of the computer, not of the
# molecule. A network must not learn from it. molfm therefore flips the sign of each eigenvector at random in every training
# step (`molfm.nn.encoders.LaplacianEncoder`). Random walks have no such problem, so they are molfm's default. GPS (Rampášek et al.
# 2022, [arXiv 2205.12454](https://arxiv.org/abs/2205.12454)) compares many encodings.
#
# ## 9. Does a trained network need them?
#
# An encoding makes it *possible* to separate molecules. Whether it helps to learn a property is a question for an
# experiment. We train small networks with and without random walks on two tasks of the same molecules:
#
# - `rings_of_five`: the number of five-membered rings, counted by RDKit. Here we know that ring sizes matter.
# - `gap`: the energy between the highest occupied and the lowest empty orbital, from QM9, in hartree (the atomic unit
#   of energy, 27.2 eV).


# %%
def rings_of_five(smiles):
    molecule = Chem.MolFromSmiles(smiles)
    return float(sum(len(ring) == 5 for ring in molecule.GetRingInfo().AtomRings()))


gap = data.labels("qm9_mini/gap").dropna()[::2]  # every second molecule is enough for today
table = pd.DataFrame({"smiles": data.molecules.smiles[gap.index], "gap": gap})
table["rings_of_five"] = table.smiles.map(rings_of_five)
kinds = {"rings_of_five": {"kind": "regression"}, "gap": {"kind": "regression", "unit": "hartree"}}
own = molfm.load(table, tasks=kinds, split="scaffold")
own.tasks[["task", "n_train", "n_test", "mean", "std"]].round(3)

# %% [markdown]
# `codes` is molfm's usual encoder, with random walks. Three seeds per setting show how much chance alone changes.

# %%
rows = []
for task in ("rings_of_five", "gap"):
    for encoder in ("without positions", "codes"):
        for seed in range(budget(3, fast=2)):
            settings = {"steps": budget(150, fast=3), "hidden_channels": 48, "num_layers": 3, "learning_rate": 3e-3}
            run = molfm.train(own, tasks=[task], encoder=encoder, seed=seed, progress=False, **settings)
            score = run.results.query("split == 'test' and metric == 'r2'").value.item()
            rows.append({"task": task, "encoder": encoder, "seed": seed, "R² on test": score})
            print(f"{task}, {encoder}, seed {seed}: R² = {score:.3f}")
trained = pd.DataFrame(rows)

# %% alt="R² on test molecules of new scaffolds, one point per seed, with and without random walks. For the number of five-membered rings the points with random walks lie far above those without. For the gap they lie at the same height."
n_train = int(own.tasks.n_train.iloc[0])
title = f"{n_train:,} training labels per task, 3 seeds"
figure = px.strip(trained, x="task", y="R² on test", color="encoder", title=title)
figure.update_traces(marker_size=10)

# %% [markdown]
# **Exercise 04.6** For which of the two tasks is *every* run with random walks better than *every* run without? Give a
# list of names; an empty list is possible. Use the table `trained`.

# %%
helped = ...  # such as ["gap"]
### BEGIN SOLUTION
scores = trained.groupby(["task", "encoder"])["R² on test"]
lowest, highest = scores.min().unstack(), scores.max().unstack()
helped = list(lowest.index[lowest["codes"] > highest["without positions"]])
### END SOLUTION
check("04.6", helped, trained)

# %% [markdown]
# Both networks *can* separate nearly all of these molecules, as section 6 showed. Random walks still help with rings,
# because they give ring sizes directly, while messages need many layers to guess them. For the gap of these small
# molecules, there is no visible difference. **Whether an encoding helps depends on the task. Measure it.**

# %%
progress("04")

# %% [markdown]
# ## Discussion
#
# 1. Section 3 separated decalin from bicyclopentyl with a feature ("this bond is in a ring"), section 8 with an
#    encoding. When would you write a feature, and when would you use an encoding?
# 2. The embeddings of R- and S-carvone differ because atoms carry the codes R and S. Why is that a weak way to teach a network
#    about space? Think of a molecule in which only a distant substituent changes, so that R becomes S.
# 3. Stereoisomers make up most of the confused molecules. For which properties would you not care?
#
# ## Quiz
#
# Click on an answer to see whether it is right, and why.
#
# **1. Two molecules have the same WL colours after every round. What can message passing without encodings do?**
# <details><summary>Separate them with enough layers.</summary>No. More layers are more rounds, and no round separates them.</details>
# <details><summary>Separate them with enough training data.</summary>No. Both molecules get the same prediction, whatever the weights are.</details>
# <details><summary>Nothing: both always get the same prediction.</summary>Right. Training changes weights, not what a layer can see.</details>
#
# **2. Which aggregation cannot tell one carbon neighbour from two?**
# <details><summary>Mean and maximum.</summary>Right. Both give the carbon's own value, however many there are.</details>
# <details><summary>Only the mean.</summary>The maximum of two equal numbers is that number, too.</details>
# <details><summary>The sum.</summary>The sum doubles, so it can.</details>
#
# **3. Which numbers does a random-walk encoding contain?**
# <details><summary>The coordinates of the atom.</summary>No. It comes from the graph alone; no 3D structure is needed.</details>
# <details><summary>The probabilities of being back after 1, 2, 3 … steps.</summary>Right. An odd number of steps reveals odd rings.</details>
# <details><summary>The path of one random walk, drawn anew each time.</summary>No. The probabilities are computed exactly, with powers of a matrix.</details>
#
# **4. Why are signs of Laplacian eigenvectors flipped in training?**
# <details><summary>To have more training data.</summary>It is a welcome effect, but not the reason.</details>
# <details><summary>Because negative numbers harm the network.</summary>Networks handle negative numbers well.</details>
# <details><summary>Because the sign is arbitrary, and the network must not rely on it.</summary>Right. With v, −v is an eigenvector for the same eigenvalue.</details>
#
# **5. In MiniMix, how do most molecules with equal colours differ from each other?**
# <details><summary>Their stereochemistry.</summary>Right. Without the codes R, S, E and Z, about a third of the molecules have a stereoisomer with the same colours.</details>
# <details><summary>Their rings, like decalin and bicyclopentyl.</summary>Such pairs exist, but they are rare: six molecules once the usual features are known.</details>
# <details><summary>Their isotopes.</summary>Only a few radioactive tracers do.</details>
#
# ## Further reading
#
# - Xu et al. 2019, *How powerful are graph neural networks?*, [arXiv 1810.00826](https://arxiv.org/abs/1810.00826)
# - Morris et al. 2019, *Weisfeiler and Leman go neural*, [arXiv 1810.02244](https://arxiv.org/abs/1810.02244)
# - Dwivedi et al. 2021, *Graph neural networks with learnable structural and positional representations*, [arXiv 2110.07875](https://arxiv.org/abs/2110.07875)
# - Rampášek et al. 2022, *Recipe for a general, powerful, scalable graph transformer*, [arXiv 2205.12454](https://arxiv.org/abs/2205.12454)
