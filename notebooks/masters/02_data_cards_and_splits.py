# %% [markdown]
# # 2. Data cards and splits: how to fool yourself with good data, and how not to
#
# **Goals.** After this lesson you can
#
# - read a data card, and say what a label means, who made it and what is known to be wrong with it,
# - measure how sparse a table of labels is, and find duplicates, contradictions and wrong structures,
# - explain training, validation and test set, *leakage*, AUROC and R²,
# - choose a split that asks the question you want to ask, and say how much the choice matters.
#
# **You need** lesson 1 (SMILES, canonical SMILES, constitution). **Time:** about 70 minutes; the cells run for two to five.

# %% [markdown]
# ## 1. An early success: does it reach the brain?

# %%
import numpy as np
import pandas as pd
from IPython.display import HTML
from rdkit import Chem
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from molfm.chem.drawing import molecule_grid
from molfm.lessons import budget, check, progress, reveal

print("opening MiniMix …")
data = molfm.load("minimix")
known = {
    "caffeine": "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "nicotine": "CN1CCC[C@H]1c1cccnc1",
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
    "bisphenol A": "CC(C)(c1ccc(O)cc1)c1ccc(O)cc1",
    "ethanol": "CCO",
}
number = {smiles: place for place, smiles in enumerate(data.molecules.smiles)}  # SMILES -> number in the mix
logbb = data.labels("logBB")
captions = [f"{name}\nlogBB {logbb[number[smiles]]:+.2f}" for name, smiles in known.items()]
HTML(molecule_grid(list(known.values()), captions))

# %% [markdown]
# Each molecule has a *label*, a value that a model should predict. Here it is a number, measured in the laboratory. But
# a number without its meaning is useless. Is +0.40 a lot? Of what? The answer is on the *data card*: one page per
# dataset that says what the labels are, how they were made, who may use them, and what is wrong with them (Gebru et al.
# 2018, [arXiv 1803.09010](https://arxiv.org/abs/1803.09010)).

# %%
molfm.card("b3db")

# %% [markdown]
# Take five minutes for this page. Find the licence, the unit of logBB, and the list of known problems.
#
# **Exercise 02.1** Paracetamol has logBB = −0.3. Its concentration in the brain is how many times its concentration in the blood?

# %%
ratio = ...  # a number
### BEGIN SOLUTION
ratio = 10**-0.3
### END SOLUTION
check("02.1", ratio)

# %% [markdown]
# ## 2. Many tasks, many empty cells
#
# B3DB is one of four datasets in *MiniMix*. One column of labels is called a *task*. ToxCast alone has 179 tasks: each is an
# *assay*, a laboratory test of a chemical on cells or proteins. Was it active or not?
#
# No laboratory tests every chemical in every assay. The table of labels has empty cells: it is *sparse*. Each column of
# the picture is a task, each row a group of molecules with similar labels. Indigo tasks were computed (quantum chemistry),
# amber ones were measured (biology). The paler the colour, the fewer molecules of the group have a label.

# %% alt="Picture of the label table of MiniMix, one column per task and one row per group of molecules. Computed quantum tasks in indigo fill whole blocks of rows. The measured biological tasks in amber have many white gaps, and leave the rows of the quantum dataset QM9-mini empty."
from molfm.explore.label_map import LabelMap
from molfm.plots.data import label_picture

print("counting 1.4 million labels …")
picture = LabelMap(data)
label_picture(picture.coverage(256), data.tasks.iloc[picture.tasks], "Which molecules have labels of which tasks?")

# %% [markdown]
# The table of tasks has the label counts: `n_train`, `n_val` and `n_test` add up to all labels of a task. (Section 6
# explains these three parts.)

# %%
data.tasks.sample(6, random_state=1)

# %% [markdown]
# About half of ToxCast's cells are empty, and most labels are "inactive" (0), as these numbers show.

# %%
toxcast = data.tasks[data.tasks.dataset == "toxcast"]
n_cells = int(data.molecules["split:toxcast"].notna().sum()) * len(toxcast)
n_labels = int(toxcast[["n_train", "n_val", "n_test"]].sum().sum())
hits = int(sum(data.labels(task).sum() for task in toxcast.task))
print(f"{n_cells:,} cells, {n_labels:,} labels, {hits:,} of them active: {hits / n_labels:.1%}")

# %% [markdown]
# **Exercise 02.2** A colleague fills each empty cell with 0, because "most chemicals are inactive anyway". Which share of the
# *cells* is active in the colleague's table?

# %%
share_of_colleague = ...  # between 0 and 1
### BEGIN SOLUTION
share_of_colleague = hits / n_cells
### END SOLUTION
check("02.2", share_of_colleague, hits, n_labels, n_cells)

# %% [markdown]
# So a network for many tasks must live with missing labels. It must not read "not tested" as "inactive". In molfm, an
# empty cell does not exist at all: only the labels that are there count.
#
# **Look for yourself.** Assays come in *families*: groups of assays of one company or one technology, such as ATG, BSK
# or TOX21. The first letters of an assay's name are its family. In the atlas below, zoom into the columns of `toxcast` with
# the mouse wheel, and hover over a cell to see which assay it is. The tab "Task table" has the label counts of all tasks.
# (Without a running kernel you see a small preview, and can use the table `toxcast` instead.)

# %%
from molfm.widgets import LabelAtlas

print("opening the atlas …")
LabelAtlas(data)

# %% [markdown]
# **Exercise 02.3** In which family does a typical assay have the fewest training labels?

# %%
family = ...  # a name such as "ATG"
### BEGIN SOLUTION
family = toxcast.groupby("family").n_train.median().idxmin()
### END SOLUTION
check("02.3", family, data)

# %% [markdown]
# ## 3. Measured or computed?
#
# Let us put labels of caffeine side by side.

# %%
tasks = ["b3db/logBB", "b3db/BBB", "toxcast/TOX21_AhR_LUC_Agonist", "xtb/homo", "xtb/dipole", "xtb/solvation_energy"]
rows = []
for name in tasks:
    task = data.task(name)
    rows.append((name, data.labels(name)[number[known["caffeine"]]], task.unit or "0 or 1", task.obtained))
pd.DataFrame(rows, columns=["task", "label of caffeine", "unit", "obtained"]).round(3)

# %% [markdown]
# The two kinds of labels fail in different ways.
#
# - *Computed* labels can be had for nearly every molecule, and the computer gives the same number again. But it is the
#   answer of a model of nature, here of GFN2-xTB, a fast method of quantum chemistry, for one conformer (card `xtb`).
#   If the method is wrong by 2 eV, it is wrong each time.
# - *Measured* labels are about nature. But they are few and noisy: the card of B3DB says that laboratories differ by a
#   few tenths in logBB. In ToxCast, 60% of the results "active" are flagged with a caution, such as "borderline".
#
# ## 4. What the audit finds, and what it does not
#
# The *audit* counts what usually goes wrong. Here is what it says about labels that contradict each other. It compares
# molecules with the same constitution: stereoisomers, or a salt and its base. The column `of` says how many such
# constitutions there are, `count` in how many of them the labels differ.

# %%
audit = data.audit()
contradictions = audit.summary[audit.summary.check.str.startswith("contradicting")]
contradictions.sort_values("count", ascending=False)[["task", "count", "of"]].head(3)

# %% [markdown]
# Among the 1,472 constitutions with several molecules in `BBB`, the classes of 125 differ. The mirror image of a drug may
# really behave differently. It may also be noise: two laboratories, two results. The source does not say. A model
# that does not see stereochemistry must be wrong for some of these molecules, however good it is.
#
# The audit compares labels and structures. It cannot know that a *name* does not belong to a structure. This needs a
# chemist. Two molecules of B3DB are called theobromine, the bitter substance of cocoa:

# %%
from molfm.explore.lookup import Lookup

names = Lookup(data).names(np.arange(len(data)))
found = [place for place, name in enumerate(names) if "theobromine" in name.lower()]
smiles = data.molecules.smiles[found]
HTML(molecule_grid(list(smiles), [f"number {place}\n{names[place]}" for place in found]))

# %% [markdown]
# **Exercise 02.4** Theobromine is caffeine without one of its CH₃ groups: C₇H₈N₄O₂. Which number is **not** theobromine?
# `CalcMolFormula(Chem.MolFromSmiles(…))` gives the formula of a SMILES.

# %%
not_theobromine = ...  # a number from the captions
### BEGIN SOLUTION
formula = {place: CalcMolFormula(Chem.MolFromSmiles(data.molecules.smiles[place])) for place in found}
not_theobromine = next(place for place in found if formula[place] != "C7H8N4O2")
### END SOLUTION
check("02.4", not_theobromine, data)

# %% [markdown]
# This is not the worst case. In the original table of B3DB, **caffeine** stands on a structure that has nothing to do with it.
# So do dopamine and many others, 283 rows in all. Their structures had been looked up in the database PubChem by number, and
# these numbers are too large by exactly 100,000,000. Such a mistake is hard to see, because each row looks fine: a name, a valid
# SMILES, a label. MiniMix leaves these rows out, and the card tells the story.
#
# **Look for yourself.** Search for *caffeine* in the browser: only the right structure is left. But other mistakes are
# still there. Search for *pimozide*, a drug against psychoses. Two structures have this name. One of them is a small
# ester: it belongs to another drug, etomidate. Which one?

# %%
from molfm.widgets import MoleculeBrowser

print("opening the browser …")
MoleculeBrowser(data)

# %% [markdown]
# ## 5. One measurement under two names
#
# B3DB has two tasks: `logBB`, a number, and `BBB`, a class (1: crosses the blood-brain barrier). Look at the molecules
# that have both.

# %%
bbb = data.labels("BBB")
both = pd.DataFrame({"logBB": logbb, "BBB": bbb}).dropna()
both.groupby("BBB").logBB.agg(["count", "min", "max"])

# %% [markdown]
# **Exercise 02.5** Somebody made `BBB` from `logBB`, with a rule of the form `BBB = 1 if logBB >= t else 0`. What is `t`?

# %%
t = ...  # a number
### BEGIN SOLUTION
t = -1
### END SOLUTION
check("02.5", t, data)

# %% [markdown]
# This matters as soon as you ask whether one task helps another. The task that you want to predict is the *target*. A task
# that the network learns in addition is a *source*. If `BBB` is the source and `logBB` the target, the source contains the
# answer, and the "help" is a copy. The same trap exists between datasets: twelve assays of ToxCast are in the well-known
# set Tox21, under other names. The cards say so in the field `same_as`.

# %%
copies = [(task.id, task.same_as) for name in ("b3db", "toxcast") for task in molfm.card(name).tasks if task.same_as]
pd.DataFrame(copies, columns=["task", "is the same measurement as"])

# %% [markdown]
# ## 6. Training, validation and test
#
# A model is judged on molecules that it has not seen. So the labels are *split* into three parts:
#
# - the *training set*: the model learns from it,
# - the *validation set*: you choose settings with it, such as how long to train,
# - the *test set*: you look at it once, at the end. If you choose by it, it is no longer a test.
#
# Two measures of quality are used throughout the course. For numbers it is $R^2$, the *coefficient of determination*:
#
# $$R^2 = 1 - \frac{\sum_i (y_i - \hat y_i)^2}{\sum_i (y_i - \bar y)^2}$$
#
# Here $y_i$ are the labels, $\hat y_i$ the predictions and $\bar y$ is the mean of the labels. Perfect predictions have
# $R^2 = 1$. Always predicting the mean has 0, and worse predictions have less than 0.
#
# For two classes it is the *AUROC*, the area under the receiver operating characteristic. It has a simple meaning: take
# one active and one inactive molecule at random. AUROC is the probability that the model gives the active one the
# higher score. 1 is perfect, and 0.5 is guessing. For example, let the actives have the scores 0.9 and 0.6, and the
# inactives 0.8 and 0.3. There are four pairs. In three of them the active one is ahead, so the AUROC is 3/4.
#
# ## 7. Leakage: does the test ask something new?
#
# *Leakage* means that the test set contains what the model has seen in training, or nearly so. Then the test rewards
# memory. Molecules leak easily, because chemists make them in series. A split can be more or less strict:
#
# | split by | what must stay on one side | the test asks about |
# |---|---|---|
# | row | nothing | other rows of the table |
# | constitution | stereoisomers; a salt and its base | new molecules |
# | scaffold | molecules with the same scaffold | new kinds of molecules |
#
# A *scaffold* is what remains of a molecule without its side chains: its rings and the chains between them (Bemis and
# Murcko 1996, [doi 10.1021/jm9602928](https://doi.org/10.1021/jm9602928)). RDKit also keeps atoms that are
# double-bonded to a ring, such as the oxygens of caffeine. Below each molecule you see its scaffold. A split by
# scaffold keeps all drugs whose only ring is a benzene ring on one side.

# %%
from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

drugs = {"aspirin": "CC(=O)Oc1ccccc1C(=O)O", "ibuprofen": "CC(C)Cc1ccc(C(C)C(=O)O)cc1"} | known
del drugs["ethanol"], drugs["bisphenol A"]  # ethanol has no ring, and so no scaffold
pictures = molecule_grid(list(drugs.values()), list(drugs), width=140)
HTML(pictures + molecule_grid([MurckoScaffoldSmiles(smiles) for smiles in drugs.values()], ["scaffold"] * 5, width=140))

# %% [markdown]
# **Exercise 02.6** Write the function that measures leakage. It gets the group (such as the scaffold) of each training
# molecule and of each test molecule. It returns the share of the test molecules whose group is also in training.


# %%
def leakage(train_groups, test_groups):
    """Return the share of test molecules, between 0 and 1, whose group occurs in training."""
    result = ...
    ### BEGIN SOLUTION
    result = np.isin(test_groups, train_groups).mean()
    ### END SOLUTION
    return result


check("02.6", leakage)

# %% [markdown]
# Now we split all molecules with a `BBB` class in the three ways. A function of scikit-learn does it: it assigns whole
# groups to one side, a quarter of them to the test set.

# %%
from sklearn.model_selection import GroupShuffleSplit

molecules = np.flatnonzero(bbb.notna())  # numbers of the molecules with a class
groups = {"row": np.arange(len(data)), "constitution": data.constitution, "scaffold": data.scaffold}


def split(by, seed):
    """Return the numbers of training and test molecules; no group is in both."""
    splitter = GroupShuffleSplit(n_splits=1, test_size=0.25, random_state=seed)
    train, test = next(splitter.split(molecules, groups=groups[by][molecules]))
    return molecules[train], molecules[test]


rows = []
for by in groups:
    train, test = split(by, seed=0)
    shared = [np.isin(of[test], of[train]).mean() for of in groups.values()]
    rows.append((by, len(train), len(test), *shared[1:]))
columns = ["split by", "training", "test", "same constitution in training", "same scaffold in training"]
pd.DataFrame(rows, columns=columns).round(2)

# %% [markdown]
# Look at the first row. In a split by row, two thirds of the test molecules have a twin in training, with the same
# constitution. Even in a split by constitution, more than half of them share their scaffold with a training molecule.
#
# The model is a *random forest*: many decision trees, each grown on a random part of the data, which vote (Breiman 2001,
# [doi 10.1023/A:1010933404324](https://doi.org/10.1023/A:1010933404324)). It sees a molecule as a *Morgan fingerprint*: 2,048
# numbers, which count how often each small neighbourhood of atoms occurs (Rogers and Hahn 2010,
# [doi 10.1021/ci100050t](https://doi.org/10.1021/ci100050t)). Here "small" means an atom and all atoms up to two bonds away.
#
# First the naive split, by row:

# %%
from sklearn.metrics import roc_auc_score

from molfm.study.simple_models import forest, morgan

seeds = range(budget(5, fast=2))
print(f"fingerprints of {len(molecules):,} molecules …")
arm = forest(data, "BBB", morgan(data.molecules.smiles[molecules]), trees=budget(40, fast=5))


def auroc(by, seed):
    """Train a forest on one split, and return its AUROC on the test molecules."""
    train, test = split(by, seed)
    scores = arm(train, bbb[train].to_numpy(), test, seed)
    return roc_auc_score(bbb[test], scores)


result = {"row": []}
for seed in seeds:
    result["row"].append(auroc("row", seed))
    print(f"split by row, seed {seed}: AUROC {result['row'][-1]:.3f}")

# %% [markdown]
# An AUROC of 0.96 is excellent: of 100 pairs, 96 are in the right order.
#
# **Predict before you run.** Same data, same model, about as many training labels. What is the mean AUROC if the test
# molecules have scaffolds that the forest has never seen?

# %%
my_guess = ...  # between 0.5 and 1
### BEGIN SOLUTION
my_guess = 0.8
### END SOLUTION

# %%
for by in ("constitution", "scaffold"):
    result[by] = []
    for seed in seeds:
        result[by].append(auroc(by, seed))
        print(f"split by {by}, seed {seed}: AUROC {result[by][-1]:.3f}")
table = pd.DataFrame(result, index=pd.Index(seeds, name="seed"))
reveal(my_guess, round(table.scaffold.mean(), 3), f"Mean AUROC on new scaffolds, {len(seeds)} seeds")

# %% alt="Bars of the share of pairs in the wrong order, in percent, mean of five seeds: about 4 for a split by row, 7 by constitution and 8 by scaffold. The dots of the single seeds scatter by about 1 to either side for the stricter splits." slide="The same forest, the same labels: on new scaffolds it makes about twice as many errors as on new rows"
from molfm.plots.style import INK, SERIES_COLORS, new_figure

wrong = 100 * (1 - table)  # percent of pairs, one row per seed
figure = new_figure("", "split by", "pairs in the wrong order (%)", height=420)
figure.add_bar(x=wrong.columns, y=wrong.mean(), name=f"mean of {len(seeds)} seeds", marker_color=SERIES_COLORS[5])
for seed in seeds:
    dots = {"color": INK, "size": 8}
    figure.add_scatter(
        x=wrong.columns, y=wrong.loc[seed], mode="markers", marker=dots, name="one seed", showlegend=seed == 0
    )
figure.update_xaxes(
    title=f"split by ({len(molecules):,} molecules with a BBB class, about three quarters for training)"
)

# %% [markdown]
# How sure is the difference? One seed is one draw of the test set. So we take the difference for each seed, and compute a
# *95% interval* for its mean: a range that, made in this way, contains the true value in 95 of 100 cases.

# %%
from scipy import stats


def interval(differences):
    """Return mean, lower and upper end of a 95% interval of the mean (Student's t)."""
    n, mean = len(differences), differences.mean()
    half = stats.t.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n)
    return mean, mean - half, mean + half


for by in ("constitution", "scaffold"):
    mean, low, high = interval(table["row"] - table[by])
    print(f"by row minus by {by}: {mean:.3f} (95% interval {low:.3f} to {high:.3f}, {len(seeds)} seeds)")
mean = wrong.mean()
print(f"pairs in the wrong order: {mean['row']:.1f}% by row, {mean['scaffold']:.1f}% by scaffold")

# %% [markdown]
# Did you guess a larger fall? An AUROC near 1 hides much. Look at the pairs in the *wrong* order instead: their share about
# doubles from the split by row to the split by scaffold. A good part of this comes from stereoisomers alone. This
# fingerprint cannot tell them apart, so in a split by row the forest meets in the test what it saw in training. (The test sets
# of the five seeds overlap, so honest intervals would be somewhat wider than these.)
#
# Which split is right? That depends on your question. If you want to know how well the model works for the next series
# of drugs, ask about new scaffolds. molfm does so by default, with one split for all datasets of MiniMix: no molecule
# is in training for one task and in the test of another.

# %%
audit.summary[audit.summary.check.str.contains("in train") & (audit.summary.dataset == "b3db")][
    ["check", "other", "count", "of"]
]

# %%
progress("02")

# %% [markdown]
# ## Discussion
#
# 1. A paper reports R² = 0.9 for logBB. Which three things do you want to know before you believe it?
# 2. Is a split by scaffold always the most honest one? Think of a company that makes variants of one drug for ten years.
# 3. You find 283 rows with wrong structures in a public dataset that many papers have used. What do you do with the rows, and whom do
#    you tell?
#
# ## Quiz
#
# Click on an answer to see whether it is right, and why.
#
# **1. An assay was not run for a chemical. How should a network treat this cell of the table?**
# <details><summary>As inactive, because most chemicals are inactive.</summary>This invents a measurement. A rare but strong effect would be taught as absent.</details>
# <details><summary>As one half, between active and inactive.</summary>One half is a label, too, and nobody measured it.</details>
# <details><summary>Not at all: only labels that exist count.</summary>Right. The error is summed over the labels that are there.</details>
#
# **2. An AUROC of 0.5 means …**
# <details><summary>… that the model's order is no better than chance.</summary>Right. The active one of a pair is ahead in half of the cases.</details>
# <details><summary>… that half of the molecules are classified correctly.</summary>AUROC compares pairs, and needs no threshold for classes.</details>
# <details><summary>… that half of the molecules are active.</summary>AUROC does not depend on how many are active.</details>
#
# **3. You train ten models and report the one with the best test result. What is wrong?**
# <details><summary>Nothing: the test molecules were not used in training.</summary>They were used for choosing. The best of ten is partly lucky on this test set.</details>
# <details><summary>The test set has become a validation set, so the result is too good.</summary>Right. Choose on validation molecules, and look at the test set once.</details>
# <details><summary>Ten models are too few for a choice.</summary>With more models, the problem grows.</details>
#
# **4. Why may `BBB` not be a source for the target `logBB`?**
# <details><summary>Because classes cannot help to predict numbers.</summary>They can, if they hold information. The problem is which information.</details>
# <details><summary>Because `BBB` was made from `logBB`, so it contains the answer.</summary>Right. It would look like transfer, but it is one measurement under two names.</details>
# <details><summary>Because both belong to one dataset.</summary>Two different measurements of one dataset may help each other honestly.</details>
#
# **5. In which split can (*R*)- and (*S*)-nicotine be on different sides?**
# <details><summary>By row only.</summary>Right. They have one constitution, and so one scaffold. The other two splits keep them together.</details>
# <details><summary>By row and by constitution.</summary>The constitution leaves stereochemistry out, so both have the same one.</details>
# <details><summary>In all three.</summary>Two molecules with one scaffold are always on one side of a split by scaffold.</details>
#
# ## Further reading
#
# - Gebru et al. 2018, *Datasheets for datasets*, [arXiv 1803.09010](https://arxiv.org/abs/1803.09010)
# - Wu et al. 2018, *MoleculeNet: a benchmark for molecular machine learning*, [arXiv 1703.00564](https://arxiv.org/abs/1703.00564)
# - Meng et al. 2021, *A curated diverse molecular database of blood-brain barrier permeability*, [doi 10.1038/s41597-021-01069-5](https://doi.org/10.1038/s41597-021-01069-5)
# - Bemis and Murcko 1996, *The properties of known drugs. 1. Molecular frameworks*, [doi 10.1021/jm9602928](https://doi.org/10.1021/jm9602928)
