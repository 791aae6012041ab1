# %% [markdown]
# # 8. A foundation model on trial: what do its 3,313 answers mean?
#
# **Goals.** After this lesson you can
#
# - explain what a *foundation model* is, and read its card before you use it,
# - tell useful outputs from useless ones, with units and errors,
# - compare a learned fingerprint with Morgan fingerprints and descriptors, by neighbours and by a *probe*,
# - find out what an output without a name means, and say how sure you are.
#
# **You need** lessons 2 (splits, AUROC), 3 (message passing) and 7 (paired differences). **Time:** about 75 minutes; the cells
# run for three to five of them.
#
# **Internet.** The first cell downloads the weights of the model once (21 MB). Without internet it stops with a
# `DownloadError`, whose message says where to put the file by hand. Until you have the file, you can do sections 3 and 4,
# which use fingerprints that come with molfm. For section 5, write `model = molfm.pretrained("minimix-gine")`, a small model
# that comes with molfm. Sections 1, 2 and 6 need the download.

# %% [markdown]
# ## 1. An early success: charges without a quantum calculation

# %%
import numpy as np
import pandas as pd
import plotly.express as px
from IPython.display import HTML, Markdown

from molfm.base.colors import THEMES
from molfm.chem.drawing import atom_values, molecule_grid
from molfm.lessons import budget, check, progress, reveal

print("Loading MiniMol. The first time, this downloads 21 MB.")
model = molfm.pretrained("minimol")
units = model.fit_units()  # section 2 says what this does

# %%
paracetamol = "CC(=O)Nc1ccc(O)cc1"
atoms = model.predict(paracetamol, level="node")
HTML(atom_values(paracetamol, atoms["pcqm4m_g25_n4/charges_mulliken"], "e, predicted"))

# %% [markdown]
# Red is negative, blue is positive. The oxygens are negative, and the carbon between O and N is positive, as a chemist
# expects. The model has computed no orbitals. It has only read the atoms and bonds.
#
# The model is **MiniMol** (Kläser et al. 2024, [arXiv 2404.14986](https://arxiv.org/abs/2404.14986)). A *foundation model* is
# a large network that is trained once, on many tasks, and then reused for tasks that it was not trained on. MiniMol has ten
# million weights. It was trained on LargeMix (Beaini et al. 2023,
# [arXiv 2310.04292](https://arxiv.org/abs/2310.04292)), which has four datasets:

# %%
model.tasks.groupby(["dataset", "level", "kind", "domain"], sort=False).size().rename("outputs").reset_index()

# %% [markdown]
# These are 3,313 outputs: effects on 978 genes in each of two cell lines (L1000), 1,328 bioassays (PCBA) and 29 quantum
# properties (PCQM4M). *Ordinal* labels are classes with an order, here from "strongly down" to "strongly up". All outputs
# share the body of the network, 16 rounds of messages. Each dataset and level has a *head*, a small network that turns the
# shared vectors into its outputs.
#
# Read the card of a model before you use the model, as you would with data.

# %%
Markdown(model.card.split("---", 2)[-1])

# %% [markdown]
# Keep three facts in mind: the outputs for assays and genes have no names; the molecules that you know were probably in the
# training data; logBB was not among the training tasks.
#
# ## 2. Units: which outputs can you use?
#
# A network is trained on *z-values*: labels minus their mean, divided by their standard deviation. To go back, you need both
# numbers:
#
# $$\text{value} = \text{mean} + \text{std} \cdot z$$
#
# The authors published the weights, but not these numbers. `fit_units` recovers them by a straight line through ten
# molecules whose labels were published. It judges each molecule by the line through the others. So `rmse`, the root of the
# mean squared error, is the error for molecules that the line has not seen, in the unit of the label. `r2` is the
# *coefficient of determination*: 1 is perfect, and 0 is as good as always predicting the mean.

# %%
table = units[["task", "unit", "n_molecules", "std", "r2", "rmse"]].copy()
table["task"] = table.task.str.removeprefix("pcqm4m_g25_n4/")
table["r2"] = table.r2.map("{:.3f}".format)
table["std"], table["rmse"] = table["std"].map("{:.2g}".format), table.rmse.map("{:.2g}".format)
table

# %% [markdown]
# HOMO and LUMO are the highest occupied and the lowest unoccupied orbital, and the gap lies between them. `alpha` and `beta`
# are the two spins of electrons. *DFT*, density functional theory, is the standard method of quantum chemistry. Names with
# `tddft` come from time-dependent DFT, a method for excited states.
#
# All values of `r2` are above 0.8. Among the properties of whole molecules, the two total energies have the highest. Are
# they the best outputs?
#
# **Exercise 08.1** A chemical reaction changes the energy by a few electronvolts (eV); breaking a C–C bond takes about
# 3.6 eV. Which outputs with the unit eV are useless for reactions, because their error is larger than 1 eV? Give their names as a
# list.

# %%
useless = ...  # a list of names from the column "task"
### BEGIN SOLUTION
useless = units.task[(units.unit == "eV") & (units.rmse > 1)].tolist()
### END SOLUTION
check("08.1", useless)

# %% [markdown]
# R² compares an error with the spread of the labels. Total energies grow with the number of electrons, so they spread over
# thousands of eV, and an error of 170 eV looks small beside that. **A high R² does not make a prediction useful. Compare its error
# with the differences that you care about.**
#
# ### Charges, checked against quantum chemistry
#
# The ten molecules of `fit_units` may have been training data. QM9 is another dataset. Its Mulliken charges come from DFT,
# too, and MiniMol was not trained on them. molfm contains a part of QM9.

# %% alt="Predicted against QM9's charges of the heavy atoms of 150 molecules. They rise together, correlation .91, but many points lie far from the diagonal, and a few carbons have opposite signs."
from molfm.plots.predictions import atom_agreement

qm9 = molfm.load("qm9_mini")
some = qm9.molecules.smiles.sample(150, random_state=0)
charges = model.predict(some, level="node").rename(columns={"pcqm4m_g25_n4/charges_mulliken": "MiniMol"})
charges["DFT (QM9)"] = np.concatenate(qm9.labels("mulliken_charge")[some.index].tolist())
rmse = np.sqrt((charges["MiniMol"] - charges["DFT (QM9)"]).pow(2).mean())
print(f"{len(charges)} atoms: correlation {charges.MiniMol.corr(charges['DFT (QM9)']):.2f}, rmse {rmse:.2f} e")
atom_agreement(charges, "DFT (QM9)", "MiniMol")

# %% [markdown]
# The correlation is high, but the error is many times the 0.01 e in the table of `fit_units`, and the points do not follow the
# diagonal. Both sets of charges belong to DFT, but to different *basis sets* (the functions from which orbitals are built). Mulliken
# charges depend strongly on the basis set. Hover over the carbons that are far from the diagonal: most have two
# triple bonds in a row, or three fluorines. A correlation alone would hide this. The picture shows it.
#
# ## 3. A fingerprint of 512 numbers
#
# The heads read a vector of 512 numbers per molecule: the maximum over the atoms' final states. It is a *learned
# fingerprint*, and `model.embed(smiles)` returns it. Compare it with two other descriptions of a molecule:
#
# | | numbers | what they are |
# |---|---|---|
# | Morgan fingerprint | 2,048 | counts of the small neighbourhoods of atoms, up to two bonds wide |
# | RDKit *descriptors* | about 200 | values of formulas by chemists: weight, polarity, number of rings, … |
# | MiniMol fingerprint | 512 | learned from 3,313 tasks; single numbers have no meaning |
#
# How similar are two molecules? The *cosine similarity* of their vectors $a$ and $b$ is 1 if they point in the same direction:
#
# $$\cos(a, b) = \frac{a \cdot b}{\lVert a \rVert \, \lVert b \rVert}$$
#
# **Exercise 08.2** Write it for one vector `a` and many vectors, the rows of `B`. Return one number per row. No loop is
# needed: `B @ a` is the dot product of each row with `a`, and `np.linalg.norm(B, axis=1)` is the length of each row.


# %%
def cosine(a, B):
    """Return the cosine similarity of a (d,) with each row of B (n, d), as (n,)."""
    result = ...
    ### BEGIN SOLUTION
    result = B @ a / (np.linalg.norm(B, axis=1) * np.linalg.norm(a))
    ### END SOLUTION
    return result


check("08.2", cosine)

# %% [markdown]
# Our molecules are those with a measured **logBB**: the logarithm (base 10) of a drug's concentration in the brain, divided
# by that in the blood. At 0 both are equal; at −1 the brain has a tenth of the blood's concentration. The fingerprints of
# these molecules come with molfm.

# %%
from sklearn.metrics.pairwise import cosine_similarity

from molfm.explore.lookup import Lookup
from molfm.study.simple_models import descriptors, labelled, morgan, shipped_fingerprints

print("Reading molecules and fingerprints …")
brain = molfm.load("b3db", tasks=["logBB"])
known = labelled(brain, "logBB")  # SMILES, indexed by molecule number
logbb = brain.labels("logBB")[known.index]
names = pd.Series(Lookup(brain).names(known.index.to_numpy()), known.index)
learned, counted = shipped_fingerprints(known), morgan(known)


def neighbours(number, features, n=5):
    """Draw the molecules nearest to one molecule (itself first)."""
    closeness = cosine_similarity(features.loc[[number]], features)[0]
    best = known.index[np.argsort(-closeness)[:n]]
    closeness = pd.Series(closeness, known.index)
    captions = [
        f"{names[i].split('/')[0].strip()[:24]}\ncosine {closeness[i]:.2f}, logBB {logbb[i]:+.1f}" for i in best
    ]
    return HTML(molecule_grid(known[best], captions))


nicotine = known.index[names.str.lower() == "nicotine"][0]
neighbours(nicotine, learned)

# %%
neighbours(nicotine, counted)

# %% [markdown]
# The first row shows the neighbours by MiniMol's fingerprint, the second those by Morgan fingerprints. (Some molecules
# appear twice, with and without their stereochemistry. Neither fingerprint sees the difference.) Write another name in place
# of `"nicotine"`, such as `"caffeine"`, `"haloperidol"` or `"imipramine"`. Which kind of fingerprint finds neighbours with
# more similar logBB values?
#
# ## 4. A probe: what is the fingerprint worth with 64 labels?
#
# A *probe* keeps the model frozen (its weights do not change) and fits only a simple model on its fingerprint. If the
# simple model predicts well, the fingerprint contains the knowledge. We use *ridge regression*, a linear model with a
# penalty on large weights. $X$ has one fingerprint per row, $y$ the labels, $w$ the weights, and $\lambda$ sets the
# strength of the penalty:
#
# $$\min_w \; \lVert y - Xw \rVert^2 + \lambda \lVert w \rVert^2$$
#
# Compare a probe with a strong opponent that learns from the same labels. Ours are *random forests* (averages of many
# decision trees) on Morgan fingerprints and on RDKit's descriptors. Each draw takes 64 training labels of logBB; the test
# molecules have scaffolds (ring systems with their linkers) that no training molecule has.
#
# Computing the descriptors takes some seconds. Meanwhile, guess which of the three will win.

# %%
described = descriptors(known)

# %%
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score

train, test = brain.members("train"), brain.members("test")


def probe(seed, n_labels=64):
    """Return the test R² of three models that learn from the same labels."""
    drawn = np.random.default_rng(seed).choice(train, n_labels, replace=False)
    trees = {"n_estimators": 100, "max_features": 1 / 3, "random_state": seed}
    models = {
        "MiniMol + ridge": (RidgeCV(np.logspace(-1, 6, 29)), learned),
        "descriptors + forest": (RandomForestRegressor(**trees), described),
        "Morgan + forest": (RandomForestRegressor(**trees), counted),
    }
    result = {}
    for name, (simple, features) in models.items():
        simple.fit(features.loc[drawn], logbb[drawn])
        result[name] = r2_score(logbb[test], simple.predict(features.loc[test]))
    return result


results = []
for seed in range(budget(6, fast=2)):
    results.append(probe(seed))
    print(f"draw {seed} is done")
draws = pd.DataFrame(results)
draws.round(2)

# %% alt="Dots of test R² for logBB, one per draw and model: MiniMol with ridge and descriptors with a forest are both near .3, Morgan fingerprints with a forest near .2."
long = draws.rename_axis("draw").reset_index().melt("draw", var_name="model", value_name="R² on test")
px.strip(long, x="R² on test", y="model", color="model", hover_data=["draw"]).update_layout(
    title=f"logBB from 64 labels: {len(draws)} draws, {len(test)} test molecules", showlegend=False, yaxis_title=""
)

# %% [markdown]
# **Exercise 08.3** Is MiniMol better than *descriptors*? Compute the difference `MiniMol + ridge` minus
# `descriptors + forest` for each draw. Give the half-width of the 95% interval of the mean difference, as in lesson 7:
# $t \cdot s / \sqrt{n}$, where $s$ is the standard deviation (`ddof=1`), $n$ the number of draws, and
# `t = scipy.stats.t.ppf(0.975, n - 1)`.

# %%
half_width = ...  # one number
### BEGIN SOLUTION
from scipy import stats

difference = draws["MiniMol + ridge"] - draws["descriptors + forest"]
half_width = stats.t.ppf(0.975, len(draws) - 1) * difference.std(ddof=1) / np.sqrt(len(draws))
### END SOLUTION
check("08.3", half_width, draws)

# %%
for opponent in ("Morgan + forest", "descriptors + forest"):
    gain = draws["MiniMol + ridge"] - draws[opponent]
    print(f"MiniMol + ridge minus {opponent}: {gain.mean():+.3f} in R² (mean of {len(gain)} draws, 64 labels each)")

# %% [markdown]
# Against Morgan fingerprints, the foundation model wins clearly. Against two hundred formulas that need no training, you
# cannot tell: in our six draws, the mean difference was 0.02 in R², and its interval contained 0. Both statements are true.
# **The choice of opponent decides which one a paper reports.** (The draws share one test set, so the interval covers the
# luck of the drawn labels, not the luck of the test molecules.)
#
# ## 5. Fine-tuning on 64 labels
#
# *Fine-tuning* changes the weights of the body, too. With ten million weights and 64 labels, small steps are wise: the
# learning rate is 1e-4. `molfm.finetune` puts new heads on the body and keeps the weights that are best on validation
# molecules. One step takes about a second on an idle computer, so we take few.

# %%
run = molfm.finetune(
    model,
    brain,
    tasks=["logBB"],
    n_labels={"logBB": 64},
    steps=budget(24, fast=2),
    batch_size=16,
    learning_rate=1e-4,
    seed=0,
)
run.results.query("split == 'test' and metric in ['r2', 'mae']")[
    ["task", "metric", "value", "unit", "n_labels", "seed"]
].round(2)

# %% [markdown]
# (n_labels counts the test labels.) Our run reached an R² of 0.22 from 64 labels of its own draw, slightly below the lowest
# of the six draws of the probe (0.23). One run with one seed and few steps tells you little. But take it as a warning: with
# so few labels, a ridge regression on a frozen fingerprint is hard to beat, and it takes a second.
#
# ## 6. Naming the nameless
#
# 1,328 outputs predict bioassays, but nobody published which output is which assay. Can you find out? ToxCast helps: MiniMix
# contains 179 of its assays with names. The results of some of them, the TOX21 family, are also in PubChem, from which PCBA
# was made. So MiniMol has probably been trained on the very assays that we look for. Finding them is *recognition*, not
# prediction: it tests what the model remembers.
#
# The plan: take molecules with a known ToxCast label, compute all 1,328 outputs, and find the output that best ranks the
# actives first. The measure is the **AUROC**: take every pair of an active and an inactive molecule; the AUROC is the share
# of pairs in which the active has the higher score. Equal scores count one half. 0.5 is chance, 1 is perfect.
#
# **Exercise 08.4** Write it by comparing all pairs. If `high` has the scores of the actives and `low` those of the inactives,
# `high[:, None] > low[None, :]` is a table of True and False with one cell per pair.


# %%
def auroc(scores, active):
    """Return the AUROC of scores (n,) for active (n,), an array of True and False."""
    high, low = scores[active], scores[~active]
    result = ...
    ### BEGIN SOLUTION
    result = (high[:, None] > low[None, :]).mean() + 0.5 * (high[:, None] == low[None, :]).mean()
    ### END SOLUTION
    return result


check("08.4", auroc)

# %% [markdown]
# Now we draw 800 molecules from those with a label in the AhR assay. The *aryl hydrocarbon receptor* (AhR) is the protein by
# which cells notice dioxins and other flat aromatic molecules. This takes about ten seconds on an idle computer.

# %%
data = molfm.load("minimix")
ahr = data.labels("TOX21_AhR_LUC_Agonist").dropna()
chosen = np.random.default_rng(0).choice(ahr.index, budget(800, fast=200), replace=False)
scores = model.predict(data.molecules.smiles[chosen], tasks="pcba_1328")
scores = scores.drop(columns=["mol_id", "smiles"]).set_axis(chosen).set_axis(range(1328), axis=1)
scores.shape

# %% [markdown]
# For 1,328 outputs at once, ranks are faster than pairs. The lowest score has rank 1. With $n_1$ actives, $n_0$ inactives
# and the sum $S$ of the actives' ranks, the AUROC is $(S - n_1(n_1+1)/2) / (n_1 n_0)$. This is the same number.


# %%
def aurocs(scores, active):
    """Return the AUROC of each column of a table; active is a Series of True and False with the same index."""
    ranks, n1, n0 = scores.rank(), active.sum(), (~active).sum()
    return (ranks[active].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)


active = ahr[chosen] == 1
found = aurocs(scores, active)
print(f"{active.sum()} of {len(active)} molecules are active")
found.nlargest(5).round(3)

# %% [markdown]
# In our run, two outputs lead. Are these the AhR assay? First ask what chance alone would give. Shuffle the labels: then no
# output has anything to do with them. The best of 1,328 is still above 0.5, because it is the best of many. This is the
# *null distribution*: what the measure looks like when there is nothing to find.

# %%
rng = np.random.default_rng(0)
ranks, n1, n0 = scores.rank().to_numpy(), int(active.sum()), int((~active).sum())
shuffled = np.array([rng.permutation(active.to_numpy()) for _ in range(budget(500, fast=50))])
null = (shuffled @ ranks - n1 * (n1 + 1) / 2) / (n1 * n0)  # (shuffles, outputs)
print(f"best of 1,328 with shuffled labels: median {np.median(null.max(axis=1)):.2f}, highest {null.max():.2f}")

# %% [markdown]
# **Predict before you run.** The best output is far above everything that chance gave. But now take the *crowd*: for each
# molecule, the mean of its ranks over all 1,328 outputs. The crowd knows nothing about any one receptor. Which AUROC does it
# reach for another assay, the inhibition of *aromatase*, the enzyme that makes estrogens?

# %%
my_guess = ...  # between 0 and 1
### BEGIN SOLUTION
my_guess = 0.55
### END SOLUTION

# %%
ranked = scores.rank()
crowd = ranked.mean(axis=1)
aromatase = data.labels("TOX21_Aromatase_Inhibition")[chosen].dropna() == 1
of_crowd = float(aurocs(crowd[aromatase.index].to_frame(), aromatase).iloc[0])
reveal(my_guess, round(of_crowd, 2), "AUROC of the crowd for aromatase inhibitors")

# %% [markdown]
# Some molecules are active nearly everywhere: they kill cells, stick to proteins or disturb the measurement. Chemists call
# them *frequent hitters*. An output that simply recognizes frequent hitters gets a high AUROC in almost every assay. So
# shuffled labels are the wrong null: they remove the receptor *and* the frequent hitters. The figure shows chance, the crowd
# and the best outputs for AhR.

# %% alt="Two histograms of AUROC for AhR activation. With shuffled labels, outputs lie between .4 and .6. With the real labels, 1,328 outputs spread from .26 to .87, median .66. The crowd reaches .72; two outputs, 1053 and 1048, stand apart at .87 and .86." slide="Beating chance is easy: most outputs do. Only two of 1,328 stand apart from the crowd for AhR"
figure = px.histogram(
    pd.DataFrame({"shuffled": rng.choice(null.ravel(), 1328), "real": found.to_numpy()}).melt(
        var_name="labels", value_name="AUROC"
    ),
    x="AUROC",
    color="labels",
    barmode="overlay",
    nbins=80,
    color_discrete_sequence=[THEMES["light"]["edge"], THEMES["light"]["biological"]],
)
by_crowd = float(aurocs(crowd.to_frame(), active).iloc[0])
best = found.nlargest(2)
figure.add_vline(x=by_crowd, line_dash="dash", annotation_text=f"crowd, {by_crowd:.2f}", annotation_position="top left")
figure.add_annotation(
    x=best.mean(),
    y=3,
    ay=-90,
    ax=0,
    text=f"outputs {best.index[0]} and {best.index[1]}<br>{best.iloc[0]:.2f} and {best.iloc[1]:.2f}",
)
figure.update_layout(
    title=f"All 1,328 outputs as predictors of AhR activation ({n1} actives, {n0} inactives)",
    yaxis_title="outputs",
    xaxis_range=[0.2, 1],
    bargap=0,
)

# %% [markdown]
# ### Take the crowd away
#
# A better question: what does an output know *beyond* the crowd? For each output, we fit the line that predicts its ranks
# from the crowd, and keep the rest, the *residual*. Then we compute the AUROC of the residual
# alone.

# %%
centred = crowd - crowd.mean()
slope = ranked.mul(centred, axis=0).sum() / (centred**2).sum()  # one per output
own = ranked - np.outer(centred, slope)  # what the crowd does not explain

assays = {
    "AhR": "TOX21_AhR_LUC_Agonist",
    "AhR, another laboratory": "ATG_Ahr_CIS_up",
    "mitochondria": "TOX21_MMP_ratio_down",
    "PXR": "TOX21_PXR_Agonist",
    "aromatase": "TOX21_Aromatase_Inhibition",
    "vitamin D receptor": "TOX21_VDR_BLA_antagonist_ratio",
}
rows, before, after = [], {}, {}
for name, task in assays.items():
    print(f"{name} …")
    hit = data.labels(task)[chosen].dropna() == 1
    before[name], after[name] = aurocs(scores.loc[hit.index], hit), aurocs(own.loc[hit.index], hit)
    first, second = before[name].nlargest(2).index
    rows.append(
        {
            "assay": name,
            "actives": f"{hit.sum()} of {len(hit)}",
            "crowd": float(aurocs(crowd[hit.index].to_frame(), hit).iloc[0]),
            "best": before[name][first],
            "best two": f"{first}, {second}",
            "best beyond the crowd": after[name].max(),
            "best two beyond the crowd": ", ".join(map(str, after[name].nlargest(2).index)),
        }
    )
pd.DataFrame(rows).round(2)

# %% [markdown]
# (The receptor PXR switches on the enzymes that break down drugs. The mitochondria assay measures the loss of the
# membrane potential of a cell's power stations.)
#
# In the table, `crowd` is the AUROC of the crowd and `best` that of the best output. "Beyond the crowd" means the AUROC of
# the residuals. Look at the vitamin D receptor: its best output has the highest AUROC of the table, and the crowd is almost
# as good. The highest number tells you least.
#
# **Exercise 08.5** An assay *survives* if its best output beyond the crowd (the first of the two in the last column) is one
# of its `best two` outputs. Which assays of the table survive? Give a list.

# %%
survivors = ...  # names from the column "assay"
### BEGIN SOLUTION
survivors = [name for name in assays if after[name].idxmax() in before[name].nlargest(2).index]
### END SOLUTION
check("08.5", survivors, before, after)

# %% [markdown]
# An assay must survive before you name an output after it, but that is not enough. The AhR assay of the other laboratory
# survives, too, and would give its name to another output. But this assay is not a Tox21 screen, so MiniMol was probably not
# trained on it.
#
# ### How sure is "AhR"?
#
# Ask four more questions about the leading output. Would other molecules give another winner? (A *bootstrap* answers this:
# draw molecules with replacement, many times.) Which molecules are at its top? Does a second laboratory's assay of the same
# receptor point to it? And in the reverse direction: for which other assays is this output good?

# %%
leaders = found.nlargest(20).index
pair, wins = set(found.nlargest(2).index), 0
repeats = budget(200, fast=20)
for _ in range(repeats):
    drawn = rng.choice(len(chosen), len(chosen))
    sample = scores[leaders].iloc[drawn].reset_index(drop=True)
    wins += set(aurocs(sample, active.iloc[drawn].reset_index(drop=True)).nlargest(2).index) == pair
print(f"The same two outputs lead in {wins / repeats:.0%} of {repeats} bootstrap samples.")
print(f"Correlation of the ranks of the two: {scores[list(pair)].rank().corr().iloc[0, 1]:.2f}")
elsewhere = before["AhR, another laboratory"].rank(ascending=False)[list(pair)].astype(int)
print(f"Their places among 1,328 in the other laboratory's AhR assay: {elsewhere.to_dict()}")

# %%
winner = found.idxmax()
top = scores[winner].nlargest(25).index
print(
    f"{int(active[top].sum())} of the 25 molecules that output {winner} ranks first are active; {active.mean():.0%} of all are."
)
titles = [
    f"{name.split('/')[0].strip()[:26]}\n{'active' if active[i] else 'inactive'}"
    for i, name in zip(top[:10], Lookup(data).names(top[:10]), strict=True)
]
HTML(molecule_grid(data.molecules.smiles[top[:10]], titles))

# %%
tox21 = data.tasks.task[data.tasks.family == "TOX21"]
reverse = {}
for task in tox21:
    hit = data.labels(task)[chosen].dropna() == 1
    if hit.sum() >= 20:
        reverse[task.removeprefix("toxcast/")] = float(aurocs(own.loc[hit.index, [winner]], hit).iloc[0])
print(f"Output {winner} beyond the crowd, best of {len(reverse)} TOX21 assays with 20 actives or more:")
pd.Series(reverse).nlargest(5).round(2)

# %% [markdown]
# Here is an honest answer for output 1053 in our run. It stands apart together with 1048; their ranks agree almost
# perfectly, so they may be two readings of one screen. The pair leads in most bootstrap samples. Most of the top 25
# molecules are measured AhR activators, among them omeprazole. In a second laboratory's assay, the output is near the top.
# But the reverse direction is a warning: output 1053 is as good for the inhibition of histone deacetylases (HDAC). So we
# write *"output 1053 very likely belongs to an AhR screen; which one, we cannot tell"*. For aromatase and the vitamin D
# receptor, we name no output.
#
# **Look at it.** Make a small dataset of your own from the 800 molecules and open it with the model. Colour the map by `AhR`, drag a lasso
# around a group of actives, and look at the molecules below: what do they have in common? Then colour by `output`. (Without a
# running kernel you see a small preview. The map takes about ten seconds.)

# %%
from molfm.widgets import explore

mine = pd.DataFrame(
    {
        "smiles": data.molecules.smiles[chosen].to_numpy(),
        "name": Lookup(data).names(chosen),
        "AhR": active.astype(int).to_numpy(),
        "output": scores[winner].to_numpy(),
    }
)
mine.to_csv("ahr.csv", index=False)
explore(molfm.load("ahr.csv", smiles="smiles", tasks=["AhR", "output"]), model=model)

# %%
progress("08")

# %% [markdown]
# ## Discussion
#
# 1. A colleague writes: "Our foundation model identifies the vitamin D assay with an AUROC of 0.97 (p < 0.002, permutation test)." What do you
#    answer?
# 2. The fingerprint was trained on 5 million molecules, and still a ridge regression on it was not clearly better than a
#    forest on descriptors. For which kinds of task would you still expect the foundation model to win?
# 3. MiniMol has probably seen the Tox21 screens. May you test it on Tox21 and report the result? What would have to be
#    different for a fair test?
#
# ## Quiz
#
# Click on an answer to see whether it is right, and why.
#
# **1. What makes a network a foundation model?**
# <details><summary>It has more than a million weights.</summary>Size helps, but it is not the point.</details>
# <details><summary>It predicts without error.</summary>No model does. Look at the rmse column again.</details>
# <details><summary>It was trained once on many tasks and is reused for others.</summary>Right. The body is shared, and new heads are put on it.</details>
#
# **2. An output has R² = 0.998 and an rmse of 170 eV. What can you do with it?**
# <details><summary>Predict reaction energies.</summary>They are a few eV: the error is much larger than the answer.</details>
# <details><summary>Tell large molecules from small ones.</summary>Right. That is what most of the variance is about, and you could have counted electrons.</details>
# <details><summary>Anything, because R² is near 1.</summary>R² compares the error with the spread of the labels, not with your question.</details>
#
# **3. Why is the model frozen in a probe?**
# <details><summary>So that the result shows what the fingerprint already contains.</summary>Right. Only the simple model on top learns.</details>
# <details><summary>Because its weights are secret.</summary>They are public. You changed them when you fine-tuned.</details>
# <details><summary>Because a frozen model is always better.</summary>Not always. With many labels, fine-tuning often wins.</details>
#
# **4. Why are shuffled labels a poor null for naming an output?**
# <details><summary>500 shuffles are too few.</summary>More shuffles would give the same null.</details>
# <details><summary>Shuffling changes the number of actives.</summary>It does not: only their places change.</details>
# <details><summary>Shuffling also destroys the link to frequent hitters, which any output can use.</summary>Right. More than half of the outputs beat that null. The crowd is the better comparison.</details>
#
# **5. Output 1053 ranks most AhR activators near the top. The model was trained on PCBA. What have you shown?**
# <details><summary>The model can predict AhR activation of new molecules.</summary>Not with these molecules: it has probably seen their labels.</details>
# <details><summary>The model remembers a screen that is very likely an AhR screen.</summary>Right. This is recognition.</details>
# <details><summary>Nothing.</summary>You now know what an unnamed output is about, and how sure you can be.</details>
#
# ## Further reading
#
# - Kläser et al. 2024, *MiniMol: a parameter-efficient foundation model for molecular learning*, [arXiv 2404.14986](https://arxiv.org/abs/2404.14986)
# - Beaini et al. 2023, *Towards foundational models for molecular learning on large-scale multi-task datasets*, [arXiv 2310.04292](https://arxiv.org/abs/2310.04292)
# - Bommasani et al. 2021, *On the opportunities and risks of foundation models*, [arXiv 2108.07258](https://arxiv.org/abs/2108.07258)
