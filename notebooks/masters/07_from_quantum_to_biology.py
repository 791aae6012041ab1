# %% [markdown]
# # 7. From quantum to biology: does one task really help another?
#
# **Goals.** After this lesson you can
#
# - say what makes a comparison of two trainings fair, and recognize four ways to make it unfair,
# - compute an interval from paired seeds, and the smallest difference that your study could have seen,
# - correct p-values for many comparisons,
# - read a transfer study, and say "cannot tell" without shame.
#
# **You need** lessons 2 (splits), 3 (networks) and 5 (many tasks in one network). **Time:** about 75 minutes; the cells run for
# two to four of them.
#
# Labels about life are scarce: each one costs an experiment. Quantum labels are cheap: a computer makes millions of them.
# In 2023, Beaini et al. ([arXiv 2310.04292](https://arxiv.org/abs/2310.04292)) trained one network on both. Their
# headline: a little biology learns from a lot of quantum chemistry. If that is true, it changes drug discovery. Is it true?

# %% [markdown]
# ## 1. An early success: your own transfer study
#
# *Transfer* means that training on one task, the *source*, improves the predictions for another, the *target*. Our first target is
# logBB (the logarithm of a drug's concentration in the brain, divided by that in the blood), with only 128 training labels.
# The source is `xtb`: ten computed quantum properties of the same kind of molecules.
#
# **Predict before you run.** The measure is R² on new molecules (1 is perfect, 0 is as good as the mean). The network
# alone will reach about 0.25. By how much will R² change if the network learns quantum properties at the same time? Write your
# guess with its sign.

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
# One line holds the whole study. `baseline` is the mean R² alone, `value` the mean R² with the source. `low` and `high`
# are the ends of the *95% interval* of the difference: the range of true differences that fit the data. If the interval contains 0, the
# study *cannot tell*. That is not the same as "there is no effect".

# %% alt="The difference in R² for logBB with xtb trained together: a point with its 95% interval, small marks for the seeds, and a grey band of differences too small to detect."
first.figure()

# %% [markdown]
# The small marks are the *seeds*. A seed is the start of the random numbers. It decides which 128 labels are drawn, the order of the molecules and the first
# weights. Look how far the marks lie apart: a study with one seed could have reported any of them.
#
# ## 2. What a fair comparison is
#
# Only one thing may differ between the two arms of a comparison: the source. `molfm.transfer` keeps equal
#
# | | why |
# |---|---|
# | the training labels of the target | more labels help by themselves |
# | the number of *updates* (steps) that see the target | longer training helps by itself |
# | the seed of each pair | the luck of the draw cancels in the difference |
# | the test molecules | some molecules are easier than others |
# | what is hidden: source labels of the test molecules | a related assay of the same molecule may give the answer away |
#
# **Exercise 07.1** Five comparisons. Which of them are *unfair*, so that the arm with the source looks better than it is? Give the letters as a list.
#
# - **A.** Both arms train for 300 epochs (an *epoch* is one pass over all data of the arm). With the source there is twenty
#   times as much data, so the network is updated twenty times as often.
# - **B.** The arms have the same labels, the same number of updates of the target, and the seeds 0 to 9.
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
# Comparison E needs a look at the data. Compare the class BBB with logBB, where a molecule has both.

# %%
both = pd.DataFrame({"BBB": data.labels("BBB"), "logBB at least −1": data.labels("logBB") >= -1})[
    data.labels("logBB").notna()
]
pd.crosstab(both["logBB at least −1"], both.BBB)

# %% [markdown]
# No exception: BBB *is* logBB, cut at −1. It is one measurement under two names. A network that learns one from the other learns
# nothing about biology. molfm knows this from the data card and refuses.

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
# The table's interval is a little wider. It also covers the luck of the test set: other test molecules would give another
# difference. With the standard error over test molecules, $s_\text{test}$, molfm adds both in squares:
#
# $$\text{half-width}^2 = \left(t_{n-1}\frac{s}{\sqrt n}\right)^2 + (1.96\, s_\text{test})^2$$
#
# ### The smallest difference that you could have seen
#
# "We found nothing" is worth little without "and we would have seen anything above …". The *detectable difference* is
# the one that such a study finds four times in five. From the seeds alone, it is about
#
# $$\delta = (t_{n-1,\,0.975} + t_{n-1,\,0.8})\,\frac{s}{\sqrt n}$$

# %%
print(
    f"logBB: a change of R² below {row.detectable:.2f} would probably have been missed ({row.seeds} seeds, {row.n_test} test labels)."
)

# %% [markdown]
# **Exercise 07.3** How many seeds does it take? Suppose that the scatter of the difference over seeds is $s = 0.05$ and that you want
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
# the width, never at the difference. If you stop when you like the result, your p-values mean nothing.
#
# ### Is the network alone worth beating?
#
# A source can rescue a bad baseline. So compare "alone" with a model that needs no network: a *random forest* (the mean of many decision trees)
# on Morgan fingerprints (counts of small groups of neighbouring atoms), with the same labels.

# %%
forest = first.reference()
print(
    f"R² of logBB from 128 labels, mean of {len(forest)} seeds: forest {forest.value.mean():.2f}, network alone {row.baseline:.2f}"
)

# %% [markdown]
# ## 4. Many targets: biology from quantum, biology from biology
#
# One target with few labels is too noisy. Eight related targets, trained in one network, give a mean that scatters less. We
# take eight *reporter gene* assays of ToxCast: a liver cell lights up if a chemical switches on a receptor. Each has 256
# training labels. There are two sources:
#
# - `xtb`, quantum labels: the question,
# - `toxcast/TOX21`, sixty other assays by other laboratories: the *positive control*. Related biology should help. If not even this
#   helps, the study is too weak to say anything about quantum chemistry.

# %%
RECEPTORS = [
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
    data, [RECEPTORS], ["toxcast/TOX21", "xtb"], ["alone", "cotrain"], seeds=budget(5, fast=2), **budgets, **recipe
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
# The large marks are means of eight assays with their intervals, the dots are single assays.
#
# In our run, both sources gain about 0.01 in AUROC (the share of pairs of an active and an inactive molecule that the network puts in the right
# order; 0.5 is chance), and both intervals contain 0. Look at the positive control: if even related biology is not clear, the study is too small to
# judge quantum chemistry. The honest sentence is: "A gain below the detectable difference would have been missed."
#
# ### Turn the slider
#
# Open the study in the `TransferExplorer`. Click the cell of the mean (the top row) and move the slider "Pairs used" from 5
# down to 2. At how many seeds does the interval exclude 0? Then click a single assay. Which molecules gained most? (Without a
# running kernel you see a small preview.)
#
# The column for `finetune` (first the source, then the targets) is empty, because it has not been run. An empty cell shows how
# long it takes. Click on one if you have the time.

# %%
from molfm.widgets import TransferExplorer

TransferExplorer(study, regimes=["alone", "cotrain", "finetune"])

# %% [markdown]
# The same by hand, with your formula from section 3: the interval over seeds after the first 2, 3, … seeds.

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
# In our run, the interval of TOX21 contained 0 after two and three seeds. After four it did not, and after five it stood on the edge:
# the interval over seeds just excludes 0, and the one in the table above, which includes the luck of the test set, does not. Someone who stops
# when the result is nice would have stopped at four and written "helps". **Decide how many seeds you take before you look.**
#
# ## 5. Sixteen comparisons are sixteen chances to be wrong
#
# The table of single assays has sixteen rows: eight targets and two sources. The *p-value* of a row is the chance of a difference at least as large
# if the source did nothing. At $p < 0.05$, one in twenty useless sources looks useful. With $m$ comparisons you expect $0.05\,m$ false discoveries.
#
# Benjamini and Hochberg (1995) control the share of false ones *among your discoveries*. Sort the p-values, $p_{(1)} \le … \le p_{(m)}$.
# The *adjusted p* of the $i$-th is
#
# $$\tilde p_{(i)} = \min_{j \ge i}\; \min\!\left(1,\; \frac{m}{j}\, p_{(j)}\right)$$
#
# In words: multiply the smallest p by $m$, the next by $m/2$, and so on to $m/m$. Then make sure that no adjusted p is larger
# than that of a larger p.
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
# Look at the column `detectable`: a single assay with 256 labels shows only differences of this size. Papers that report
# single assays from single runs report luck. The mean of many assays tells more, because their errors partly cancel.
#
# ## 6. The large study
#
# What you ran is a small copy of a study that takes hours. Its settings and commands are in the file `benchmarks/transfer.md` of
# molfm's repository. Up to 172 ToxCast assays, 128 labels each, AUROC on new scaffolds (ring systems), mean over assays. There are four
# *regimes*, ways to use a source:
#
# - **alone**: the target only, the baseline,
# - **together** (`cotrain`): source and target in every step,
# - **fine-tuned** (`finetune`): first the source, then the target,
# - **probe**: first the source, then the body is frozen (its weights stay) and only a linear head learns the target.
#
# | targets | source | regime | seeds | difference (95% interval) | verdict |
# |---|---|---|---|---|---|
# | 170 assays | quantum: xtb + QM9 | together | 10 | −.012 (−.026 to +.001) | cannot tell |
# | 170 assays | quantum: xtb + QM9 | fine-tuned | 10 | +.004 (−.004 to +.011) | cannot tell |
# | 172 assays | drawn numbers | together | 5 | +.001 (−.008 to +.010) | cannot tell |
# | 57 assays ATG | 41 assays BSK | together | 5 | +.037 (+.015 to +.059) | helps |
# | 41 assays BSK | 57 assays ATG | together | 16 | +.067 (+.011 to +.124) | helps |
# | 179 assays, all labels | quantum: xtb + QM9 | together | 3 | −.018 (−.026 to −.010) | hurts |
#
# (Source: `benchmarks/transfer.md`. ATG are reporter genes in a liver cell, BSK proteins of primary human cells.) Three things to read
# from it:
#
# 1. With few labels, quantum labels before the biology change nothing that matters: more than about +.01 is ruled out.
# 2. **Two controls frame this answer.** *Drawn numbers* as a source change nothing, so a second task alone costs nothing that can be seen.
#    Other biology helps, so the study can see a gain when there is one.
# 3. All 340 single comparisons of the first two rows are "cannot tell". A single assay shows only differences of about 0.1.
#
# ## 7. Where does the published gain come from?
#
# The paper reports for Tox21, with the network GINE: .783 alone, .836 together with QM9 and ZINC12K. Both were trained for 300
# epochs, with batches of 320 molecules. Alone, an epoch has 20 updates. On all of ToyMix, it has 376. So *equal epochs* are not *equal updates*.
#
# **Exercise 07.5** Together, 30 epochs are 11,280 updates. For how many epochs must the network alone train, with 20 updates each, to be updated as
# often?

# %%
epochs = ...  # a whole number
### BEGIN SOLUTION
epochs = 11_280 / 20
### END SOLUTION
check("07.5", epochs)

# %% [markdown]
# At a tenth of the published length, molfm's developers trained all three (mean ± standard deviation over 3 seeds, source `benchmarks/transfer.md`):
#
# | Tox21 | epochs | updates | AUROC |
# |---|---|---|---|
# | alone, batches of 320 | 30 | 600 | .650 ± .012 |
# | with QM9 and ZINC12K | 30 | 11,280 | .760 ± .002 |
# | alone, batches of 17 | 30 | 11,070 | .779 ± .001 |
#
# At equal epochs, "together" gains .110. At equal updates, it loses .019. So **the gain came from more updates**, not from quantum chemistry, at this length. The full
# length on all of ToyMix was not run: the published .836 is neither confirmed nor refuted. But the baseline is weak: with
# 300 epochs it reached .807 here instead of .783, and .832 with a better recipe.
#
# This is no reason to laugh at a paper. It gave everyone data, code and a question. **An honest "cannot tell" with an interval is a result, too.**

# %%
progress("07")

# %% [markdown]
# ## Discussion
#
# 1. A group reports: "No significant effect of quantum pretraining (p = 0.4, three seeds)." What else do you want to know?
# 2. Could quantum labels help with targets other than those of this lesson? Name one, and say what you would choose as the positive control.
# 3. You have a budget of 20 runs. Would you take 20 seeds of one comparison, or 5 seeds of two sources? What does it depend on?
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
# <details><summary>There is no effect.</summary>An effect of +0.04 fits these data, too.</details>
# <details><summary>The source helps, because the middle is positive.</summary>The interval also contains negative values.</details>
# <details><summary>We cannot tell; an effect above 0.05 is unlikely.</summary>Right. The interval says both.</details>
#
# **3. What is a positive control for?**
# <details><summary>It shows that the study can find an effect that is there.</summary>Right. Without it, "nothing found" may mean "nothing could be found".</details>
# <details><summary>It makes the effect positive.</summary>It does not change the other comparisons.</details>
# <details><summary>It replaces the baseline.</summary>The baseline stays the target alone.</details>
#
# **4. You test 100 useless sources at p < 0.05 without correction. How many will seem to work?**
# <details><summary>None.</summary>Each has a chance of one in twenty.</details>
# <details><summary>About five.</summary>Right: 100 · 0.05.</details>
# <details><summary>About fifty.</summary>That would be p < 0.5.</details>
#
# **5. Two networks were trained for 100 epochs. Is this the same amount of training?**
# <details><summary>Yes, epochs are the unit of training.</summary>An epoch is one pass over the data, and the data differ.</details>
# <details><summary>Yes, if both have the same size.</summary>The size of the network does not change the number of updates.</details>
# <details><summary>Only if both have the same number of updates per epoch.</summary>Right. Count the updates that see the target.</details>
#
# ## Further reading
#
# - Beaini et al. 2023, *Towards foundational models for molecular learning on large-scale multi-task datasets*, [arXiv 2310.04292](https://arxiv.org/abs/2310.04292)
# - Bouthillier et al. 2021, *Accounting for variance in machine learning benchmarks*, [arXiv 2103.03098](https://arxiv.org/abs/2103.03098)
# - Benjamini and Hochberg 1995, *Controlling the false discovery rate*, [doi 10.1111/j.2517-6161.1995.tb02031.x](https://doi.org/10.1111/j.2517-6161.1995.tb02031.x)
