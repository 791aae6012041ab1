# %% [markdown]
# # 7. From quantum to biology: does one task really help another?
#
# **Goals.** After this lesson you can
#
# - say what makes a comparison of two trainings fair, and recognize four ways in which it can be unfair,
# - compute an interval from paired seeds, and the smallest difference that your study could have seen,
# - correct p-values for many comparisons,
# - read a transfer study, and say "cannot tell" without shame.
#
# **You need** lessons 2 (splits), 3 (networks) and 5 (many tasks in one network). **Time:** about 75 minutes; the cells run for
# two to four of them.
#
# Biological labels are scarce: each one costs an experiment. Quantum labels are cheap: a computer makes millions of them.
# In 2023, Beaini et al. ([arXiv 2310.04292](https://arxiv.org/abs/2310.04292)) trained one network on both. Their headline:
# a network that has only a few biological labels gains from many quantum labels. If that is true, it changes drug
# discovery. Is it true?

# %% [markdown]
# ## 1. An early success: your own transfer study
#
# *Transfer* means that training on one task, the *source*, improves the predictions for another, the *target*. Our first target is
# logBB (the logarithm of a drug's concentration in the brain, divided by that in the blood), with only 128 training labels.
# The source is `xtb`: ten computed quantum properties of the same kind of molecules.
#
# **Predict before you run.** The measure is R² on new molecules (1 is perfect, 0 is as good as the mean). Trained on logBB
# alone, the network will reach about 0.26. By how much will R² change if it learns the quantum properties at the same time?
# Write your guess with its sign.

# %%
import numpy as np
import pandas as pd
from scipy import stats

from molfm.lessons import budget, check, progress, reveal
from molfm.plots.transfer import transfer_strip

my_guess = ...  # such as +0.2 or -0.1
### BEGIN SOLUTION
my_guess = 0.15
### END SOLUTION

# %%
data = molfm.load("minimix")
recipe = {"learning_rate": 2e-3, "schedule": "cosine", "warmup": 0.1, "hidden_channels": 48, "num_layers": 3}
first = molfm.transfer(
    data, ["logBB"], ["xtb"], "cotrain", seeds=budget(4, fast=2), n_labels=128, steps=budget(120, fast=3), **recipe
)
first.table[["target", "source", "regime", "seeds", "baseline", "value", "difference", "low", "high", "verdict"]].round(
    3
)

# %%
reveal(
    my_guess,
    round(float(first.table.difference[0]), 3),
    "change of R² by computed quantum properties, logBB from 128 labels",
)

# %% [markdown]
# One row holds the whole study. `regime` says how the source was used: `cotrain` trains on source and target together. (The
# message above the table also names `finetune` and `probe`. Section 6 explains them.) `baseline` is the mean R² alone,
# `value` the mean R² with the source, and `difference` is `value` minus `baseline`. `low` and `high` are the ends of the
# *95% interval* of the difference: the range of true differences that fit the data. If the interval contains 0, the study
# *cannot tell*. That is not the same as "there is no effect".

# %% alt="The difference in R² for logBB with xtb trained together: a point with its 95% interval, small marks for the seeds, and a grey band of differences too small to detect."
first.figure()

# %% [markdown]
# The large point is the mean difference with its interval. The grey band shows differences that are too small for this study
# to detect; section 3 explains it. The small marks are the *seeds*. A seed is the number from which a random generator
# starts. It decides which 128 labels are drawn, the order of the molecules and the first weights. Look how far the marks lie
# apart: a study with one seed could have reported any of them.
#
# ## 2. What a fair comparison is
#
# The two sides of a comparison are its *arms*: here the target alone, and the target with the source. Only the source may
# differ between them. `molfm.transfer` keeps everything else equal:
# | equal in both arms | why |
# |---|---|
# | the training labels of the target | more labels help by themselves |
# | the number of *updates* (steps) that see the target | longer training helps by itself |
# | the seed of each pair | the luck of the draw cancels in the difference |
# | the test molecules | some molecules are easier than others |
# | the hidden labels: no source label of a test molecule is used | a related assay of the same molecule may give the answer away |
#
# **Exercise 07.1** Here are five comparisons. Which of them are *unfair*, so that the source seems to teach more than it
# does? Give the letters as a list.
#
# - **A.** Both arms train for 300 epochs (an *epoch* is one pass over all data of the arm). The arm with the source has twenty
#   times as much data, so its network is updated twenty times as often.
# - **B.** Both arms have the same target labels, the same number of updates that see the target, and the seeds 0 to 9.
# - **C.** Target: the class "active on the estrogen receptor" in one laboratory. Source: the same receptor in another laboratory, for all
#   molecules, the test molecules too.
# - **D.** Alone: mean of five seeds. With the source: the best of five seeds.
# - **E.** Target: logBB. Source: BBB, which says whether a molecule crosses the blood-brain barrier.

# %%
unfair = ...  # such as ["A", "B"]
### BEGIN SOLUTION
unfair = ["A", "C", "D", "E"]
### END SOLUTION
check("07.1", unfair)

# %% [markdown]
# Comparison E needs a look at the data. Take the molecules that have both labels, and compare their class BBB with their logBB.

# %%
both = pd.DataFrame({"BBB": data.labels("BBB"), "logBB at least −1": data.labels("logBB") >= -1})[
    data.labels("logBB").notna()
]
pd.crosstab(both["logBB at least −1"], both.BBB)

# %% [markdown]
# There is no exception: for these molecules, BBB *is* logBB, cut at −1. It is one measurement under two names. A network
# that learns one from the other learns nothing about biology. molfm knows this from the data card and refuses.

# %%
try:
    molfm.transfer(data, ["logBB"], ["BBB"], n_labels=128)
except ValueError as refusal:
    print(refusal)

# %% [markdown]
# ## 3. The interval, by hand
#
# Let $d_1, …, d_n$ be the differences of $n$ paired seeds. Their mean is $\bar d$, their standard deviation $s$. Student's
# interval is
#
# $$\bar d \;\pm\; t_{n-1} \, \frac{s}{\sqrt n}, \qquad s^2 = \frac{1}{n-1}\sum_i (d_i - \bar d)^2$$
#
# The factor $t_{n-1}$ is 12.7 for two seeds, 3.2 for four, 2.8 for five and approaches 1.96 for many. With few seeds you do not know
# the scatter well, and the interval pays for that. (W. S. Gosset published this in 1908 as "Student"; he tested barley for a brewery.)

# %%
first.by_seed[["seed", "difference"]].round(3)

# %% [markdown]
# **Exercise 07.2** Compute both ends of the interval from these differences. `stats.t.ppf(0.975, n - 1)` is the factor.
# Use `ddof=1` for the standard deviation.

# %%
d = first.by_seed.difference.to_numpy()
interval = ...  # (low, high)
### BEGIN SOLUTION
half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
interval = (d.mean() - half, d.mean() + half)
### END SOLUTION
check("07.2", interval, d)

# %%
row = first.table.iloc[0]
own = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
print(f"half-width from the seeds: {own:.3f}; in the table: {(row.high - row.low) / 2:.3f}")

# %% [markdown]
# The table's interval is wider. It also covers the luck of the test set: other test molecules would give another
# difference. Let $s_\text{test}$ be the standard error of the difference over test molecules, that is, how much it would
# scatter with other test molecules. molfm adds the squares of both parts:
#
# $$\text{half-width}^2 = \left(t_{n-1}\frac{s}{\sqrt n}\right)^2 + (1.96\, s_\text{test})^2$$
#
# ### The smallest difference that you could have seen
#
# "We found nothing" is worth little without "and we would have seen anything above …". The *detectable difference* is the size of
# a true difference that such a study would find four times in five. From the seeds alone, it is about
#
# $$\delta = (t_{n-1,\,0.975} + t_{n-1,\,0.8})\,\frac{s}{\sqrt n}$$

# %%
print(
    f"logBB: a change of R² below {row.detectable:.2f} would probably have been missed ({row.seeds} seeds, {row.n_test} test labels)."
)

# %% [markdown]
# Here $t_{n-1,\,0.975}$ is the factor $t_{n-1}$ from above, and $t_{n-1,\,0.8}$ is `stats.t.ppf(0.8, n - 1)`. The value that
# molfm prints also contains the luck of the test set.
#
# **Exercise 07.3** How many seeds do you need? Suppose that the scatter of the difference over seeds is $s = 0.05$ and that you want
# an interval of ±0.02. Find the smallest $n$ with $t_{n-1}\, s / \sqrt n \le 0.02$. Try $n = 2, 3, 4, …$ in a loop.

# %%
n_seeds = ...  # a whole number
### BEGIN SOLUTION
n_seeds = 2
while stats.t.ppf(0.975, n_seeds - 1) * 0.05 / np.sqrt(n_seeds) > 0.02:
    n_seeds += 1
### END SOLUTION
check("07.3", n_seeds)

# %% [markdown]
# `molfm.transfer(…, precision=0.02)` does this for you. It adds seeds until the interval is narrow enough, and it looks only at
# the width, never at the difference. If you stop as soon as you like the result, your interval is worth nothing: section 4
# shows an example.
#
# ### Is the network alone worth beating?
#
# If the baseline is bad, even a poor source can look helpful. So compare "alone" with a model that is not a network: a
# *random forest* (the mean of many decision trees) on Morgan fingerprints (counts of small groups of neighbouring atoms),
# with the same labels.

# %%
forest = first.reference()
print(
    f"R² of logBB from 128 labels, mean of {len(forest)} seeds: forest {forest.value.mean():.2f}, network alone {row.baseline:.2f}"
)

# %% [markdown]
# In our run, both reach an R² of 0.26. So the baseline is no worse than a forest.
#
# ## 4. Many targets: biology from quantum, biology from biology
#
# One target with few labels is too noisy. Eight related targets, trained in one network, give a mean that scatters less. We
# take eight *reporter gene* assays of ToxCast. Such an assay adds a gene to a cell, here a liver cell. The gene gives a
# signal if a chemical switches on a certain receptor or a similar control protein. Each assay has 256 training labels. There
# are two sources:
#
# - `xtb`, quantum labels: the question,
# - `toxcast/TOX21`, sixty assays of other laboratories: the *positive control*. Related biology should help. If you cannot
#   see even this gain, the study is too weak to say anything about quantum chemistry.

# %%
REPORTERS = [
    "ATG_ERE_CIS_up",  # estrogen receptor
    "ATG_ERa_TRANS_up",
    "ATG_PXRE_CIS_up",  # PXR: breakdown of drugs
    "ATG_PXR_TRANS_up",
    "ATG_Ahr_CIS_up",  # AhR: dioxins and flat aromatics
    "ATG_NRF2_ARE_CIS_up",  # NRF2: oxidative stress
    "ATG_VDRE_CIS_up",  # vitamin D receptor
    "ATG_PPARg_TRANS_up",  # PPAR gamma: fat cells
]
budgets = {"n_labels": 256, "steps": budget(150, fast=3), "target_batch": 64, "source_batch": 32}
study = molfm.transfer(
    data, [REPORTERS], ["toxcast/TOX21", "xtb"], ["alone", "cotrain"], seeds=budget(5, fast=2), **budgets, **recipe
)

# %%
study.means[
    [
        "source",
        "regime",
        "seeds",
        "n_targets",
        "baseline",
        "value",
        "difference",
        "low",
        "high",
        "p_adjusted",
        "verdict",
    ]
].round(3)

# %% alt="Two rows: with TOX21 and with xtb. Both mean differences are near +0.01 in AUROC, and both intervals contain 0. The dots of the eight single assays scatter from −0.015 to +0.024." slide="A small study cannot tell: eight assays, five seeds, and both intervals contain 0, even for related biology"
transfer_strip(study.table, study.means)

# %% [markdown]
# The large marks are means of eight assays with their intervals; the dots are single assays. (Section 5 explains the column
# `p_adjusted`.)
#
# In our run, both sources gain about 0.01 in AUROC (the share of pairs of an active and an inactive molecule that the
# network puts in the right order; 0.5 is chance), and both intervals contain 0. Look at the positive control: if even
# related biology shows no clear gain, the study is too small to judge quantum chemistry. The honest sentence is: "A gain
# below the detectable difference would have been missed."
#
# ### Turn the slider
#
# Open the study in the `TransferExplorer`. Click the cell of the mean (the top row) and move the slider "Pairs used" from 5
# down to 2. At how many seeds does the interval exclude 0? Then click a single assay. Which molecules gained most? (Without a
# running kernel you see a small preview.)
#
# The column for `finetune` (first the source, then the targets) is empty, because it has not been run. An empty cell shows
# how long its training takes. Click on one if you have the time.

# %%
from molfm.widgets import TransferExplorer

TransferExplorer(study, regimes=["alone", "cotrain", "finetune"])

# %% [markdown]
# Here is the same by hand, with your formula from section 3: the interval over the first 2, 3, 4 and 5 seeds, without the
# luck of the test set.

# %%
by_seed = study.by_seed.groupby(["source", "seed"]).difference.mean()  # mean of the eight assays
rows = []
for source in by_seed.index.levels[0]:
    for n in range(2, len(by_seed[source]) + 1):
        d = by_seed[source].to_numpy()[:n]
        half = stats.t.ppf(0.975, n - 1) * d.std(ddof=1) / np.sqrt(n)
        low, high = d.mean() - half, d.mean() + half
        rows.append([source, n, d.mean(), low, high, "yes" if low <= 0 <= high else "no"])
pd.DataFrame(rows, columns=["source", "seeds", "difference", "low", "high", "contains 0"]).round(3)

# %% [markdown]
# In our run, the interval of TOX21 contained 0 after two and three seeds. After four it did not. After five it stood on the
# edge: the interval over seeds just excluded 0. The interval in the table above, which includes the luck of the test set,
# did not exclude it. Someone who stops when the result is nice would have stopped at four and written "helps". **Decide how
# many seeds you take before you look.**
#
# ## 5. Sixteen comparisons are sixteen chances to be wrong
#
# The table of single assays has sixteen rows: eight targets times two sources. The *p-value* of a row is the chance of a
# difference at least as large, in either direction, if the source did nothing. With the limit $p < 0.05$, one in twenty
# useless sources seems to have an effect. If all $m$ sources are useless, you expect $0.05\,m$ false discoveries.
#
# Benjamini and Hochberg (1995) control the share of false ones *among your discoveries*. Sort the p-values, $p_{(1)} \le … \le p_{(m)}$.
# The *adjusted p* of the $i$-th is
#
# $$\tilde p_{(i)} = \min_{j \ge i}\; \min\!\left(1,\; \frac{m}{j}\, p_{(j)}\right)$$
#
# In words: multiply the smallest p by $m$, the next by $m/2$, and so on to $m/m$. Then make sure that no adjusted value is
# above one further down the list; if it is, replace it by that smaller value.
#
# **Exercise 07.4** You have four comparisons with p = 0.01, 0.03, 0.035 and 0.30. Compute the four adjusted values, in this order.

# %%
adjusted = ...  # a list of four numbers
### BEGIN SOLUTION
p = np.array([0.01, 0.03, 0.035, 0.30])
scaled = p * len(p) / np.arange(1, len(p) + 1)
adjusted = np.minimum.accumulate(scaled[::-1])[::-1]
### END SOLUTION
check("07.4", adjusted)

# %%
table = study.table[["target", "source", "difference", "p", "p_adjusted", "detectable", "verdict"]]
print(
    f"{(table.p < 0.05).sum()} of {len(table)} have p < 0.05, {(table.p_adjusted <= 0.05).sum()} after the correction"
)
table.sort_values("p").head(6).round(3)

# %% [markdown]
# Look at the column `detectable`: in a single assay, this study would probably miss smaller differences. A paper that
# reports one assay from one run may report luck. The mean of many assays tells more, because their errors partly cancel.
#
# ## 6. The large study
#
# What you ran is a small copy of a study that takes hours. Its settings and commands are in the file `benchmarks/transfer.md` of
# molfm's repository. The targets are up to 179 ToxCast assays, with 128 labels each except in the last row of the table.
# The measure is the mean AUROC over the assays, on molecules with new scaffolds (ring systems with their
# linkers). There are four *regimes*, ways to use a source:
#
# - **alone**: the target only, the baseline,
# - **together** (`cotrain`): source and target in every step,
# - **fine-tuned** (`finetune`): first the source, then the target,
# - **probe**: first the source, then the body (encoder and trunk) is frozen, so its weights stay, and only a linear head
#   learns the target.
#
# | targets | source | regime | seeds | difference (95% interval) | verdict |
# |---|---|---|---|---|---|
# | 170 assays | quantum: xtb + QM9 | together | 10 | −0.012 (−0.026 to +0.001) | cannot tell |
# | 170 assays | quantum: xtb + QM9 | fine-tuned | 10 | +0.004 (−0.004 to +0.011) | cannot tell |
# | 172 assays | drawn numbers | together | 5 | +0.001 (−0.008 to +0.010) | cannot tell |
# | 57 assays ATG | 41 assays BSK | together | 5 | +0.037 (+0.015 to +0.059) | helps |
# | 41 assays BSK | 57 assays ATG | together | 16 | +0.067 (+0.011 to +0.124) | helps |
# | 179 assays, all labels | quantum: xtb + QM9 | together | 3 | −0.018 (−0.026 to −0.010) | hurts |
#
# (Source: `benchmarks/transfer.md`. *Drawn numbers* are random labels. ATG are reporter genes in a liver cell line. BSK are
# proteins of primary human cells.) You can read four things from it:
#
# 1. With few labels, learning quantum labels *before* the biology gives no visible gain, and a gain of more than about 0.01
#    is ruled out.
# 2. **Two controls frame this answer.** Drawn numbers as a source make no visible difference, so a second task as such does
#    no visible harm. Other biology helps, so the study can see a gain when there is one.
# 3. With all labels, learning quantum labels *together* with the biology hurts: the whole interval is below 0.
# 4. All 340 comparisons of single assays in the first two rows are "cannot tell". In a single assay with 128 labels, only a
#    difference of about 0.1 would have been found.
#
# ## 7. Where does the published gain come from?
#
# The paper reports these values of AUROC for Tox21, with the network GINE: 0.783 alone, 0.836 together with QM9 and ZINC12K.
# (The three datasets are called ToyMix.) Both networks were trained for 300 epochs, with batches of 320 molecules. On Tox21
# alone, an epoch has 20 updates. On all of ToyMix, it has 376. So *equal epochs* are not *equal updates*.
#
# **Exercise 07.5** On all of ToyMix, 30 epochs are 11,280 updates. For how many epochs must you train on Tox21 alone, with
# 20 updates per epoch, to get as many updates?

# %%
epochs = ...  # a whole number
### BEGIN SOLUTION
epochs = 11_280 / 20
### END SOLUTION
check("07.5", epochs)

# %% [markdown]
# The developers of molfm trained three networks at a tenth of the published length (mean ± standard deviation over 3 seeds,
# source `benchmarks/transfer.md`):
#
# | Tox21 | epochs | updates | AUROC |
# |---|---|---|---|
# | alone, batches of 320 | 30 | 600 | 0.650 ± 0.012 |
# | with QM9 and ZINC12K | 30 | 11,280 | 0.760 ± 0.002 |
# | alone, batches of 17 | 30 | 11,070 | 0.779 ± 0.001 |
#
# At equal epochs, "together" gains 0.110. At nearly equal updates, it loses 0.019. So at this length **the gain came from
# more updates**, not from quantum chemistry. Nobody has repeated the full length on all of ToyMix here, so the published
# 0.836 is neither confirmed nor refuted. But the published baseline is weak: with 300 epochs, "alone" reached 0.807 here
# instead of 0.783, and 0.832 with better training settings.
#
# This is no reason to laugh at the paper: it gave everyone data, code and a question. **An honest "cannot tell" with an
# interval is a result too.**

# %%
progress("07")

# %% [markdown]
# ## Discussion
#
# 1. A group reports: "No significant effect of quantum pretraining (p = 0.4, three seeds)." What else do you want to know?
# 2. Could quantum labels help with targets other than those of this lesson? Name one, and say what you would choose as the positive control.
# 3. You can afford 20 runs. Would you study one source with 10 seeds (two runs per seed), or two sources with 6 seeds (three
#    runs per seed: alone, and with each source)? What does it depend on?
#
# ## Quiz
#
# Click on an answer to see whether it is right, and why.
#
# **1. Why are seeds paired?**
# <details><summary>So that the training takes half as long.</summary>It takes exactly as long.</details>
# <details><summary>So that the luck of labels and starting weights is shared and cancels in the difference.</summary>Right. What both arms share cannot make a difference.</details>
# <details><summary>So that both arms have the same result.</summary>They may differ: that is the question.</details>
#
# **2. The interval is −0.03 to +0.05. What do you write?**
# <details><summary>There is no effect.</summary>An effect of +0.04 fits these data too.</details>
# <details><summary>The source helps, because the middle is positive.</summary>The interval also contains negative values.</details>
# <details><summary>We cannot tell; an effect above 0.05 is unlikely.</summary>Right. The interval says both.</details>
#
# **3. What is a positive control for?**
# <details><summary>It shows that the study can find an effect that is there.</summary>Right. Without it, "nothing found" may mean "nothing could be found".</details>
# <details><summary>It makes the effect positive.</summary>It does not change the other comparisons.</details>
# <details><summary>It replaces the baseline.</summary>The baseline stays the target alone.</details>
#
# **4. You test 100 useless sources at p < 0.05 without correction. How many do you expect to seem to have an effect?**
# <details><summary>None.</summary>Each has a chance of one in twenty.</details>
# <details><summary>About five.</summary>Right: 100 · 0.05.</details>
# <details><summary>About fifty.</summary>That would be p < 0.5.</details>
#
# **5. Two networks were trained for 100 epochs. Is this the same amount of training?**
# <details><summary>Yes, epochs are the unit of training.</summary>An epoch is one pass over the data, and the data differ.</details>
# <details><summary>Yes, if both have the same size.</summary>The size of the network does not change the number of updates.</details>
# <details><summary>Only if both have the same number of updates per epoch.</summary>Right. Epochs of different data differ in length, so count the updates.</details>
#
# ## Further reading
#
# - Beaini et al. 2023, *Towards foundational models for molecular learning on large-scale multi-task datasets*, [arXiv 2310.04292](https://arxiv.org/abs/2310.04292)
# - Bouthillier et al. 2021, *Accounting for variance in machine learning benchmarks*, [arXiv 2103.03098](https://arxiv.org/abs/2103.03098)
# - Benjamini and Hochberg 1995, *Controlling the false discovery rate*, [doi 10.1111/j.2517-6161.1995.tb02031.x](https://doi.org/10.1111/j.2517-6161.1995.tb02031.x)
