# %% [markdown]
# # 10. Your own data: from a CSV to a report
#
# **Goals.** After this lesson you can
#
# - find the traps in a table of measurements before a model does,
# - convert concentrations to logarithms, and learn from limits such as `>10000`,
# - choose the split that fits the claim that you want to make,
# - read a report: candidates, intervals, the learning curve, and what choosing gains by chance,
# - predict new molecules, say when to distrust the prediction, and defend every sentence of your report.
#
# **You need** lessons 2 (audit, splits, leakage), 7 (intervals of differences) and 8 (descriptors, rmse). **Time:** about
# 90 minutes; the cells run for about three.

# %% [markdown]
# ## 1. An early success: a model in half a minute
#
# A laboratory sends you a table. It gave drugs to rats, held the concentration in the blood at 2,000 nM, and measured the
# concentration in the brain. (1 nM is $10^{-9}$ mol/L.) Can you predict it for new molecules?
#
# The ratios of brain to blood are real: they are 314 measurements of logBB from B3DB (lesson 2). The 2,000 nM, the dates, the
# repeated measurements and the mistakes are invented. Such mistakes are in almost every table that you will get.

# %%
import warnings

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown
from rdkit import Chem
from rdkit.Chem.Descriptors import MolWt
from rdkit.rdBase import BlockLogs

from molfm.chem.drawing import molecule_grid
from molfm.lessons import budget, check, progress, reveal
from molfm.lessons.own_data import COLUMN, messy_table

print("Writing brain.csv …")
table = messy_table()
table.to_csv("brain.csv", index=False)
table.iloc[[0, 2, 3, 9, 13, 81]]

# %% [markdown]
# Do what everybody does first: read the file, turn the column into numbers, drop what is no number, and fit. `molfm.fit`
# compares several models, called *candidates*, and chooses one. `pic50=True` learns logarithms; section 2 says why.
# The first fit also looks for MiniMol (lesson 8), and downloads its 21 MB if they are not on your disk. Without internet, it
# takes `minimix-gine`, which comes with molfm.

# %%
print("Looking for a foundation model …")
quick_table = pd.read_csv("brain.csv")
quick_table[COLUMN] = pd.to_numeric(quick_table[COLUMN], errors="coerce")  # no number: an empty cell
quick = molfm.fit(quick_table, COLUMN, pic50=True, split="random", minutes=0.5, name="lesson10-quick")
Markdown(quick.answer)

# %%
new = {
    "caffeine": "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "nicotine": "CN1CCC[C@H]1c1cccnc1",
    "haloperidol": "O=C(CCCN1CCC(O)(c2ccc(Cl)cc2)CC1)c1ccc(F)cc1",
    "dopamine": "NCCc1ccc(O)c(O)c1",
    "mannitol": "OCC(O)C(O)C(O)C(O)CO",
    "cisplatin": "N.N.Cl[Pt]Cl",
}
first_look = quick.predict(list(new.values()))
captions = [f"{name}\n{10 ** (9 - p):,.0f} nM in the brain" for name, p in zip(new, first_look.pbrain, strict=True)]
HTML(molecule_grid(list(new.values()), captions))

# %% [markdown]
# You have a model that is better than the mean, and predictions for drugs that you know. You could send them to the
# laboratory. But would you defend them? The rest of this lesson takes the table apart. Nearly every step will change the answer.
#
# ## 2. What do the columns hold?
#
# If you name no task, molfm judges each column by its name and its content, and says what it took the column for.

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the warning says the same as the table
    judged = molfm.load("brain.csv").audit().columns
judged

# %% [markdown]
# A model of this table would have learned the *row number*! molfm knows that `MW`, the molecular weight, is a formula of the
# structure, and that dates are no measurements. But one odd cell makes the whole column `brain (nM)` text, and then `No` was
# the only column of numbers left. Which cells are odd? Not those with a limit, such as `>10000`: molfm reads them, and
# section 3 is about them.

# %%
numbers = pd.to_numeric(table[COLUMN].str.lstrip("<>"), errors="coerce")
table[numbers.isna()]

# %% [markdown]
# "n.d." means "not determined". "21-Sep" was made by Excel: somebody typed a concentration, and Excel took it for a date. It
# may have been 21.9, or 9.21. **Do not guess.** Ask the laboratory. Until it answers, the cell is empty.
#
# Now say what each column is for. A *role* is the use of a column that is neither SMILES nor label:
#
# | role | for |
# |---|---|
# | `id` | the name of the row, shown in audits and reports |
# | `time` | the newest molecules become the test set |
# | `group` | rows that must stay on one side of a split, such as a project or a plate |
# | `features` | conditions that the model may read, such as pH |
# | `weight`, `relation` | how much a label counts; `>` or `<` in a column of its own |
# | `ignore` | nothing |

# %%
table.loc[numbers.isna(), COLUMN] = None  # an empty cell
roles = {"id": "compound", "ignore": ["No", "MW", "measured on"]}
as_p = {COLUMN: {"pic50": True}}
data = molfm.load(table, tasks=as_p, roles=roles)
data.tasks[["task", "kind", "unit", "n_train", "n_val", "n_test", "mean", "std"]].round(2)

# %% [markdown]
# The header names the unit, so molfm could convert nM to a logarithm. The concentrations go from 10 to 10,000, and assays are
# wrong by a *factor*, not by a number of nM. So we learn
#
# $$p = -\log_{10}(\text{concentration in mol/L})$$
#
# Chemists know this form from the *pIC50*: the IC50 is the concentration of a drug that halves the activity of a protein, and
# pIC50 is its negative logarithm. The task of our column is called `pbrain`.
#
# **Exercise 10.1** Write the function. How large is p for 10 nM, and for 10,000 nM?


# %%
def to_p(nM):
    """Return −log10 of a concentration in mol/L; it is given in nM."""
    p = ...
    ### BEGIN SOLUTION
    p = -np.log10(nM * 1e-9)
    ### END SOLUTION
    return p


check("10.1", to_p)

# %% [markdown]
# Watch the sign: a *large* p means *little* in the brain. And a limit turns round: more than 10,000 nM means a p *below* 5.
#
# ## 3. What does ">10000" mean?
#
# The assay of this laboratory works from 10 to 10,000 nM. A label that only says on which side of a limit the true value lies
# is *censored*.

# %%
limit, value = table[COLUMN].str.extract("([<>])")[0], numbers
print(f"{(limit == '>').sum()} labels above a limit, {(limit == '<').sum()} below one, {limit.isna().sum()} others")
print(f"largest exact value: {value[limit.isna()].max():,.0f} nM")

# %% [markdown]
# There are three ways to treat `>10000`:
#
# - **Drop it**, as in section 1. Then the model never sees a molecule that goes into the brain really well.
# - **Replace it by 10,000.** Then a molecule with 50,000 nM teaches the model 10,000, and a prediction of 50,000, which is right,
#   counts as an error.
# - **Learn it as a limit.** A prediction on the right side of the limit is no error. On the wrong side, it is as wrong as it
#   is far from the limit.
#
# **Exercise 10.2** Write the squared error for labels with sides. `side` is 0 for an exact label, −1 if the true value is at
# most the label, and 1 if it is at least the label. Return one loss per label.


# %%
def loss(prediction, label, side):
    """Return the squared errors (n,), 0 for a prediction on the right side of a limit."""
    result = ...
    ### BEGIN SOLUTION
    right = ((side == -1) & (prediction <= label)) | ((side == 1) & (prediction >= label))
    result = np.where(right, 0, (prediction - label) ** 2)
    ### END SOLUTION
    return result


check("10.2", loss)

# %% [markdown]
# The networks of molfm learn limits in this way. Forests and other simple models cannot, so `molfm.fit` gives them the limit as a
# value. That is better than dropping it, as you will see in section 8. And since nobody knows by how much a prediction for a
# limit is wrong, *scores* count exact labels only.
#
# ## 4. The audit: what do the rows say?

# %%
audit = data.audit()
audit.summary[audit.summary["count"] > 0][["check", "task", "count", "of", "note"]]

# %%
audit.rejected

# %% [markdown]
# Two rows have no structure: one has an open ring, and one refers to a journal. The audit cannot find structures that are
# valid and *wrong*. But a column that is no label can be useful: `MW` came from the suppliers. Compare it with the weight of
# the structure.

# %%
with BlockLogs():  # the two rows without a structure are known
    mols = [Chem.MolFromSmiles(smiles) for smiles in table.smiles]
weight = pd.Series([np.nan if mol is None else MolWt(mol) for mol in mols])
supplier = table.MW.astype(float)
differ = (weight - supplier).abs() > 1
captions = [
    f"{name}\ndrawn {drawn:.1f}, supplier {true:.1f}"
    for name, drawn, true in zip(table.compound[differ], weight[differ], supplier[differ], strict=True)
]
HTML(molecule_grid(table.smiles[differ], captions))

# %% [markdown]
# Look at caffeine: two double bonds of its rings are missing. These seven mistakes are *not* invented. They are in B3DB, and its
# card warns of them. Does a measurement belong to the name or to the structure? We cannot know, so we leave the rows out.
#
# Now the measurements that contradict each other. `value` is p, so a difference of 1 is a factor of ten.

# %%
repeats = audit.conflicts.merge(table[["compound", "measured on", COLUMN]], left_on="row", right_index=True)
apart = repeats.groupby("group").value.transform(np.ptp)
repeats.assign(apart=apart).sort_values(["apart", "group"], ascending=False)[
    ["compound", "row", "measured on", COLUMN, "value", "apart"]
].head(8).round(2)

# %% [markdown]
# A factor of five between two measurements happens. But diazepam and risperidone differ by almost exactly 3 units, a factor
# of 1,000.
#
# **Exercise 10.3** What has a factor of 1,000? Look at the dates, and at the other rows of these days, as in
# `table[table["measured on"] == "…"]`. On which day did somebody export the wrong unit? Give the day as in the table.

# %%
wrong_day = ...  # a text
### BEGIN SOLUTION
wrong_day = value.groupby(table["measured on"]).median().idxmin()
### END SOLUTION
check("10.3", wrong_day, table)

# %% [markdown]
# Two repeated measurements have told you about twelve rows. The picture shows all days.

# %% alt="Dots of p against the day of measurement, 28 days with about twelve dots each. On all days but one, the dots lie between 5 and 8, median near 5.8. On 1 May 2021, all of them lie near 9, three units above the others."
from molfm.plots.style import SERIES_COLORS, SERIES_SYMBOLS, new_figure

day = pd.to_datetime(table["measured on"], format="%d.%m.%Y")
figure = new_figure("One day stands three units above the others", "measured on", "p, with limits as values")
figure.add_scatter(x=day, y=9 - np.log10(value), mode="markers", text=table.compound, marker_color=SERIES_COLORS[0])
figure.update_layout(showlegend=False)

# %% [markdown]
# Repair what you can explain: these rows are in µM, so multiply them by 1,000. Leave out what you cannot. Write down both, with
# counts, in your data card. **Do not repair a value because it looks odd**: levetiracetam differs by a factor of 7, and
# nobody can say which measurement is right. `molfm.fit` takes the mean of both.


# %%
def in_nM(cell):
    """Return a cell in µM, such as '>10' or '1.59', in nM."""
    sign = cell[0] if cell[0] in "<>" else ""
    return f"{sign}{1000 * float(cell.lstrip('<>')):g}"


in_um = day == value.groupby(day).median().idxmin()
clean = table.copy()
clean.loc[in_um, COLUMN] = clean.loc[in_um, COLUMN].map(in_nM)
clean = clean[~differ & weight.notna()]
clean.to_csv("brain_clean.csv", index=False)
print(
    f"{in_um.sum()} rows converted from µM, {differ.sum()} wrong structures and {weight.isna().sum()} rows without one left out"
)

# %% [markdown]
# One finding is left: "constitutions of several molecules". Lidocaine and its hydrochloride are two rows with one *parent*,
# the molecule without its counter-ion. Codeine appears with different stereochemistry. These are not independent: whoever
# knows one knows the other. So they must stay on one side of a split, and count as one observation in an interval.
# `molfm.fit` does both.
#
# ## 5. Which claim does a split support?
#
# A report is a claim about molecules that you do not have yet. The split must imitate them:
#
# | split | the test molecules are | so you may claim something about |
# |---|---|---|
# | `random` | any of the table | more molecules of the *same* series |
# | `scaffold` | new scaffolds | new series |
# | `time:COLUMN` | the newest | what the laboratory will make next |
# | `group:COLUMN` | other groups | a new project or plate |
#
# No split is wrong in itself, but it must fit the claim. The last row of the audit's summary shows that a random split does not
# support a claim about new scaffolds: most test molecules share theirs with a training molecule.
#
# `molfm.fit` uses *cross-validation*: it divides the molecules into five *folds*, and predicts each fold by models that learned
# from the other four. So every molecule is a test molecule once. We fit with random folds first, then with whole scaffolds.

# %%
at_random = molfm.fit(
    "brain_clean.csv", COLUMN, pic50=True, roles=roles, split="random", minutes=0.5, name="lesson10-random"
)
Markdown(at_random.answer)

# %%
result = molfm.fit("brain_clean.csv", COLUMN, pic50=True, roles=roles, minutes=2, name="lesson10")
Markdown(result.answer)

# %% [markdown]
# RMSE is the root of the mean squared error (lesson 8), here in units of p. In our run, it was 0.76 in section 1, 0.51 after
# cleaning, and 0.53 with whole scaffolds. The two splits differ little here, because this table has few close relatives. In a
# table of one project, they often differ much more (lesson 2).
#
# The last sentence of each answer compares the choice with a random forest. The interval of the difference has the sign of
# the RMSE: below 0, the choice is better. An interval that contains 0 means "cannot tell".
#
# ## 6. The best of many
#
# The fit compared eight candidates and chose the best. Is the best as good as it looks? To see what can happen, we try far
# more than eight. A *recipe* takes five of RDKit's descriptors by chance, and fits a linear model. We try 300 recipes and
# choose the one with the best R² on 40 validation molecules. Test molecules with other scaffolds then show how good it is.

# %%
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from molfm.study.simple_models import descriptors

measured = result.predictions().query("chosen and side == 0")  # one row per exact label
described = descriptors(measured.smiles).rank(pct=True).fillna(0.5).to_numpy() - 0.5  # ranks: all in one range
y, fold = measured.measured.to_numpy(), measured.fold.to_numpy()


def try_recipes(seed, n):
    """Return the R² of n recipes on validation and test molecules, (n, 2)."""
    rng = np.random.default_rng(seed)
    first, second, *rest = rng.permutation(np.unique(fold))
    train, parts = np.isin(fold, rest), (np.flatnonzero(fold == first)[:40], np.flatnonzero(fold == second))
    scores = []
    for _ in range(n):
        x = described[:, rng.choice(described.shape[1], 5, replace=False)]
        model = Ridge(0.1).fit(x[train], y[train])
        scores.append([r2_score(y[part], model.predict(x[part])) for part in parts])
    return np.array(scores)


N, DRAWS = budget(300, fast=30), budget(10, fast=3)
draws = []
for seed in range(DRAWS):
    draws.append(try_recipes(seed, N))
    print(f"draw {seed}: the best of {N} recipes has R² = {draws[-1][:, 0].max():.2f} on validation")

# %% [markdown]
# **Predict before you run.** The best recipes look fine on the validation molecules. How large is their R² on the test
# molecules, on average?

# %%
my_guess = ...  # 1 is perfect; 0 is as good as the mean
### BEGIN SOLUTION
my_guess = 0.3
### END SOLUTION

# %%
on_test = np.mean([scores[scores[:, 0].argmax(), 1] for scores in draws])
reveal(my_guess, round(on_test, 2), f"R² on test of the recipe that is best on validation, mean of {DRAWS} draws")

# %% [markdown]
# **Exercise 10.4** *Optimism* is how much better the chosen recipe looks than it is. Write a function that gets the
# validation results and the test results of all recipes, and returns the optimism: validation minus test, of the recipe that
# is best on validation.


# %%
def optimism(validation, test):
    """Return how much better the chosen recipe looks; both arrays have one R² per recipe."""
    gain = ...
    ### BEGIN SOLUTION
    best = np.argmax(validation)
    gain = validation[best] - test[best]
    ### END SOLUTION
    return gain


check("10.4", optimism)

# %% alt="R² of the best of N recipes, N from 1 to 300 on a logarithmic axis, mean of ten draws. On the validation molecules that chose it, it rises steadily from about 0 to 0.33. On test molecules it stays near 0 up to ten recipes, and reaches about 0.1." slide="The best of 300 recipes looks good on the molecules that chose it. On new molecules, two thirds of its R² are gone"
tried = [n for n in (1, 3, 10, 30, 100, 300) if n <= N]
best = np.array([[scores[scores[:n, 0].argmax()] for n in tried] for scores in draws]).mean(0)  # (len(tried), 2)
figure = new_figure("", "recipes tried", f"R² of the best one, mean of {DRAWS} draws", height=420)
for place, name in enumerate(("on the validation molecules that chose it", "on test molecules")):
    look = {"symbol": SERIES_SYMBOLS[place], "size": 10}
    figure.add_scatter(
        x=tried, y=best[:, place], name=name, mode="lines+markers", marker=look, line_color=SERIES_COLORS[place]
    )
figure.update_xaxes(type="log", tickvals=tried)

# %% [markdown]
# Nobody cheated, and no test label was used. A part of the rise is real: some recipes are better. The larger part is luck on the
# 40 molecules that chose. More choices and fewer molecules make it worse.
#
# `molfm.fit` measures its own optimism. For each fold, it repeats the choice on the other folds only, and scores what they
# chose. This is *nested* choosing, and `result.answer` quotes this score.

# %%
from molfm.selection.wording import chemistry, coverage
from molfm.selection.wording import optimism as optimism_in_words

Markdown(optimism_in_words(result.judged[0]))

# %% [markdown]
# Eight candidates and 264 molecules leave little room for luck. You know this because it was measured.
#
# ## 7. Read the report
#
# `result.to_html` writes the whole report as one page. Open `report.html` in a browser, and keep it beside this notebook.

# %%
result.to_html("report.html")
print(f"In the report: {', '.join(result.table.candidate)}. Left out: {result.left_out or 'nothing'}.")

# %% alt="RMSE of eight candidates, their ensemble and the nested choice, with 95% intervals. A random forest on RDKit descriptors is best with 0.53. Forests, support vector machines and the frozen foundation model have overlapping intervals from 0.47 to 0.62. The training mean has 0.63, the network from scratch 0.61, and the fine-tuned foundation model 0.71."
result.figure()

# %% [markdown]
# The *ensemble* is a weighted mean of the candidates. An *SVM*, a support vector machine, predicts from the similarity of a
# molecule to the training molecules. The intervals of the candidates overlap. That does not make them equal: differences are
# measured on the same molecules, so their intervals are narrower. Read those in the report.
#
# In our run, the fine-tuned foundation model was worse than the mean. It has ten million weights, about 200 labels per fold
# and few seconds. A fit chooses by scores, not by names.
#
# Would more data help? A *learning curve* repeats the fit with a quarter, half and three quarters of the labels.

# %%
from molfm.selection.curve import in_words

curve = result.curve()
display(Markdown(in_words(curve, "rmse", "") or "The time did not allow a learning curve."))
curve[["n_labels", "value", "low", "high"]].round(3)

# %% [markdown]
# Compare the error with the *noise*: how much do several measurements of one molecule differ? An error much smaller than the
# noise would mean that the model knows the mistakes of the laboratory.

# %%
for name, fit in (("section 1", quick), ("cleaned", result)):
    target = fit.judged[0].target
    print(f"{name}: {target.repeated} molecules were measured more than once; they scatter by {target.noise:.2f}")

# %% [markdown]
# In section 1, the noise was larger than the error of any model. This alone should have stopped you. (The repeated
# measurements of this table are invented. The card of B3DB says that laboratories differ by a few tenths.)
#
# Each prediction has a *prediction interval*, a range that should contain 95% of new measurements. The share that it really
# contains is its *coverage*.

# %%
Markdown(f"{coverage(result.judged[0], 0.95)}\n\n{chemistry(result.judged[0])[0]}")

# %% [markdown]
# ## 8. New molecules, and their measurements
#
# `predict` gives a value, its interval, and the nearest training molecule with its similarity. The similarity is *Tanimoto's*:
# the share of the atom neighbourhoods of both molecules that they have in common, from 0 to 1.

# %%
pd.DataFrame({"compound": list(new), "smiles": list(new.values())}).to_csv("new.csv", index=False)
result.predict("new.csv", out="predictions.csv")
predictions = pd.read_csv("predictions.csv")
predictions["nM, from"], predictions["nM"], predictions["nM, to"] = (
    10 ** (9 - predictions[f"pbrain{end}"]) for end in (" high", "", " low")
)
predictions[["compound", "pbrain", "nM, from", "nM", "nM, to", "pbrain nearest", "pbrain similarity"]].round(2)

# %% [markdown]
# In a terminal, the same two steps are
#
# ```sh
# molfm fit brain_clean.csv --target "brain (nM)" --pic50 --role id=compound --minutes 2 --name lesson10
# molfm predict lesson10 new.csv --out predictions.csv
# ```
#
# An interval of ±1.2 units is a factor of about 15 to either side. That is honest. Such a model can sort a long list, but it
# cannot decide about one molecule: even the intervals of mannitol (measured: 50 nM) and haloperidol (40,000 nM) overlap. In
# our run, section 1 had these two in the wrong order: the nearest molecule to haloperidol is loperamide, which was measured
# on the day in µM.
#
# Look at cisplatin. It has almost nothing in common with its nearest training molecule, chloroform. The *applicability
# domain* of a model is the chemistry for which its tests hold. A platinum complex is not in it, and the interval does not
# know this.
#
# ### Half a year later: the measurements arrive
#
# The laboratory has measured 156 other molecules with new scaffolds. (They are the validation molecules of logBB in B3DB: real
# measurements again.) Now all three reports can be tested. As before, scores count values from 10 to 10,000 nM only. 30
# molecules are above.

# %%
from molfm.lessons.own_data import later_table

later = later_table()
later["p"], exact = 9 - np.log10(later[COLUMN]), later[COLUMN].between(10, 10_000)
fits = {"section 1": quick, "cleaned, random folds": at_random, "cleaned, scaffold folds": result}
found, rows = {}, []
for name, fit in fits.items():
    print(f"predicting with the model of: {name} …")
    found[name] = fit.predict(later[["smiles"]])
    promise = fit.judged[0].quoted
    rmse = np.sqrt(((found[name].pbrain - later.p)[exact] ** 2).mean())
    rows.append({"report": name, "promised": promise.value, "low": promise.low, "high": promise.high, "arrived": rmse})
pd.DataFrame(rows).round(2)

# %% [markdown]
# In our run, both reports on the cleaned table kept their promise: what arrived lies in their intervals. Section 1 promised a
# *larger* error than arrived, because wrong labels counted as errors of the model. So is its model good enough after all?
#
# **Predict before you run.** The 30 molecules above the limit have 22 µM on average (the average of p, converted back). The
# model of section 1 dropped all limits. What does it predict for them, on average, in µM?

# %%
my_second_guess = ...  # in µM
### BEGIN SOLUTION
my_second_guess = 8
### END SOLUTION

# %%
above = later[COLUMN] > 10_000
in_um_of = {name: float(10 ** (6 - of.pbrain[above].mean())) for name, of in found.items()}
reveal(my_second_guess, round(in_um_of["section 1"], 1), "The model without limits, for molecules above 10 µM", "µM")

# %%
for name in list(fits)[1:]:
    print(f"{name}: {in_um_of[name]:.1f} µM")

# %% [markdown]
# No score showed this, because limits do not count in scores. The model of section 1 has never seen a molecule above 10,000
# nM. If you look for drugs that reach the brain, these are the molecules that you want. The other two models are better, and
# still too low: a forest averages labels, so it never predicts more than 10,000 nM, the largest one.
#
# **Exercise 10.5** Which share of the exact measurements lies inside the 95% intervals of the report with scaffold folds?

# %%
arrived = found["cleaned, scaffold folds"][["smiles", "pbrain nearest", "pbrain similarity"]].assign(
    compound=later.compound,
    p=later.p,
    predicted=found["cleaned, scaffold folds"].pbrain,
    low=found["cleaned, scaffold folds"]["pbrain low"],
    high=found["cleaned, scaffold folds"]["pbrain high"],
)[exact]
arrived[["compound", "p", "predicted", "low", "high"]].head(4).round(2)

# %%
covered = ...  # between 0 and 1
### BEGIN SOLUTION
covered = ((arrived.p >= arrived.low) & (arrived.p <= arrived.high)).mean()
### END SOLUTION
check("10.5", covered, arrived)

# %% [markdown]
# A promise about the average says nothing about each part. Divide the molecules by their similarity to the training molecules:

# %%
parts = pd.cut(arrived["pbrain similarity"], [-0.01, 0.25, 0.4, 1], labels=["below 0.25", "0.25 to 0.4", "above 0.4"])
arrived["error"] = (arrived.predicted - arrived.p).abs()
arrived["inside"] = arrived.p.between(arrived.low, arrived.high)
by_part = arrived.groupby(parts.rename("similarity"), observed=True)
pd.DataFrame(
    {
        "molecules": by_part.size(),
        "RMSE": by_part.error.apply(lambda error: np.sqrt((error**2).mean())),
        "coverage": by_part.inside.mean(),
    }
).round(2)

# %% [markdown]
# In our run, the error of distant molecules was nearly twice that of close ones, and all five molecules outside their intervals
# were distant. The report could not see this: its folds keep relatives apart, so nearly all of its test molecules were distant.
#
# **Look at it.** Order the molecules by `error`. What do the worst have in common? Is it the chemistry, or could a label be
# wrong? (Without a running kernel you see a small preview.)

# %%
from molfm.widgets import MoleculeBrowser

shown = arrived[["smiles", "compound", "p", "predicted", "error"]].reset_index(drop=True)
MoleculeBrowser(molfm.load(shown, tasks=["error", "p", "predicted"], roles={"id": "compound"}))

# %% [markdown]
# One more trap has no column: the foundation model. If its training data contained our labels, its fingerprint could know the
# answers, and no split would show it. MiniMol was not trained on logBB. `minimix-gine` was, but not on the labels of these
# molecules: they are test molecules of its split. Those that arrived later only chose when its training stopped. **Read the
# card of every model that you reuse.**
#
# ## 9. The defence
#
# You send the report. The head of the laboratory reads it and asks about every sentence. Which of these can you defend?

# %%
from molfm.lessons.own_data import claims

for letter, (text, *_) in claims(result, at_random).items():
    print(f"{letter}  {text}")

# %% [markdown]
# **Exercise 10.6** Give the letters of all statements that the reports support, as a list such as `["A", "B"]`. Two of them
# depend on numbers in *your* report.

# %%
supported = ...  # a list of letters
### BEGIN SOLUTION
supported = ["A", "D"]
if "better than the forest" in result.answer:
    supported.append("C")
if "would probably help" in in_words(curve, "rmse", ""):
    supported.append("G")
### END SOLUTION
check("10.6", supported, result, at_random)

# %% [markdown]
# The supported statements are modest: they name the molecules, the split, the number of labels and the interval. That is what
# makes a report worth reading.

# %%
progress("10")

# %% [markdown]
# ## Discussion
#
# 1. The laboratory asks: "Shall we measure 300 more molecules?" What do you answer, and which molecules would you choose?
# 2. A colleague replaces `>10000` by 20,000, "because that is about twice the limit". What is wrong with it? When would it do
#    little harm?
# 3. Your report says RMSE 0.53. A published model has an RMSE of 0.35 on another logBB table. Is it better? What would you
#    need to know?
#
# ## Quiz
#
# Click on an answer to see whether it is right, and why.
#
# **1. A table has the cell "21-Sep" in a column of concentrations. What do you do?**
# <details><summary>Write 21.9, because Excel made a date of it.</summary>It may also have been 9.21. You would invent a measurement.</details>
# <details><summary>Leave the cell empty, count it, and ask the laboratory.</summary>Right. One missing label costs little. A wrong one costs more, and nobody sees it.</details>
# <details><summary>Nothing: a program ignores cells that are no numbers.</summary>Some programs do. Others take the whole column for text, or the date for a number of days.</details>
#
# **2. A molecule has the label ">10000 nM", and the network predicts 30,000 nM. What is its loss if the limit is learned as a
# limit?**
# <details><summary>Zero.</summary>Right. The prediction agrees with all that was measured.</details>
# <details><summary>The squared difference between the logarithms of 30,000 and 10,000.</summary>That would be the loss if 10,000 were the value. The label says more than 10,000.</details>
# <details><summary>It cannot be computed, so the label must be dropped.</summary>The side is known. Dropping the label removes the molecules at one end.</details>
#
# **3. You want to claim that your model works for a new series of molecules. Which split supports this?**
# <details><summary>A random split, because it is the fairest.</summary>In a random split, relatives of the test molecules are in training. A new series has none.</details>
# <details><summary>A split by scaffold, or by series.</summary>Right. The test molecules stand to the training molecules as the new series will.</details>
# <details><summary>Any split, if there are enough molecules.</summary>More molecules make the number more precise, but it answers the same question as before.</details>
#
# **4. You tried 200 settings, and the best has R² = 0.45 on 40 validation molecules. What can you say?**
# <details><summary>R² on new molecules is about 0.45.</summary>It is the best of 200, partly by luck. Expect less.</details>
# <details><summary>R² is above 0.45 if you train on all molecules.</summary>More training data may help a little. The luck of the choice is larger here.</details>
# <details><summary>Little, before the choice is scored on molecules that had no part in it.</summary>Right. Use nested choosing or a test set, once.</details>
#
# **5. Prediction intervals contained 95% of the molecules in the folds. For which molecules does this hold?**
# <details><summary>For each molecule, with a probability of 95%.</summary>It is an average. Distant molecules can have less, close ones more.</details>
# <details><summary>On average, for molecules like those that were tested.</summary>Right. For a platinum complex, nobody has tested it.</details>
# <details><summary>For all molecules, because the interval is wide.</summary>A wide interval is no promise about chemistry that was never tested.</details>
#
# ## Further reading
#
# - Cawley and Talbot 2010, *On over-fitting in model selection and subsequent selection bias in performance evaluation*, [Journal of Machine Learning Research 11, 2079](https://www.jmlr.org/papers/v11/cawley10a.html)
# - Sheridan 2013, *Time-split cross-validation as a method for estimating the goodness of prospective prediction*, [doi 10.1021/ci400084k](https://doi.org/10.1021/ci400084k)
# - Kramer, Kalliokoski, Gedeck and Vulpetti 2012, *The experimental uncertainty of heterogeneous public Ki data*, [doi 10.1021/jm300131x](https://doi.org/10.1021/jm300131x)
# - Angelopoulos and Bates 2021, *A gentle introduction to conformal prediction and distribution-free uncertainty quantification*, [arXiv 2107.07511](https://arxiv.org/abs/2107.07511)
