# %% [markdown]
# # 3. Message passing from scratch: a graph network in thirty lines
#
# **Goals.** After this lesson you can
#
# - explain what a *message*, an *aggregation* and an *update* are, and compute one round of messages by hand,
# - write a graph neural network in thirty lines of PyTorch and train it on real molecules,
# - say how far information travels in a network of $k$ layers,
# - recognize your own code in the layers of PyTorch Geometric and of molfm.
#
# **You need** lesson 1 (molecules as graphs), Python, and the idea of a matrix product. **Time:** about 60 minutes; the
# cells run for less than two.

# %% [markdown]
# ## 1. An early success: one round of messages, by hand
#
# Ethanol, the alcohol of wine, has the SMILES `CCO`: three heavy atoms in a row. (Chemists call every atom except hydrogen
# a *heavy atom*.) Give each atom one number, here its electronegativity on Pauling's scale: how strongly it pulls electrons.

# %%
import numpy as np
import pandas as pd
import torch
from IPython.display import HTML
from rdkit import Chem

from molfm.chem.drawing import atom_values
from molfm.lessons import budget, check, progress, reveal

ELECTRONEGATIVITY = {"C": 2.55, "N": 3.04, "O": 3.44, "F": 3.98, "P": 2.19, "S": 2.58, "Cl": 3.16, "Br": 2.96}
ethanol = Chem.MolFromSmiles("CCO")
x = torch.tensor([ELECTRONEGATIVITY[atom.GetSymbol()] for atom in ethanol.GetAtoms()])  # one number per atom
x

# %% [markdown]
# In one *round of messages*, every atom sends its number along its bonds, and every atom adds up what arrives. What is
# sent is called the **message**, and adding up is the **aggregation**. The first carbon has one neighbour, so it
# receives 2.55. The middle carbon has two.
#
# **Exercise 03.1** Which number does the middle carbon receive? Compute it in your head or on paper.

# %%
received = ...  # the sum of the numbers of its two neighbours
### BEGIN SOLUTION
received = 2.55 + 3.44
### END SOLUTION
check("03.1", received)

# %% [markdown]
# After one round, the two carbons of ethanol differ: one has received 2.55, the other 5.99. Before, both were just "carbon".
# That is the whole trick: **messages tell an atom where in the molecule it is.**
#
# ## 2. The theory in one equation
#
# Atom $i$ has a vector of numbers $h_i$, its *state*. Each number of the vector is called a *channel*. $N(i)$ are the
# neighbours of atom $i$. One layer computes
#
# $$h_i' = \mathrm{MLP}\Big((1 + \varepsilon)\, h_i + \sum_{j \in N(i)} h_j\Big)$$
#
# - The sum over neighbours is the aggregation. A sum does not depend on the order of its terms, so it does not matter in
#   which order you write the atoms.
# - $\mathrm{MLP}$, a *multilayer perceptron*, is the **update**: a small ordinary neural network, the same one for
#   every atom. Its *weights*, the numbers with which it computes, are learned.
# - $\varepsilon$ lets the network weigh an atom's own state differently from its neighbours'.
#
# This layer is GIN, the *graph isomorphism network* (Xu et al. 2019, [arXiv 1810.00826](https://arxiv.org/abs/1810.00826)).
# The general frame is older (Gilmer et al. 2017, [arXiv 1704.01212](https://arxiv.org/abs/1704.01212)).
#
# ## 3. Bonds as a table of two rows
#
# PyTorch Geometric stores bonds as `edge_index`: row 0 says where a message starts, row 1 where it arrives. Each bond
# appears twice, because messages go both ways.


# %%
def bonds(molecule):
    """Return the bonds of a molecule in both directions, (2, 2 · bonds)."""
    pairs = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds()]
    pairs = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return torch.from_numpy(np.concatenate([pairs, pairs[:, ::-1]]).T.copy())


bonds(ethanol)

# %% [markdown]
# **Exercise 03.2** Write the aggregation for any molecule. `torch.zeros_like(h)` gives an empty result, and
# `result.index_add(0, where, what)` adds row after row of `what` to the rows of `result` that `where` names.


# %%
def add_up(h, edge_index):
    """Return for every atom the sum of its neighbours' states; h is (atoms, channels), and so is the result."""
    start, end = edge_index
    result = ...  # what arrives at every atom
    ### BEGIN SOLUTION
    result = torch.zeros_like(h).index_add(0, end, h[start])
    ### END SOLUTION
    return result


check("03.2", add_up)

# %% [markdown]
# <details><summary>Stuck? A hint</summary>
#
# The message on bond $k$ is the state of the atom where it starts: `h[start]` has one row per bond. It must be added to the
# row of the atom where the bond ends.
#
# </details>
#
# ## 4. How far does information travel?
#
# In one layer, an atom hears its neighbours. In two, it hears its neighbours' neighbours. Let us watch this in aspirin. One
# atom starts with 1, all others with 0, and each round spreads the signal by one bond.

# %% alt="Aspirin drawn four times. After 0, 1, 2 and 3 rounds, the atoms that a signal from the acid oxygen has reached are coloured: 1, 2, 4 and 7 of its 13 heavy atoms."
aspirin = "CC(=O)Oc1ccccc1C(=O)O"
molecule = Chem.MolFromSmiles(aspirin)
signal = torch.zeros(molecule.GetNumAtoms(), 1)
signal[12] = 1  # the OH of the acid
edge_index = bonds(molecule)
pictures = []
for rounds in range(4):
    pictures.append(atom_values(aspirin, (signal[:, 0] > 0).numpy().astype(float), f"reached, rounds: {rounds}"))
    start, end = edge_index
    signal = signal + torch.zeros_like(signal).index_add(0, end, signal[start])
HTML("".join(pictures))

# %% [markdown]
# **Exercise 03.3** How many layers does a network need until the acid's OH (atom 12, marked above) can influence the CH₃ of
# the acetyl group (atom 0, the first `C` of the SMILES)? Count bonds along the shortest path, or let
# `Chem.GetDistanceMatrix(molecule)` count them.

# %%
layers = ...  # a whole number
### BEGIN SOLUTION
layers = int(Chem.GetDistanceMatrix(molecule)[12, 0])
### END SOLUTION
check("03.3", layers)

# %% [markdown]
# ## 5. The network, in thirty lines
#
# Now everything together: an *encoder* that turns each atom's element into a vector, a few layers, and a *head* that turns
# each atom's final vector into one prediction. Our task is the partial charge of every heavy atom, in units of the elementary
# charge e. The labels were computed with the quantum-chemical method GFN2-xTB (data card `xtb`).


# %%
class Layer(torch.nn.Module):
    """h_i' = MLP((1 + ε) h_i + Σ_{j in N(i)} h_j)"""

    def __init__(self, channels):
        super().__init__()
        self.eps = torch.nn.Parameter(torch.zeros(1))
        self.mlp = torch.nn.Sequential(
            torch.nn.Linear(channels, channels), torch.nn.ReLU(), torch.nn.Linear(channels, channels)
        )

    def forward(self, h, edge_index):
        start, end = edge_index
        received = torch.zeros_like(h).index_add(0, end, h[start])  # (atoms, channels)
        return self.mlp((1 + self.eps) * h + received)


class Network(torch.nn.Module):
    """Element -> vector -> layers -> one number per atom."""

    def __init__(self, num_layers, channels=32):
        super().__init__()
        self.encoder = torch.nn.Embedding(100, channels)  # one vector per atomic number
        self.layers = torch.nn.ModuleList(Layer(channels) for _ in range(num_layers))
        self.head = torch.nn.Linear(channels, 1)

    def forward(self, z, edge_index):
        h = self.encoder(z)  # (atoms, channels)
        for layer in self.layers:
            h = h + layer(h, edge_index)  # the sum keeps what was known before
        return self.head(h)[:, 0]  # (atoms,)


# %% [markdown]
# A *batch* of molecules is simply one large graph whose parts are not connected: we number the atoms consecutively. The
# cell below makes one batch for training and one for the test. One molecule in 24 is enough for today. No *scaffold* (a
# ring system with its linkers) is in both the training and the test set, so the test asks about molecules of a new
# kind.

# %%
data = molfm.load("minimix", tasks=["xtb/charge"])
charges = data.labels("xtb/charge")  # one array per molecule


def batch(rows):
    """Return atomic numbers, bonds and charges of some molecules as one large graph."""
    numbers, edges, targets, first = [], [], [], 0
    for row in rows:
        molecule = Chem.MolFromSmiles(data.molecules.smiles[row])
        numbers += [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
        edges.append(bonds(molecule) + first)
        targets.append(torch.as_tensor(charges[row], dtype=torch.float32))
        first = len(numbers)
    return torch.tensor(numbers), torch.cat(edges, 1), torch.cat(targets)


train = batch(data.members("train")[::24])  # every 24th molecule
test = batch(data.members("test")[::24])
print(f"{len(train[0]):,} atoms for training, {len(test[0]):,} for the test")

# %% [markdown]
# How does a network learn? Its weights start as random numbers. In each step it predicts all charges, and computes the
# mean squared error, its *loss*. Then `loss.backward()` finds out how the loss changes with each weight (the gradient),
# and `optimizer.step()` changes every weight a little, so that the loss falls. The function `fit` below takes 150 such
# steps.
#
# **Predict before you run.** A network *without* layers knows only the element of each atom. R² (the *coefficient of
# determination*) is 1 for perfect predictions and 0 for always predicting the mean. Which R² does such a network reach
# for the charges of atoms in new molecules? Write your guess.

# %%
my_guess = ...  # between 0 and 1
### BEGIN SOLUTION
my_guess = 0.3
### END SOLUTION


# %%
def fit(num_layers, steps=budget(150, fast=5), seed=0):
    """Train a network on all training atoms at once, and return it with its R² on the test atoms."""
    torch.manual_seed(seed)
    network = Network(num_layers)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(steps):
        z, edge_index, target = train
        loss = (network(z, edge_index) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    z, edge_index, target = test
    with torch.no_grad():
        error = (network(z, edge_index) - target).square().mean()
    return network, 1 - float(error / target.var(correction=0))


_, elements_only = fit(0)
reveal(my_guess, round(elements_only, 2), "R² of a network that knows only the elements")

# %% [markdown]
# Surprised? Oxygen is negative nearly everywhere, so the element alone explains a large part. A high R² does not prove that a
# network has understood structure: **compare it with the simplest explanation first.** Now with messages:

# %%
r2 = {}
for layers in (0, 1, 2, 4):
    r2[layers] = fit(layers)[1]
    print(f"number of layers: {layers}, R² = {r2[layers]:.3f}")

# %% alt="Bars of R² on test atoms against the number of layers: .59 without layers, .89 with one, .96 with two and .96 with four." slide="The element explains half, the neighbours nearly all: R² of atomic charges in new molecules"
import plotly.express as px

bars = pd.DataFrame({"layers": [str(layers) for layers in r2], "R² on test": r2.values()})
px.bar(bars, x="layers", y="R² on test", range_y=[0, 1], text_auto=".2f")

# %% [markdown]
# The first layer explains most of what the element leaves open, and the second most of the rest. Charges depend mainly
# on the nearest neighbours: organic chemistry's "inductive effect" fades with each bond.
#
# **Exercise 03.4** What share of the variance that the elements left unexplained does *one* layer explain? Use the two numbers
# $R^2_0$ and $R^2_1$ of your table: $(R^2_1 - R^2_0) / (1 - R^2_0)$.

# %%
share = ...
### BEGIN SOLUTION
share = (r2[1] - r2[0]) / (1 - r2[0])
### END SOLUTION
check("03.4", share, r2)

# %% [markdown]
# ## 6. The same from a library
#
# PyTorch Geometric (PyG) has this layer as `GINConv`. If we give it our weights, it must compute the same.

# %%
from torch_geometric.nn import GINConv

ours = Layer(32)
theirs = GINConv(ours.mlp, train_eps=True)
h, edge_index = torch.randn(len(test[0]), 32), test[1]
print(f"largest difference: {(ours(h, edge_index) - theirs(h, edge_index)).abs().max():.1e}")

# %% [markdown]
# molfm's layer `gine` (Hu et al. 2020, [arXiv 1905.12265](https://arxiv.org/abs/1905.12265)) adds one thing: bonds have
# vectors too, so a double bond carries another message than a single bond. Training on the same task takes one call,
# which also keeps the weights that were best on validation molecules, and saves everything in a folder. Do not compare
# its R² with your table: this test set has about 24 times as many molecules, and each step sees another small batch.

# %%
run = molfm.train(data, model="gine", steps=budget(200, fast=3), hidden_channels=32, num_layers=2, seed=0)
run.results.query("split == 'test' and metric == 'r2'")[["task", "metric", "value", "n_labels"]].round(3)

# %% [markdown]
# **Look at the mistakes.** A number hides which molecules it comes from. In the browser, open the menu that shows
# "original order", and choose the entry under "biggest errors". Look at the first three molecules: what do they have in
# common? (Without a running kernel you see a small preview.)

# %%
from molfm.widgets import MoleculeBrowser

MoleculeBrowser(data, model=run)

# %% [markdown]
# ## 7. The order of atoms must not matter
#
# **Exercise 03.5** `OCC` is ethanol too, written from the other end. Suppose that a network predicts the charges `[a, b, c]`
# for `CCO`. What does it predict for `OCC`: `"same order"` ([a, b, c]), `"reversed"` ([c, b, a]) or `"different numbers"`?

# %%
for_occ = ...
### BEGIN SOLUTION
for_occ = "reversed"
### END SOLUTION
check("03.5", for_occ)

# %% [markdown]
# This property is called *permutation equivariance*: renumber the atoms, and the predictions are renumbered in the same
# way. Check it with the network that you trained. Draw the charges of caffeine below. Then replace its SMILES by
# `O=c1n(C)c(=O)c2n(C)cnc2n1C`, which is caffeine too, and run the cell again. Does each atom keep its charge?

# %%
caffeine = "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
HTML(atom_values(caffeine, run.model.predict(caffeine, level="node")["xtb/charge"], "e, predicted"))

# %%
progress("03")

# %% [markdown]
# ## Discussion
#
# 1. The aggregation could be a mean or a maximum instead of a sum. What does a carbon with two identical neighbours look like
#    to each of the three, compared with a carbon with one? (Lesson 4 makes a playground of this question.)
# 2. More layers hear more of the molecule. Why do networks for molecules rarely have more than about 16 layers?
# 3. Atoms that touch in space need not be bonded. What would you change to let them exchange messages?
#
# ## Quiz
#
# Click on an answer to see whether it is right, and why.
#
# **1. Why is a sum used to aggregate messages, and not a list?**
# <details><summary>A sum is faster than a list.</summary>Speed is not the reason. Think of renumbering the neighbours.</details>
# <details><summary>A sum does not depend on the order of the neighbours.</summary>Right. The atoms of a molecule have no natural order, and the result must not depend on how you wrote them.</details>
# <details><summary>A sum keeps every message separately.</summary>It does the opposite: different sets of messages can have the same sum.</details>
#
# **2. A network has 3 layers. What does the final state of an atom contain about another atom, 5 bonds away?**
# <details><summary>Nothing.</summary>Right. Each layer carries information over one bond, so three layers reach three bonds far.</details>
# <details><summary>Everything, if it was trained for long enough.</summary>No. Training changes weights, not the reach of messages.</details>
# <details><summary>A little.</summary>No: the reach ends exactly at 3 bonds.</details>
#
# **3. Which weights differ between the atoms of a molecule?**
# <details><summary>Each atom has its own.</summary>Then the network could not be used for molecules of another size.</details>
# <details><summary>Each element has its own MLP.</summary>No. Elements differ in the vector with which they start.</details>
# <details><summary>None: all atoms share the same weights.</summary>Right. That is why one network works for every molecule.</details>
#
# **4. A network reaches R² = 0.9 on charges. What should you ask first?**
# <details><summary>How many layers it has.</summary>That does not tell you whether 0.9 is good.</details>
# <details><summary>What the element alone would give.</summary>Right. Only the difference from the simplest explanation shows what the structure contributed.</details>
# <details><summary>Whether it was trained on a GPU.</summary>A GPU changes the time, not the result.</details>
#
# **5. How are 100 molecules put into one batch?**
# <details><summary>As one large graph with 100 parts that are not connected.</summary>Right. Messages stay inside each molecule because no bond leads out of it.</details>
# <details><summary>As images of the same size.</summary>No. Graphs need no common size.</details>
# <details><summary>One after the other; batches are impossible.</summary>They are possible, and much faster: consecutive numbers for all atoms are enough.</details>
#
# ## Further reading
#
# - Gilmer et al. 2017, *Neural message passing for quantum chemistry*, [arXiv 1704.01212](https://arxiv.org/abs/1704.01212)
# - Xu et al. 2019, *How powerful are graph neural networks?*, [arXiv 1810.00826](https://arxiv.org/abs/1810.00826)
# - Hu et al. 2020, *Strategies for pre-training graph neural networks*, [arXiv 1905.12265](https://arxiv.org/abs/1905.12265)
# - Sanchez-Lengeling et al. 2021, *A gentle introduction to graph neural networks*, [distill.pub](https://distill.pub/2021/gnn-intro)
