# %% [markdown]
# # 5. Many tasks, one network
#
# **Goals.** After this lesson you can
#
# - explain what tasks share in a network and what each has of its own,
# - store sparse labels as triples, and say when that saves memory,
# - choose a loss for each kind of label, and compute which task counts how much in it,
# - measure whether two tasks pull a network in the same direction,
# - test with several seeds and an interval whether an assay gains from other assays.
#
# **You need** lesson 3 (message passing, training). **Time:** about 70 minutes; the cells run for about five.

# %% [markdown]
# ## 1. An early success: one network, 211 answers
#
# molfm comes with a small network that was trained on all of MiniMix at once: quantum chemistry, toxicity assays, and the
# passage from blood into the brain. One call asks it everything about aspirin. (An *assay* is one standardized biological
# test. *logBB* is the logarithm of the ratio of a substance's concentrations in brain and blood.)

# %%
import numpy as np
import pandas as pd
import plotly.express as px
import torch

from molfm.lessons import budget, check, progress, reveal

data = molfm.load("minimix")
network = molfm.pretrained("minimix-gine")
aspirin = "CC(=O)Oc1ccccc1C(=O)O"
answers = network.predict([aspirin], progress=False)
print(f"{answers.shape[1] - 2} properties of the molecule; here are four")
answers[["b3db/BBB", "b3db/logBB", "xtb/homo", "toxcast/TOX21_AhR_LUC_Agonist"]].round(2)

# %% [markdown]
# The answers to binary (yes or no) tasks are probabilities: `BBB` (does it enter the brain?) and `AhR` (does it
# activate a certain receptor?). The others come in their unit: `homo`, the energy of the highest occupied orbital, in
# eV. The same network also predicts a charge for each atom.
#
# ## 2. One trunk, many heads
#
# The layers that all tasks share are the **trunk**. On top, each *dataset* and *level* (molecule, atom or bond) has a **head**, a
# small network of its own that turns the trunk's vectors into predictions:
#
# $$\hat y_t = \mathrm{head}_t\big(\mathrm{trunk}(G)\big)$$
#
# where $G$ is the molecular graph and $t$ the task. What the trunk learns from one task is available to all others. The
# idea is old (Caruana 1997, *Multitask learning*). How many weights does each part have?

# %%
weights = {"encoder and trunk": sum(w.numel() for w in network.body().values())}
for name, head in zip(network.head_names(), network.heads.values(), strict=True):
    weights[f"head {name}"] = sum(w.numel() for w in head.parameters())
pd.Series(weights, name="weights").to_frame()

# %% [markdown]
# **Exercise 05.1** You want to add 10 assays, in a head of their own that is a single linear layer: each of its 10
# outputs is a weighted sum of the 192 numbers in the molecule's vector, plus a *bias*, a learned constant. How many
# weights do you add, biases included? (molfm's heads, in the table above, have one more layer.)

# %%
added = ...
### BEGIN SOLUTION
added = 192 * 10 + 10
### END SOLUTION
check("05.1", added)

# %% [markdown]
# That is under two thousand, compared with 178,000 in encoder and trunk: ten further tasks are nearly free. The only
# question is whether they help or disturb the others.
#
# ## 3. Labels as triples
#
# Nobody has measured every molecule in every assay. **Predict before you run:** in the table of MiniMix's 18,295 molecules
# and all tasks of whole molecules, which share of the cells is empty?

# %%
my_guess = ...  # percent
### BEGIN SOLUTION
my_guess = 50
### END SOLUTION

# %%
tasks = data.tasks
n_labels = tasks[["n_train", "n_val", "n_test"]].sum(axis=1)
of_molecules = tasks.level == "graph"
cells = len(data) * of_molecules.sum()
reveal(my_guess, round(100 * (1 - n_labels[of_molecules].sum() / cells)), "empty cells", "%")

# %% [markdown]
# Where are the holes? **Look at the whole table** in the atlas: each row is a molecule, each column a task. Find the
# datasets as blocks. Which dataset has holes *inside* its block? Which two datasets share most molecules? (Without a running
# kernel you see a small picture.)

# %%
from molfm.widgets import LabelAtlas

LabelAtlas(data)

# %% [markdown]
# The usual way to store such a table is a dense array in which NaN ("not a number") marks an empty cell. It has a trap:
# whatever is computed with NaN becomes NaN, even if you multiply it by zero. In the next cell, a *mask* of zeros and
# ones (`measured`) should hide the empty cell from the loss and from the gradients, which say how to change the
# predictions.

# %%
prediction = torch.zeros(3, requires_grad=True)
target = torch.tensor([1.0, float("nan"), 2.0])
measured = torch.tensor([1.0, 0.0, 1.0])
loss = ((prediction - target).square() * measured).sum()  # "ignore" the second label by a factor of 0
loss.backward()
print("loss:", loss.item(), "  gradients:", prediction.grad.tolist())

# %% [markdown]
# molfm stores only what was measured, as *triples* (item, task, value): the item is a molecule, an atom or a bond. What does not
# exist needs no mask. Here are some of caffeine's triples:

# %%
caffeine = int(np.flatnonzero(data.molecules.smiles == "Cn1c(=O)c2c(ncn2C)n(C)c1=O")[0])
batch = data.gather(np.array([caffeine]), "train")
triples = pd.DataFrame({name: batch[f"graph_{name}"] for name in ("item", "task", "value")})
triples["name of the task"] = tasks.task.to_numpy()[triples.task]
print(f"{len(triples)} labels of caffeine as a molecule, {len(batch['node_value'])} of its atoms")
triples.iloc[[0, 1, 2, 3, -2, -1]]

# %% [markdown]
# Does that save memory? Dense: 4 bytes per cell, filled or not. Triples in molfm: 2 bytes for the item within its molecule, 2 for
# the task, 4 for the value, and 8 bytes per molecule that say where its triples begin.

# %%
items = {"graph": len(data), "node": data.sizes("node").sum(), "edge": data.sizes("edge").sum()}
memory = pd.DataFrame(
    {
        level: {
            "labels": n_labels[tasks.level == level].sum(),
            "dense, MB": 4e-6 * n * (tasks.level == level).sum(),
            "triples, MB": 8e-6 * (n_labels[tasks.level == level].sum() + len(data)),
        }
        for level, n in items.items()
    }
).T
memory.round(1)

# %% [markdown]
# **Exercise 05.2** A triple takes 8 bytes and a dense cell 4 (ignore the 8 bytes per molecule). Below which filled share of the table
# do triples need less memory?

# %%
share = ...  # between 0 and 1
### BEGIN SOLUTION
share = 4 / 8
### END SOLUTION
check("05.2", share)

# %% [markdown]
# For whole molecules, triples need less than half of the memory. Where a task is measured on nearly *every* atom or
# bond, a dense column is as small or smaller. The difference grows with the mix: PCBA, a large collection of assays,
# has 1,563,664 molecules and 1,328 assays. If you put it into one table with the 3.8 million molecules of PCQM4M
# (computed orbital gaps), each assay is empty for most rows. And a loss over triples needs no masks, for molecules,
# atoms or bonds.
#
# ## 4. A loss for each kind of label
#
# A *loss* says how bad one prediction is. $y$ is the label, $\hat y$ the prediction, $e = \hat y - y$ the error.
#
# | kind | loss | formula |
# |---|---|---|
# | binary | cross-entropy | $-y \log p - (1 - y) \log(1 - p)$, with the predicted probability $p$ of class 1 |
# | regression | squared error (MSE) | $e^2$ |
# | regression | absolute error (MAE) | $\lvert e \rvert$ |
# | regression | Huber, with a limit $\delta$ | $e^2 / 2$ up to $\lvert e \rvert = \delta$, then $\delta (\lvert e \rvert - \delta / 2)$ |
#
# molfm's default is `mae`, as in the paper of the large mixes ([arXiv 2310.04292](https://arxiv.org/abs/2310.04292));
# `losses={"regression": "mse"}` changes it. Huber's loss is a compromise: squared for small errors, linear for large ones.

# %% alt="Loss against the error from minus 3 to 3. Squared error is a parabola that leaves the picture at 2.2, absolute error is a V, and Huber's loss is a parabola near zero that goes on as a straight line, 2.5 at an error of 3."
error = torch.linspace(-3, 3, 121)
zero = torch.zeros_like(error)
curves = pd.DataFrame(
    {
        "error": error,
        "squared": error.square(),
        "absolute": error.abs(),
        "Huber, δ = 1": torch.nn.functional.huber_loss(error, zero, reduction="none"),
    }
)
long = curves.melt("error", var_name="loss", value_name="value")
px.line(long, x="error", y="value", color="loss", line_dash="loss", range_y=[0, 5])

# %% [markdown]
# **Exercise 05.3** Among 1,000 labels, one is wrong by 30, because somebody mistyped it. The network predicts the true
# value, so the error is 30. How many times as large as the Huber loss with $\delta = 1$ is the squared error?

# %%
times = ...
### BEGIN SOLUTION
times = 30**2 / (1 * (30 - 1 / 2))
### END SOLUTION
check("05.3", times)

# %% [markdown]
# **Units matter, too.** Compare two tasks of QM9: a rotational constant `A` in GHz, and an orbital energy in hartree.

# %%
spread = tasks.set_index("task").loc[["qm9_mini/A", "qm9_mini/homo"], ["unit", "mean", "std"]]
ratio = (spread["std"].iloc[0] / spread["std"].iloc[1]) ** 2
print(f"squared errors of A are about {ratio:,.0f} times larger, only because of the unit")
spread.round(3)

# %% [markdown]
# A network that minimizes the sum of both would learn hardly anything but `A`. So each task is *standardized*: the
# network predicts
# $z = (y - \mathrm{mean}) / \mathrm{std}$, with mean and standard deviation (std) of the *training* labels, and
# predictions are converted back.
#
# ## 5. Which task counts how much?
#
# The losses of many tasks must become one number. molfm takes, for each head, the sum over all its labels divided by their
# number, and then the mean over the heads:
#
# $$L = \frac{1}{H} \sum_{h=1}^{H} \frac{1}{N_h} \sum_{(i, t, y) \in h} \ell_t(\hat y_{it}, y)$$
#
# $H$ is the number of heads, $N_h$ the number of labels of head $h$ in the batch, and $\ell_t$ the loss of task $t$. Every
# *label* of a head counts the same. So a task with few labels counts little.
#
# **Exercise 05.4** The dataset `b3db` has two tasks in one head, `BBB` and `logBB`. What share of the training labels
# of this head belongs to logBB? Use `data.tasks`, column `n_train`.

# %%
part = ...  # between 0 and 1
### BEGIN SOLUTION
counts = data.tasks.set_index("task").n_train
part = counts["b3db/logBB"] / (counts["b3db/logBB"] + counts["b3db/BBB"])
### END SOLUTION
check("05.4", part, data)

# %% [markdown]
# The alternative is to take the mean of each task first, and then the mean over tasks. Then logBB counts one half, and
# each of its labels counts about seven times as much as one of BBB. Both are choices: the first can neglect a sparse
# task, the second lets a few labels, and their noise, steer the trunk.
#
# What you can set in `molfm.train`:
#
# | setting | what it changes |
# |---|---|
# | `dataset_weights={"b3db": 4}` | the weight of a dataset's heads in the mean |
# | `batch_size={"b3db": 32, "xtb": 64}` | how many molecules of each dataset a step sees |
# | `fractions={"xtb": 0.1}` | the share of a dataset that one epoch (one pass over the training data) uses |
# | `temperature=3` | draws each dataset in proportion to (its size)^(1/3), so small ones come more often |
#
# Methods such as GradNorm (Chen et al. 2018, [arXiv 1711.02257](https://arxiv.org/abs/1711.02257)) adapt the weights during training, so
# that all tasks learn at a similar pace.
#
# ## 6. Do tasks agree?
#
# Each task would change the trunk in its own way. Its *gradient* $g_t$ describes how: it is a vector with one number
# per weight, and points to where the loss grows fastest. A training step goes the opposite way. Two tasks agree if
# their gradients point in the same direction. The *cosine* measures this:
#
# $$\cos(g_a, g_b) = \frac{g_a \cdot g_b}{\lvert g_a \rvert\, \lvert g_b \rvert}$$
#
# A cosine of 1 means the same direction, and 0 means that the gradients are perpendicular. Below 0 there is a
# *conflict*: each step for one task undoes a part of the other's.
#
# **Predict before you run.** We train on atomic charges (quantum chemistry) and on a test whether a substance activates the
# AhR receptor (biology). Which cosine do their gradients have, averaged over training?

# %%
my_cosine = ...  # between -1 and 1
### BEGIN SOLUTION
my_cosine = 0.3
### END SOLUTION

# %%
from molfm.plots.runs import conflict_matrix
from molfm.training.curves import mean_cosines

six = ["xtb/charge", "xtb/bond_order", "xtb/homo", "b3db/BBB"]
six += ["toxcast/TOX21_AhR_LUC_Agonist", "toxcast/TOX21_ERa_LUC_VM7_Agonist"]
settings = {"hidden_channels": 48, "num_layers": 3, "learning_rate": 3e-3}
run = molfm.train(data, tasks=six, steps=budget(120, fast=4), conflicts=True, seed=0, **settings)
cosines = mean_cosines([run.folder])
pair = cosines[(cosines.one == "xtb/charge") & (cosines.other == "toxcast/TOX21_AhR_LUC_Agonist")]
if pair.empty:
    pair = cosines[(cosines.other == "xtb/charge") & (cosines.one == "toxcast/TOX21_AhR_LUC_Agonist")]
reveal(my_cosine, round(pair.cosine.item(), 2), "cosine of charges and AhR")

# %% alt="Matrix of cosines between the gradients of six tasks. All 15 are within 0.1 of zero. The largest is that of charges and homo."
conflict_matrix(cosines, "one run, seed 0")

# %% [markdown]
# All pairs are close to zero: in a space of tens of thousands of weights, two directions are rarely parallel. Read the
# numbers with care: each is the mean over a few batches of one run. A small cosine does not mean that tasks cannot help
# each other, because a gradient describes only one small step.
#
# **PCGrad** (Yu et al. 2020, [arXiv 2001.06782](https://arxiv.org/abs/2001.06782)) removes conflicts: if $g_a \cdot g_b < 0$,
# it takes away the part of $g_a$ that points against $g_b$:
#
# $$g_a \leftarrow g_a - \frac{g_a \cdot g_b}{\lvert g_b \rvert^2}\, g_b$$
#
# **Exercise 05.5** Write this for NumPy vectors. Without a conflict, $g_a$ must not change.


# %%
def without_conflict(a, b):
    """Return gradient a without the part that points against gradient b."""
    result = ...
    ### BEGIN SOLUTION
    product = a @ b
    result = a - product / (b @ b) * b if product < 0 else a
    ### END SOLUTION
    return result


check("05.5", without_conflict)

# %% [markdown]
# ## 7. Rare classes
#
# Most substances are inactive in most assays. What does accuracy (the share of right answers) say then?

# %%
assays = tasks[tasks.dataset == "toxcast"].set_index("task")
active = assays.positive_rate
print(f"median share of active molecules in {len(assays)} assays: {100 * active.median():.1f}%")
print(f"accuracy of always answering 'inactive' there: {100 * (1 - active.median()):.1f}%")

# %% [markdown]
# A useless network looks excellent. So we use the *AUROC* (area under the receiver operating characteristic): the
# probability that a random active molecule gets a higher score than a random inactive one. Chance gives 0.5 and a
# perfect order gives 1, whatever the share of actives. *Average precision* looks at the top of the ranked list instead:
# how many of the molecules there are active? Here chance gives the share of actives.
#
# ## 8. The experiment: one assay, four, sixty
#
# Now the question of this lesson. Four assays of the Tox21 programme keep only 200 training labels each. We train a network on each
# *alone*, on the *four* together, and on the four together with the 56 other Tox21 assays of ToxCast, which keep *all* labels.
# The test molecules have new scaffolds, and every run takes the same number of steps.

# %%
four = ["AhR_LUC_Agonist", "ERa_LUC_VM7_Agonist", "MMP_ratio_down", "p53_BLA_p1_ratio"]
four = [f"toxcast/TOX21_{name}" for name in four]
sixty = list(assays.index[assays.family == "TOX21"])


def train_on(chosen, seed):
    """Train on these tasks, and return the AUROC on test molecules of those of the four that are among them."""
    mine = [task for task in four if task in chosen]
    few = dict.fromkeys(mine, 200)
    steps = budget(150, fast=3)
    plan = {"steps": steps, "validate_every": max(1, steps // 3), "batch_size": 64, "watch": mine, **settings}
    run = molfm.train(data, tasks=chosen, seed=seed, n_labels=few, progress=False, **plan)
    return run.results.query("split == 'test' and metric == 'auroc'").set_index("task").value[mine]


rows = []
for seed in range(budget(4, fast=2)):
    arms = {"alone": [[task] for task in four], "four": [four], "sixty": [sixty]}
    for arm, trainings in arms.items():
        scores = pd.concat([train_on(chosen, seed) for chosen in trainings])
        rows += [{"trained": arm, "seed": seed, "assay": task[14:], "AUROC": score} for task, score in scores.items()]
        print(f"seed {seed}, {arm}: mean AUROC {scores.mean():.3f}")
scores = pd.DataFrame(rows)

# %% alt="AUROC on molecules with new scaffolds for four assays, trained alone, with the three others, and with 56 further assays; one point per seed, four seeds, 200 training labels per assay. With sixty assays, p53 rises from about .60 to .69 and MMP from .67 to .71, AhR falls from .72 to .68, and ERa changes little." slide="With 56 further assays, some of the four assays gain and others lose (200 training labels each, four seeds)"
title = "200 training labels per assay; one point per seed"
figure = px.strip(scores, x="assay", y="AUROC", color="trained", title=title)
figure.update_traces(marker_size=9)
figure.update_layout(yaxis_title="AUROC on new scaffolds")

# %% [markdown]
# Each seed gives a *pair*: both networks start from the same weights and see the same labels of the four assays. So look at
# differences within seeds. For $n$ differences with mean $\bar d$ and standard deviation $s$ (computed with $n - 1$),
# the 95% interval is
#
# $$\bar d \;\pm\; t_{n-1} \cdot \frac{s}{\sqrt{n}}$$
#
# where $t_{n-1}$ is the 97.5% point of Student's t distribution: 3.18 for four seeds (`scipy.stats.t.ppf(0.975, n - 1)`).
#
# **Exercise 05.6** Compute the interval for "sixty minus alone". `difference` has one value per seed.

# %%
means = scores.groupby(["seed", "trained"]).AUROC.mean().unstack()  # over the four assays
difference = means["sixty"] - means["alone"]
interval = ...  # [low, high]
### BEGIN SOLUTION
from scipy.stats import t

half = t.ppf(0.975, len(difference) - 1) * difference.std() / len(difference) ** 0.5
interval = [difference.mean() - half, difference.mean() + half]
print(f"{difference.mean():+.3f} ({interval[0]:+.3f} to {interval[1]:+.3f})")
### END SOLUTION
check("05.6", interval, difference)

# %% [markdown]
# The mean of four assays can hide that one gains and another loses. Here they are one by one, averaged over seeds:

# %%
per_assay = scores.pivot_table(index="assay", columns="trained", values="AUROC")[["alone", "four", "sixty"]]
per_assay.assign(**{"sixty − alone": per_assay["sixty"] - per_assay["alone"]}).round(3)

# %% [markdown]
# In our runs the interval contains zero: these four seeds cannot tell whether the four assays gain on average. But the
# mean hides two stories:
#
# - **p53 gains most.** Among the sixty is `p53_BLA_p2_ratio`, a sister test of the same protein, with all its labels.
# - **AhR loses.** A possible reason: most of each step now belongs to other assays, and AhR's 200 labels come up less
#   often.
#
# So "does it help to learn many tasks together?" has no single answer. It depends on the assay, on how many labels it
# has, and on the others. With more seeds the interval becomes narrower. In a larger study (`benchmarks/transfer.md`),
# 57 assays of one technology (reporter genes) with 128 labels each gained 0.037 in AUROC (95% interval 0.015 to 0.059)
# when they were trained together with assays of another technology.
#
# **Your turn.** In the lab below, choose the target `logBB` with 128 labels, first alone, then with the tasks of `xtb` added. Press
# Start each time, and compare both curves with the random forest's line. Nothing runs until you press Start.

# %%
from molfm.widgets import TrainingLab

TrainingLab(data)

# %%
progress("05")

# %% [markdown]
# ## Discussion
#
# 1. In section 8 all arms took 150 steps. A network that learns sixty assays must divide its steps among them. Is that a
#    fair comparison? Which other comparison would be fair?
# 2. Some assays measure nearly the same, such as two tests of one receptor. Why would a gain from one to the other be less
#    impressive, and when would it be cheating?
# 3. You care about one task only. Which of the settings of section 5 would you change, and what could go wrong?
#
# ## Quiz
#
# Click on an answer to see whether it is right, and why.
#
# **1. What do all tasks of the network share?**
# <details><summary>The heads.</summary>No. Each dataset and level has a head of its own.</details>
# <details><summary>The encoder and the trunk.</summary>Right. What one task teaches them is there for all.</details>
# <details><summary>The labels.</summary>No. Each task has its own labels, often of other molecules.</details>
#
# **2. Why is a factor of 0 not enough to ignore a NaN label?**
# <details><summary>Because 0 · NaN is NaN.</summary>Right. The loss and the gradients become NaN. Leave such labels out, or do not store them.</details>
# <details><summary>Because 0 is too small a number.</summary>No. Every other label would be ignored properly.</details>
# <details><summary>It is enough.</summary>Look at section 3 again: the loss became NaN.</details>
#
# **3. Two tasks have 10,000 and 100 labels and share a head. molfm averages over labels. What follows?**
# <details><summary>Both tasks count the same.</summary>That would be the mean per task.</details>
# <details><summary>The small task counts more, because it is rare.</summary>No method here does that unless you set a weight.</details>
# <details><summary>The small task has about one percent of the loss.</summary>Right, if their losses are of similar size. With separate heads you can change that.</details>
#
# **4. The cosine of two tasks' gradients is −0.4. What does it mean?**
# <details><summary>A step for one task undoes a part of the other's.</summary>Right. PCGrad would remove that part.</details>
# <details><summary>The labels of both tasks are correlated with −0.4.</summary>No. It compares directions in the space of weights, not labels.</details>
# <details><summary>One of the tasks is wrong.</summary>No. Both can be right and still need different trunks.</details>
#
# **5. 5% of the molecules are active. A network has an accuracy of 95%. What do you know?**
# <details><summary>It is a good network.</summary>Always answering "inactive" also reaches 95%.</details>
# <details><summary>It finds 95% of the actives.</summary>It may find none at all.</details>
# <details><summary>Hardly anything; ask for AUROC or average precision.</summary>Right. Both ask whether actives get higher scores than inactives.</details>
#
# ## Further reading
#
# - Caruana 1997, *Multitask learning*, [doi 10.1023/A:1007379606734](https://doi.org/10.1023/A:1007379606734)
# - Chen et al. 2018, *GradNorm: gradient normalization for adaptive loss balancing in deep multitask networks*, [arXiv 1711.02257](https://arxiv.org/abs/1711.02257)
# - Yu et al. 2020, *Gradient surgery for multi-task learning*, [arXiv 2001.06782](https://arxiv.org/abs/2001.06782)
# - Beaini et al. 2023, *Towards foundational models for molecular learning on large-scale multi-task datasets*, [arXiv 2310.04292](https://arxiv.org/abs/2310.04292)
