# %% [markdown]
# # 11. Scaling up: from a laptop to a hundred million molecules
#
# **Goals.** After this lesson you can
#
# - estimate disk, memory and time for a dataset before you download it,
# - say why you should not store sparse labels and large datasets as one Python object per molecule,
# - measure where a training step spends its time, and count its arithmetic from the sizes of the network,
# - choose a batch size that fits into memory, and split a step over batches and devices without changing its gradient,
# - predict, with your own cost model, how many hours a training takes on one GPU and on eight.
#
# **You need** lessons 3 (message passing, batches), 4 (positional encodings) and 6 (trunk, heads, levels, loss). **Time:**
# about 70 minutes; the cells run for about two.

# %% [markdown]
# ## 1. An early success: the size of the largest dataset, without downloading it
#
# The collection that this course follows (Beaini et al. 2024, [arXiv 2310.04292](https://arxiv.org/abs/2310.04292)) has
# about 100 million molecules and more than 3,000 tasks, in three mixes: ToyMix, LargeMix and UltraLarge. How much disk, time
# and memory would they take on *your* computer? molfm prepares a small sample, measures its cost, and scales it up to the
# number of rows in the data card.

# %%
import numpy as np
import pandas as pd
from molfm.widgets import LabelAtlas, TrainingLab

from molfm.data.estimate import estimate
from molfm.lessons import budget, check, progress, reveal
from molfm.plots.style import SERIES_COLORS, SERIES_SYMBOLS, new_figure

print("Measuring a sample …")
sizes = pd.concat([estimate(name).tail(1).assign(mix=name) for name in ("minimix", "toymix", "largemix", "ultralarge")])
sizes = sizes.set_index("mix")
pd.DataFrame(
    {
        "rows (millions)": sizes["rows"] / 1e6,
        "disk (GB)": (sizes["store"] + sizes["encodings"]) / 1e9,
        "preparing (hours)": sizes["seconds"] / 3600,
        "memory while preparing (GB)": sizes["memory"] / 1e9,
    }
).astype(float).round(2)

# %% [markdown]
# A molecule that is in several datasets of a mix counts once in each. (So MiniMix, with 18,295 different molecules, has 0.03
# million rows.) A command prints the same table, dataset by dataset: `molfm prepare largemix --dry-run`. *Preparing* means
# to read the table, turn each SMILES into numbers for atoms and bonds (*featurizing*), and write them to disk.
#
# Look at the last column. UltraLarge has fifteen times as many molecules as LargeMix and needs less memory. (LargeMix needs
# most because one of its datasets has 1,328 tasks. If the dataset is not on your disk, the estimate counts all of its cells
# as filled, so it is too high.) The data are cut into *shards*, pieces of fixed size, and only a few pieces are in memory at
# a time. This is the first rule of scaling up: **nothing may need the whole dataset in memory.**
#
# ## 2. Labels: a table that is mostly empty
#
# Let us look at the small mix that comes with molfm.

# %%
data = molfm.load("minimix")
tasks = data.tasks[data.tasks.level == "graph"]
n_labels = int(tasks[["n_train", "n_val", "n_test"]].sum().sum())
cells = len(tasks) * len(data)
print(
    f"{len(data):,} molecules × {len(tasks)} graph tasks = {cells:,} cells; {n_labels:,} have a label: {n_labels / cells:.0%}"
)

# %% [markdown]
# **Look at it.** The atlas draws molecules as rows and tasks as columns. Where are the largest empty blocks, and which
# datasets cause them? Zoom into the assays of ToxCast: are the empty cells spread evenly, or do they form stripes? (Without
# a running kernel you see the table of tasks.)

# %%
LabelAtlas(data)

# %% [markdown]
# There are two ways to store such labels:
#
# - a **dense table**: one number of 4 bytes for every cell, empty or not;
# - **triples**, as in molfm: for every label that exists, molfm stores its place (which atom, or 0 for the whole molecule; 2 bytes),
#   its task (2 bytes) and its value (4 bytes). Empty cells take no space.
#
# As lesson 5 showed, triples need less space as soon as more than half of the cells are empty. The more datasets you join,
# the emptier the table. A dense table of 100 million molecules and 3,000 tasks would take $10^8 \cdot 3000 \cdot 4$ bytes =
# 1.2 terabytes.
#
# **Exercise 11.1** Suppose that 2% of these cells are filled. How many gigabytes ($10^9$ bytes) do the triples take?

# %%
gigabytes = ...  # a number
### BEGIN SOLUTION
gigabytes = 1e8 * 3000 * 0.02 * (2 + 2 + 4) / 1e9
### END SOLUTION
check("11.1", gigabytes)

# %% [markdown]
# In a dense table, missing labels also cost time,
# because every loss must leave them out.
#
# ## 3. Reading: Python objects or flat arrays
#
# PyTorch Geometric (PyG) usually keeps one Python object per molecule, with a few small tensors. `Batch.from_data_list` joins many of
# them into one large graph. molfm keeps the atoms of *all* molecules in one long array, and a second array says where each
# molecule starts. The arrays are *memory-mapped*: they stay on disk, and the system loads only the parts that are touched. A
# batch is then a *gather*: a few operations that copy the wanted rows of each array.
#
# We count only the seconds in which a processor core worked for this notebook (`process_time`), so other programs hardly
# disturb the measurement.

# %%
import time

import torch
from torch_geometric.data import Batch
from torch_geometric.utils import from_smiles

from molfm.batches.batch import to_batch
from molfm.chem.featurize import featurize

threads = torch.get_num_threads()
torch.set_num_threads(1)  # measure one core
rng = np.random.default_rng(0)
train = data.members("train")


def seconds(function, *arguments, repeats=3):
    """Return the core's seconds of one call, the best of several."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        function(*arguments)
        taken.append(time.process_time() - start)
    return min(taken)


N = budget(512, fast=64)
chosen = rng.choice(train, N, replace=False)
smiles = data.molecules.smiles.iloc[chosen].tolist()
objects = [from_smiles(text) for text in smiles]
ways = {
    "featurize: PyG, object by object": lambda: [from_smiles(text) for text in smiles],
    "featurize: molfm, into arrays": lambda: featurize(smiles),
    "make a batch: PyG, from objects": lambda: Batch.from_data_list(objects),
    "make a batch: molfm, gather with labels": lambda: to_batch(data.gather(chosen, "train")),
}
for name, way in ways.items():
    print(f"{name:40} {N / seconds(way):>8,.0f} molecules per second and core")

# %%
per_object = sum(tensor.nbytes for item in objects for tensor in (item.x, item.edge_index, item.edge_attr)) / N
per_row = sum(shard.atoms.nbytes + shard.bonds.nbytes for shard in data.shards) / sum(
    len(shard.row) for shard in data.shards
)
print(f"bytes per molecule: {per_object:,.0f} in PyG's tensors, {per_row:,.0f} in flat arrays of small integers")
print(
    f"for 83.7 million molecules of this size: {per_object * 83.7e6 / 1e9:,.0f} GB against {per_row * 83.7e6 / 1e9:,.0f} GB, without labels"
)

# %% [markdown]
# Featurizing is slow because every SMILES must be parsed by RDKit. So do it once and keep the result. Batches, however, must
# be made in every epoch. Here the gather wins, although it also brings the labels and positional encodings, which the PyG
# objects do not even have. (Section 1 gave UltraLarge more disk space than the last line, because it also counts labels and
# positional encodings.)
#
# ## 4. The training step: what does a larger batch cost?
#
# A *step* takes a batch, predicts, computes the loss and its gradient, and changes the weights. We measure steps of two
# networks, of width 32 and 128, on batches of different sizes.

# %%
from molfm.nn.checkpoints import new_model
from molfm.nn.config import ModelConfig
from molfm.training.losses import task_sums, total_loss


def batch_of(size):
    """Return a random batch of training molecules with all their labels."""
    return to_batch(data.gather(rng.choice(train, size, replace=False), "train"))


def network(width):
    """Return a new network with 4 layers and heads for all tasks of the mix, and its optimizer."""
    model = new_model(ModelConfig(hidden_channels=width, num_layers=4), data.tasks, seed=0)
    return model, torch.optim.AdamW(model.parameters())


def step(model, optimizer, batch):
    """Do one training step."""
    sums, counts = task_sums(model, model(batch), batch)
    total_loss(sums, counts, model.head).backward()
    optimizer.step()
    optimizer.zero_grad()


WIDTHS, BATCHES = (32, 128), (1, 4, 16, 64, budget(256, fast=64))
taken = {}
for width in WIDTHS:
    model, optimizer = network(width)
    for size in BATCHES:
        batch = batch_of(size)
        step(model, optimizer, batch)  # the first step prepares memory, so it does not count
        taken[width, size] = seconds(step, model, optimizer, batch)
    print(f"width {width} measured")

# %% [markdown]
# **Predict before you run.** A step of the network of width 32 takes a certain time for a batch of *one* molecule. How many
# times as long does a step take for a batch of 256 molecules?

# %%
my_guess = ...  # times as long
### BEGIN SOLUTION
my_guess = 100
### END SOLUTION

# %%
times = taken[32, BATCHES[-1]] / taken[32, 1]
reveal(my_guess, round(times, 1), f"Time of a step with {BATCHES[-1]} molecules, compared with 1 molecule", "times")

# %% [markdown]
# With one molecule, the core does little arithmetic. It spends most of its time on starting hundreds of small operations,
# one after another. These starts cost the same for one molecule as for 256. So the time of a step with $b$ molecules is
# nearly $t(b) = t_0 + t_1 b$, with a fixed time $t_0$ and a time $t_1$ per molecule. The *throughput*, in molecules per
# second, is
#
# $$\frac{b}{t(b)} = \frac{b}{t_0 + t_1 b}$$
#
# It first grows in proportion to $b$, then levels off at $1/t_1$.

# %% alt="Throughput in molecules per second against batch size, both axes logarithmic. Width 32 rises from about 45 with one molecule to about 3,000 with 256. Width 128 rises from about 45 to about 600 and levels off from 64 on." slide="Large batches pay until arithmetic fills the time: throughput of a training step on one core"
figure = new_figure("One core, 4 layers, all tasks of MiniMix", "molecules per batch", "molecules per second")
for place, width in enumerate(WIDTHS):
    figure.add_scatter(
        x=BATCHES,
        y=[size / taken[width, size] for size in BATCHES],
        name=f"width {width}",
        mode="lines+markers",
        line_color=SERIES_COLORS[place],
        marker={"symbol": SERIES_SYMBOLS[place], "size": 10},
    )
figure.update_xaxes(type="log", tickvals=BATCHES)
figure.update_yaxes(type="log", dtick=1)

# %% [markdown]
# The wide network does more arithmetic per molecule, so it levels off earlier and lower. On a GPU the same picture holds, with
# far larger batches: a GPU has thousands of arithmetic units to fill. A small network with small batches spends its time on
# starting operations. A GPU starts them no faster, so it cannot help there.
#
# ## 5. Counting the arithmetic
#
# Why is the wide network slower? Each weight takes part in one multiplication and one addition for every atom (or other
# *item*) that its part of the network reads. The gradient needs the same twice: once for the states, once for the weights.
# This makes 6 operations per weight and item, so the number of operations $C$ of a step is
#
# $$C \approx 6 \sum_{\text{parts}} (\text{weights of the part}) \times (\text{items that it reads})$$
#
# For language models, where every one of the $N$ weights is applied to every one of the $D$ tokens (pieces of words), this
# is the well-known $C \approx 6\,N D$ (Kaplan et al. 2020, [arXiv 2001.08361](https://arxiv.org/abs/2001.08361)). In a graph
# network the items differ: encoder, trunk and node heads read atoms, edge heads read bonds, graph heads read molecules.

# %%
model, optimizer = network(128)
batch = batch_of(budget(256, fast=64))
items = {"graph": batch.num_graphs, "node": batch.num_nodes, "edge": batch.num_edges // 2}
networks = [("encoder", model.encoder, "node"), ("trunk", model.trunk, "node")]
networks += [(name, head, name.partition(":")[0]) for name, head in model.heads.items()]
parts = pd.DataFrame(
    {
        "weights": [sum(weight.numel() for weight in part.parameters()) for _, part, _ in networks],
        "items": [items[level] for _, _, level in networks],
    },
    index=[name for name, _, _ in networks],
)
parts

# %% [markdown]
# **Exercise 11.2** Write a function that computes $C$, the number of operations of one step, from such a table.


# %%
def operations(parts):
    """Return the arithmetic operations of a training step; `parts` has the columns weights and items."""
    total = ...
    ### BEGIN SOLUTION
    total = 6 * (parts["weights"] * parts["items"]).sum()
    ### END SOLUTION
    return total


check("11.2", operations, parts)

# %% [markdown]
# How good is the formula? PyTorch can count the operations of all matrix products while a step runs.

# %%
from torch.utils.flop_counter import FlopCounterMode

with FlopCounterMode(display=False) as counter:
    step(model, optimizer, batch)
counted = counter.get_total_flops()
formula = 6 * (parts["weights"] * parts["items"]).sum()
a, b = torch.randn(2, 1024, 1024)
product = 2 * 1024**3 / seconds(torch.matmul, a, b)  # operations per second of one large matrix product
speed = counted / seconds(step, model, optimizer, batch)
print(f"counted: {counted / 1e9:.2f} billion operations; formula: {formula / 1e9:.2f} billion")
print(f"the step: {speed / 1e9:.0f} billion per second; a large matrix product: {product / 1e9:.0f} billion per second")

# %% [markdown]
# The formula is right to a few percent. But the step does not reach the speed of a bare matrix product on the same core.
# The rest of its time goes into copies, non-linear functions and sums over neighbours, which the formula does not count.
# The speed of the step, divided by the speed that the core can reach, is its *utilization*. **Count operations to compare
# networks; measure seconds to plan your time.**
#
# ## 6. Memory: what must be kept for the gradient
#
# The weights need memory once for themselves, once for their gradients and twice for the averages that the optimizer
# AdamW keeps: 4 × 4 bytes. Usually the larger part goes to the *activations*: the results of all layers. They are kept
# because the gradient needs them. PyTorch can tell what it keeps:


# %%
def kept_bytes(model, batch, half=False):
    """Return the bytes of activations that are kept for the gradient."""
    kept, weights = {}, {weight.data_ptr() for weight in model.parameters()}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", torch.bfloat16, enabled=half):
        sums, counts = task_sums(model, model(batch), batch)
        loss = total_loss(sums, counts, model.head)
    size = sum(size for place, size in kept.items() if place not in weights)
    loss.backward()  # sets the memory free
    model.zero_grad()
    return size


print("Counting what is kept …")
n_weights = int(parts["weights"].sum())
memory = pd.DataFrame(
    [
        {
            "molecules": size,
            "weights and optimizer (MB)": 16 * n_weights / 1e6,
            "activations (MB)": kept_bytes(model, batch_of(size)) / 1e6,
            "activations, bf16 (MB)": kept_bytes(model, batch_of(size), half=True) / 1e6,
        }
        for size in (16, 64, 128)
    ]
)
per_channel = kept_bytes(model, batch) / (batch.num_nodes * 4 * 128)
print(f"{per_channel:.0f} bytes of activations per atom, layer and channel")
memory.round(1)

# %% [markdown]
# Activations grow with the number of molecules, of layers and of channels (the width). *bf16* is a floating-point format of
# 2 bytes. It has the range of a usual number (*float32*, 4 bytes), but only two to three significant digits:

# %%
for kind in (torch.float32, torch.float16, torch.bfloat16):
    total = float(torch.tensor(256, dtype=kind) + 1)
    print(f"{kind}: {kind.itemsize} bytes, largest number {torch.finfo(kind).max:.1e}, 256 + 1 = {total:.0f}")

# %% [markdown]
# In bf16, 256 + 1 is 256. Activations tolerate this rounding. Sums over many numbers, and weights that change by tiny
# amounts, do not. So *mixed precision* (`precision="bf16-mixed"`) keeps weights, gradients and losses in
# float32. float16 has more digits, but overflows above 65,504.
#
# **Exercise 11.3** The published model of LargeMix (`minimol`) has 10.3 million weights and 16 layers of width 336. Assume
# 60 bytes of activations per atom, layer and channel in float32, as measured above, and 18 atoms per molecule. Weights,
# gradients and optimizer together take 16 bytes per weight. How many molecules fit into one step on a GPU with 80 GB (80 ×
# 10⁹ bytes)? Leave out everything else.

# %%
largest_batch = ...  # molecules
### BEGIN SOLUTION
largest_batch = (80e9 - 16 * 10.3e6) / (60 * 18 * 16 * 336)
### END SOLUTION
check("11.3", largest_batch)

# %% [markdown]
# ## 7. One step in several pieces
#
# If a batch does not fit into memory, take it in pieces: compute the gradient of each piece, add the gradients, and change
# the weights once. This is *gradient accumulation* (`accumulate=4`). It saves memory, not time.
#
# If you have several devices, give each a piece at the same time. This is *data parallelism*: every process has a copy of
# the network. After each backward pass an *all-reduce* averages the gradients of all processes, so all processes get the
# same gradient and all copies change in the same way. Gradients and a few counts of labels travel between the devices;
# molecules never do. PyTorch calls it DDP, distributed data parallel (Li et al. 2020, [arXiv
# 2006.15704](https://arxiv.org/abs/2006.15704)).
#
# With sparse labels there is a trap. The loss is a mean over labels, and pieces have different numbers of labels.
#
# **Exercise 11.4** Each piece reports the *sum* of its losses and the *number* of its labels. Write a function that returns the loss of the
# whole step, the mean over all labels. A piece may have no labels at all.


# %%
def loss_of_step(sums, counts):
    """Return the mean loss per label; `sums` and `counts` are arrays with one entry per piece."""
    loss = ...
    ### BEGIN SOLUTION
    loss = sum(sums) / sum(counts)
    ### END SOLUTION
    return loss


check("11.4", loss_of_step)

# %% [markdown]
# The processes of molfm share their counts in the same way, so the number of processes changes nothing except rounding.
# Check this. The next cell trains a tiny network twice: in one process, and in two processes that talk to each other.
# Starting processes takes a while.

# %%
small = molfm.load("minimix", tasks=["b3db/logBB"])
settings = {
    "steps": budget(10, fast=2),
    "batch_size": 32,
    "validate_every": budget(10, fast=2),
    "hidden_channels": 16,
    "num_layers": 2,
    "accelerator": "cpu",
    "seed": 0,
    "progress": False,
}
torch.set_num_threads(threads)
losses = {}
for processes in (1, 2):
    print(f"Training, number of processes: {processes}")
    run = molfm.train(small, devices=processes, dropout=0.0, **settings)
    losses[f"processes: {processes}"] = run.metrics.set_index("step")[["train_loss", "val_loss"]].iloc[-1]
pd.DataFrame(losses).T

# %% [markdown]
# The losses agree: two processes did the *same* training. On a laptop they are hardly faster, because both share the same
# cores and the network is tiny. On GPUs each process has a device of its own.
#
# To use several machines, run the same command once on each. On a cluster, the scheduler *SLURM* does this for you:
#
# ```sh
# srun molfm train largemix --name night --devices 8 --num-nodes 2 --precision bf16-mixed --batch-size 4096 --epochs 100
# ```
#
# **Long runs break.** Machines fail, and clusters end jobs after their time limit. A *checkpoint* is a file with everything
# that you need to continue: weights, both averages of the optimizer, the position in the data and the random states. Every
# run writes them, and `molfm.Run("night").resume()` continues from the last one. How large is it?

# %%
import io

file = io.BytesIO()
torch.save({"weights": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
print(
    f"{file.tell() / n_weights:.1f} bytes per weight; for 10.3 million weights {file.tell() / n_weights * 10.3:.0f} MB"
)

# %% [markdown]
# Each weight and its two averages take 4 bytes. That is little, so write checkpoints often: a crash costs you the time
# since the last one.
#
# ## 8. The cost model
#
# Now put it together. A training processes `molecules` × `epochs` molecules. One GPU processes `rate` molecules per second.
# Eight GPUs are not quite eight times as fast, because they wait for each other at each all-reduce. Let `efficiency` be the
# share that remains, so 8 GPUs with an efficiency of 0.9 do the work of 7.2.
#
# **Exercise 11.5** Write the function.


# %%
def hours(molecules, epochs, rate, gpus=1, efficiency=1.0):
    """Return the hours of a training; `efficiency` counts only for more than one GPU."""
    result = ...
    ### BEGIN SOLUTION
    speedup = 1 if gpus == 1 else gpus * efficiency
    result = molecules * epochs / (rate * speedup) / 3600
    ### END SOLUTION
    return result


check("11.5", hours)

# %% [markdown]
# Apply it to 10 epochs of UltraLarge (82,071,899 training molecules, data card `pm6_83m`). You measured the rate of your
# core in section 4, for the network of width 128. For a GPU we *assume* 5 × 10¹² useful operations per second, 2 euros per
# hour and 0.7 kW. Operations per molecule come from section 5: the counted ones for the network of width 128 ("small
# network"), and 6 × 10.3 million weights × 18 atoms for the published one. That counts every weight as if it read atoms, so
# it is a little too high. **Replace assumptions by a measurement**: rent the GPU for ten minutes, train 200 steps, and read
# the rate.

# %%
MOLECULES, EPOCHS = 82_071_899, 10
GPU_SPEED, EUROS_PER_HOUR, KILOWATTS = 5e12, 2, 0.7  # assumptions
core = BATCHES[-1] / taken[128, BATCHES[-1]]
small_network = GPU_SPEED / (counted / batch.num_graphs)
published_network = GPU_SPEED / (6 * 10.3e6 * 18)
plans = {  # molecules per second and device, devices, efficiency
    "small network, one core of this computer": (core, 1, 1.0),
    "small network, one GPU": (small_network, 1, 1.0),
    "published network, one GPU": (published_network, 1, 1.0),
    "published network, eight GPUs": (published_network, 8, 0.9),
}
table = pd.DataFrame(plans, index=["molecules per second", "devices", "efficiency"]).T
table["hours"] = MOLECULES * EPOCHS / (table["molecules per second"] * table.devices * table.efficiency) / 3600
on_gpu = table.index.str.contains("GPU")
table["euros"] = np.where(on_gpu, table.hours * table.devices * EUROS_PER_HOUR, 0)
table["kWh on GPUs"] = np.where(on_gpu, table.hours * table.devices * KILOWATTS, 0)
table.round(1)

# %% [markdown]
# Eight GPUs are about seven times as fast, and *more expensive*: they use more GPU hours for the same training. You buy
# time with money.
#
# Is the disk fast enough? One epoch reads every molecule once, in random order. The estimate of section 1 gives the bytes
# per molecule.

# %%
largest = sizes.loc["ultralarge"]
per_molecule = (largest["store"] + largest["encodings"]) / largest["rows"]
demand = table["molecules per second"] * table.devices * table.efficiency * per_molecule / 1e6
demand.round(0).rename("MB per second from disk").to_frame()

# %% [markdown]
# The *small* network on a GPU needs the fastest disk, because it does little arithmetic per molecule. A good SSD is fast
# enough. A hard disk is not: it must move its head for every molecule.
#
# **Guess, then see.** Open the lab. Choose a task, and set steps to 300, width to 64 and 4 layers. Note the forecast for
# weights, time and memory. Now guess: what happens to each of the three if you double the width? And if you double the batch
# size? Then move the sliders. Do not start a training. (This needs a running kernel.)

# %%
TrainingLab(data)

# %%
progress("11")

# %% [markdown]
# ## Discussion
#
# 1. You have 500 euros. Would you train a large network once, or a small one with ten seeds? What does each choice tell you?
# 2. Larger batches give more molecules per second, but fewer changes of the weights per epoch. When is a faster epoch a slower
#    training?
# 3. UltraLarge has 83 million molecules and only quantum labels. Which question would you answer *before* you pay for training on it?
#
# ## Quiz
#
# Click on an answer to see whether it is right, and why.
#
# **1. Why are labels stored as triples?**
# <details><summary>Triples are more exact.</summary>The values are the same. Count the bytes of the empty cells.</details>
# <details><summary>Triples can be read without a program.</summary>You need a program for both. Think of the empty cells.</details>
# <details><summary>Empty cells then take no memory and no time.</summary>Right. In a mix of many datasets most cells are empty.</details>
#
# **2. What does gradient accumulation change?**
# <details><summary>It saves memory, and the gradient stays the same.</summary>Right. The pieces are computed one after another, and their gradients are added.</details>
# <details><summary>It makes a step faster.</summary>It does the same arithmetic in smaller pieces, which is slightly slower.</details>
# <details><summary>It is the same as a smaller batch.</summary>The weights change once per step, after all pieces. So the gradient is that of the large batch.</details>
#
# **3. What travels between the devices in data parallelism?**
# <details><summary>The molecules of the batch.</summary>Each process reads its own molecules.</details>
# <details><summary>The gradients, and the counts of labels.</summary>Right. About 4 bytes per weight, whatever the size of the batch.</details>
# <details><summary>The activations of every layer.</summary>They stay where they were computed. (Other kinds of parallelism do send them.)</details>
#
# **4. A step of a small network takes 20 ms for 1 molecule and 25 ms for 4. What is the best next thing to try?**
# <details><summary>A larger batch.</summary>Right. Most of the time is a fixed cost, so more molecules per step cost little.</details>
# <details><summary>bf16.</summary>It makes arithmetic faster, which is a small part of this step.</details>
# <details><summary>A faster disk.</summary>Perhaps later. The step itself is nearly idle: look at the fixed cost first.</details>
#
# **5. Weights stay in float32 in mixed precision. Why?**
# <details><summary>Weights take little memory, so it does not matter.</summary>True for the memory, but it is not the reason. Think of 256 + 1.</details>
# <details><summary>bf16 cannot store negative numbers.</summary>It can. Its weakness is the number of digits.</details>
# <details><summary>A step changes a weight by a tiny amount, which bf16 would round away.</summary>Right. With two to three digits, small changes are lost, and the network stops learning.</details>
#
# ## Further reading
#
# - Beaini et al. 2024, *Towards foundational models for molecular learning on large-scale multi-task datasets*, [arXiv 2310.04292](https://arxiv.org/abs/2310.04292)
# - Kaplan et al. 2020, *Scaling laws for neural language models*, [arXiv 2001.08361](https://arxiv.org/abs/2001.08361)
# - Micikevicius et al. 2018, *Mixed precision training*, [arXiv 1710.03740](https://arxiv.org/abs/1710.03740)
# - Li et al. 2020, *PyTorch Distributed: experiences on accelerating data parallel training*, [arXiv 2006.15704](https://arxiv.org/abs/2006.15704)
