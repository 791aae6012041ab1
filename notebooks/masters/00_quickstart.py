# %% [markdown]
# # Quickstart: does quantum chemistry help to predict what chemicals do to cells?
#
# **Goals.** After this lesson you can
#
# - say what a data card, a sparse table of labels, a run and a *paired comparison* are,
# - find a molecule, see what was measured for it and what was computed,
# - train one network on hundreds of tasks and look at its predictions with units,
# - read an answer to "does it help?" together with its evidence.
#
# **You need** Python and a little chemistry. Every word in *italics* is explained here and again, in depth, in a later lesson.
# **Time:** about 45 minutes; the cells run for four. Everything works without a network connection or GPU.

# %% [markdown]
# ## 1. Chemicals that you know
#
# *ToxCast* is a public programme that tests chemicals (drugs, pesticides, industrial chemicals) in *assays*: experiments
# that ask whether a chemical does something to a cell or a protein in a dish. Here are eight of its chemicals. How many assays
# does each of them switch on?

# %%
from IPython.display import HTML

from molfm.app import quickstart
from molfm.chem.drawing import molecule_grid

data = molfm.load("minimix")
HTML(molecule_grid(*quickstart.named_molecules(data)))

# %% [markdown]
# Bisphenol A and tamoxifen are active in many assays, nicotine in few. Hardly any chemical was tested in all of them: a
# laboratory has to pay for every test. **Measured labels are scarce.** *Quantum chemistry*, in contrast, computes
# properties of nearly any molecule in minutes, for example the charge of each atom. Both kinds of values, measured and
# computed, are *labels*: values that a model should learn to predict.

# %%
from molfm.chem.drawing import atom_values

caffeine = "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
row = data.molecules.index[data.molecules.smiles == caffeine][0]
charges = data.labels("xtb/charge")[row]
HTML(atom_values(caffeine, charges, "e, computed"))

# %% [markdown]
# (A charge of −1 e would be one electron too many.) **Exercise 00.1** Which element carries the most negative charge in caffeine?
# Give its symbol in quotation marks, such as `"C"`.

# %%
element = ...
### BEGIN SOLUTION
element = "O"
### END SOLUTION

from molfm.lessons import check, progress, reveal

check("00.1", element)

# %% [markdown]
# So here is the question of this notebook, and of the paper behind this package
# ([arXiv 2310.04292](https://arxiv.org/abs/2310.04292)): **if one network learns both, computed quantum labels and measured
# assays, does it predict the assays better?**
#
# ## 2. Read the card before the data
#
# Every dataset has a *data card*: one page with its licence, its units, how the labels were made, and the known problems.

# %%
molfm.card("toxcast")

# %% [markdown]
# Two facts on this card matter below. 60% of the results "active" are flagged with a caution, such as "borderline". And
# many molecules are near-duplicates of each other. The *split* into molecules for training and for the test therefore
# keeps all molecules with the same *scaffold* (ring system with its linkers) on one side. Otherwise the test would
# reward learning by heart.
#
# *MiniMix*, the data that come with molfm, joins four datasets by molecule. Each column of the picture is a *task* (one
# thing to predict), each row a group of molecules. Indigo marks computed labels, amber measured ones. White means that
# nobody knows.

# %% alt="A picture of 211 tasks by 18,295 molecules. The computed quantum tasks fill two blocks on the left. The assays of ToxCast fill a part of the rows, with many gaps."
from molfm.explore.label_map import LabelMap
from molfm.plots.data import label_picture

labels = LabelMap(data)
label_picture(labels.coverage(256), data.tasks.iloc[labels.tasks], "Which molecules have labels of which tasks?")

# %% [markdown]
# **Exercise 00.2** A table with many empty cells is *sparse*. ToxCast's table has one row for each of its molecules and
# one column per assay. Which share of its cells is empty? The next cell prints the three numbers that you need.

# %%
toxcast = data.select(["toxcast"]).tasks
n_labels = int(toxcast[["n_train", "n_val", "n_test"]].sum().sum())
n_molecules = int(data.molecules.datasets.str.contains("toxcast").sum())
print(f"{n_molecules:,} molecules, {len(toxcast)} assays, {n_labels:,} labels")

# %%
empty = ...  # between 0 and 1
### BEGIN SOLUTION
empty = 1 - n_labels / (n_molecules * len(toxcast))
### END SOLUTION
check("00.2", empty)

# %% [markdown]
# ## 3. Look around
#
# The panel below has three linked parts: the label picture, a map on which similar molecules are near each other, and a browser.
#
# 1. Type *caffeine* into the browser's search box. What was measured for it, and what was computed?
# 2. Turn the wheel over the picture to zoom in, and drag over a region to select its molecules.
# 3. Draw a lasso around an island of the map. What do its molecules have in common?
#
# All three share one selection, which Python sees as `panel.selection`. (Without a running kernel you see a small preview.)

# %%
from molfm.widgets import explore

panel = explore(data)
panel

# %% [markdown]
# ## 4. Train one network on everything
#
# The network reads a molecule as a graph. Its *trunk* (layers that pass messages along bonds) turns every atom into a
# vector, and one small *head* per dataset and level turns these vectors into predictions. All tasks share the trunk.
# The network starts with random numbers, its *weights*. In each *step* it predicts some molecules, compares the
# predictions with the labels, and changes its weights a little. One such training is a *run*. Each assay keeps only 128
# of its training labels, like a project in its first year.
#
# **Predict before you run.** The *AUROC* is the chance that the network ranks a random active molecule above a random
# inactive one. 0.5 is as good as tossing a coin, and 1 is perfect. What will be the mean over all assays, for molecules
# with new scaffolds?

# %%
my_guess = ...  # between 0.5 and 1
### BEGIN SOLUTION
my_guess = 0.8
### END SOLUTION

# %%
settings = quickstart.budget()
run = molfm.train(
    data,
    tasks=["toxcast", "xtb", "qm9_mini"],
    steps=settings["steps"],
    batch_size={"toxcast": 64, "xtb": 32, "qm9_mini": 32},
    n_labels=dict.fromkeys(data.expand("toxcast"), settings["n_labels"]),
    watch=["toxcast"],
    learning_rate=settings["learning_rate"],
    hidden_channels=settings["hidden_channels"],
    num_layers=settings["num_layers"],
)

# %%
from molfm.training.metrics import averages

means = averages(run.results).query("split == 'test' and metric in ('auroc', 'r2')")
means[["dataset", "level", "metric", "value", "n_tasks", "n_labels"]].round(2)

# %%
auroc = means.query("dataset == 'toxcast'").value.iloc[0]
reveal(my_guess, round(auroc, 2), "Mean AUROC over the assays, new scaffolds")

# %% [markdown]
# Most people guess too high. 128 noisy labels per assay are few, and the scaffolds of the test are new. The other rows
# show *R²*: 1 is perfect, 0 is no better than always saying the mean. In these few steps the network learns atoms and
# bonds (`node`, `edge`) much better than whole molecules (`graph`). One reason: a molecule has only one energy, but one
# charge for each atom.
#
# ## 5. Ask it
#
# Predictions are probabilities for assays. For quantum properties they have the unit of the label, here electronvolt
# (eV) for the energy of the HOMO, the highest occupied orbital. Two receptors are asked for: the estrogen receptor, and
# AhR, to which dioxins bind.

# %%
tasks = ["TOX21_ERa_LUC_VM7_Agonist", "TOX21_AhR_LUC_Agonist", "xtb/homo"]
molecules = {"ethanol": "CCO", "caffeine": caffeine, "bisphenol A": "CC(C)(c1ccc(O)cc1)c1ccc(O)cc1"}
table = run.model.predict(list(molecules.values()), tasks=tasks, progress=False)
table.index = list(molecules)
table = table.drop(columns=["mol_id", "smiles"]).round(2)
table.columns = ["activates estrogen receptor (probability)", "activates AhR (probability)", "energy of the HOMO (eV)"]
table

# %% [markdown]
# The same network predicts the charge of every atom. Compare this with the computed charges in section 1:

# %%
atoms = run.model.predict(caffeine, level="node")
HTML(atom_values(caffeine, atoms["xtb/charge"], "e, predicted"))

# %% [markdown]
# The same by clicking: in the *training lab* you choose what to learn from, see what that will cost, and press Start.
# The run trains in a process of its own, so this notebook stays free. Guess the result first ("Guess first"). Then
# compare the learning curve with a random forest (a simpler model, see lesson 2), and watch how the charges of caffeine
# appear.

# %%
from molfm.widgets import TrainingLab

lab = TrainingLab(data)
lab

# %% [markdown]
# ## 6. Alone or together?
#
# One run proves nothing: another *seed* (start of the random numbers) gives another number. `molfm.transfer` trains **pairs** of
# runs. Both runs of a pair have the same seed, the same 128 labels of each assay, the same first weights and the same number of steps.
# Only the quantum tasks are added. Five pairs take two minutes. (If you ran `molfm quickstart` before, its runs are reused.)

# %%
result = molfm.transfer("minimix", targets=["toxcast"], sources=[["xtb", "qm9_mini"]], **settings)

# %% alt="Differences in AUROC, one row for all assays and one per family of assays. The interval of the mean of all assays is narrow; the dots of the single assays scatter widely on both sides of zero." slide="Quantum labels beside 172 assays: the mean of all is known well, a single assay is not"
result.figure()

# %%
from molfm.study.wording import findings

HTML("".join(f"<p><b>{answer}</b><br>{detail}</p>" for answer, detail in findings(result)))

# %% [markdown]
# Start with the mean over all assays (top row). The bar is its *95% interval*: the range in which the true difference
# probably lies. (Seven of the 179 assays have too few active molecules for a comparison, so 172 are left.) Each dot is
# one assay. A single assay scatters so widely that its difference says little. The mean of all is known several times
# more precisely.
#
# **Exercise 00.3** What does the top row allow you to say: that quantum labels `"help"`, `"hurt"`, or that you `"cannot tell"`?

# %%
verdict = ...
### BEGIN SOLUTION
verdict = {"helps": "help", "hurts": "hurt"}.get(result.means.verdict.iloc[0], "cannot tell")
### END SOLUTION
check("00.3", verdict, result)

# %% [markdown]
# Every comparison of the study, in one matrix. Open a cell to see its pairs. Then move the slider: what would the
# verdict have been with two pairs, or with three? Hatched cells mean *cannot tell*, which is not zero.

# %%
from molfm.widgets import TransferExplorer

TransferExplorer(result)

# %% alt="Mean AUROC of all assays on validation molecules against training steps: one line for training alone, one with quantum labels, each with thin lines for the five seeds."
from molfm.plots.runs import learning_curves

learning_curves(result.curves("TOX21_AhR_LUC_Agonist", together=True), "Mean AUROC of the assays")

# %% [markdown]
# The whole study as one page, to share:

# %%
page = result.to_html("quickstart.html")
print(page.name)

# %%
progress("00")

# %% [markdown]
# ## Discussion
#
# 1. The paper says that quantum data help biological tasks. Which conditions differ between that claim and this small study?
# 2. Which chemicals would you add to ToxCast's table if you could pay for a hundred more tests?
# 3. `sources=["b3db/BBB"]` for the target `logBB` is refused with an error. Try it. Why is it right to refuse?
#
# ## Quiz
#
# Click on an answer to see whether it is right, and why.
#
# **1. What is a sparse table of labels?**
# <details><summary>One with few molecules.</summary>No. MiniMix has 18,295 molecules, and its table is still sparse.</details>
# <details><summary>One in which many cells are empty.</summary>Right. Not every molecule was measured in every assay.</details>
# <details><summary>One with many zeros.</summary>A zero is a result: tested, and inactive. An empty cell means that nobody knows.</details>
#
# **2. Why do all molecules with one scaffold stay on one side of the split?**
# <details><summary>So that the test asks about molecules of a new kind.</summary>Right. Near-duplicates on both sides would reward learning by heart.</details>
# <details><summary>So that both sides have the same size.</summary>The sizes are chosen separately. Think of near-duplicates.</details>
# <details><summary>Because scaffolds are rare.</summary>They are not: most drugs have one.</details>
#
# **3. What do two runs of a pair have in common?**
# <details><summary>All the tasks that they learn.</summary>No. They share the target tasks, but only one of them learns the source tasks, too.</details>
# <details><summary>Only the network.</summary>Much more is the same: also the labels, the seed and the number of steps.</details>
# <details><summary>Everything except the source tasks.</summary>Right. So a difference comes from the source, up to chance.</details>
#
# **4. The interval of a difference reaches from −0.02 to +0.01. What do you conclude?**
# <details><summary>There is no difference.</summary>That is more than you know. A small difference, in either direction, is possible.</details>
# <details><summary>You cannot tell whether there is a difference, but a large one is unlikely.</summary>Right. Both statements belong in a report.</details>
# <details><summary>It hurts, because most of the interval is negative.</summary>Zero is inside. Another set of seeds could well give the other sign.</details>
#
# **5. Why is the mean over 172 assays known better than one assay?**
# <details><summary>Its labels are better.</summary>They are the same labels.</details>
# <details><summary>The network was trained for longer.</summary>It is the same network.</details>
# <details><summary>Errors of single assays partly cancel in the mean.</summary>Right. They do not cancel completely, since all assays share the network and the molecules.</details>
#
# ## Further reading
#
# - Beaini et al. 2023, *Towards foundational models for molecular learning on large-scale multi-task datasets*,
#   [arXiv 2310.04292](https://arxiv.org/abs/2310.04292)
# - Richard et al. 2016, *ToxCast chemical landscape*, [doi 10.1021/acs.chemrestox.6b00135](https://doi.org/10.1021/acs.chemrestox.6b00135)
# - Next: lesson 1, molecules as graphs
