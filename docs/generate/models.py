"""A page per model that has a name, and the presets: networks and recipes of the paper."""

import yaml

import molfm
from generate.pages import ROOT, Pages, dropdown, plain, table, toctree
from molfm.nn.checkpoints import FILES, NAMES
from molfm.training.presets import PRESETS


def generate(pages: Pages) -> str:
    """Write the pages of models and presets. No weights are downloaded."""
    rows = []
    for name in NAMES:
        _, front, text = (FILES / name / "card.md").read_text("utf-8").split("---\n", 2)
        facts = yaml.safe_load(front)
        pages.write(f"models/{name}.md", _page(name, facts, text))
        rows.append([f"[{name}]({name}.md)", plain(facts["network"]), plain(facts["data"])])
    start = (ROOT / "docs" / "models" / "index.md").read_text("utf-8")
    contents = toctree([*NAMES, "presets"])
    pages.write("models/index.md", "\n".join([start, table(["Name", "Network", "Trained on"], rows), contents]))
    pages.write("models/presets.md", _presets())
    return f"{len(NAMES)} models, {len(PRESETS)} presets"


def _page(name: str, facts: dict, text: str) -> str:
    rows = [(key.capitalize(), plain(value)) for key, value in facts.items() if key != "name"]
    body = text.strip().removeprefix(f"# {name}").strip()
    use = f'```python\nimport molfm\n\nmodel = molfm.pretrained("{name}")\nmodel.predict(["CCO"])\n```\n'
    return "\n".join([f"# {name}\n", use, table(["Fact", ""], rows), body, ""])


def _presets() -> str:
    parts = [
        "# Presets\n",
        "A preset is an untrained network with its recipe: widths, layers, losses and schedule of "
        "[arXiv 2310.04292](https://arxiv.org/abs/2310.04292). Its name works wherever a model is named:\n",
        '```python\nmolfm.train("minimix", model="toymix-gine", tasks=["logBB"], epochs=60)\nmolfm.preset("toymix-gine")\n```\n',
    ]
    rows = []
    for name in PRESETS:
        preset = molfm.preset(name)
        shown = preset.table()
        size = shown.query("part == 'parameters' and setting == 'all'").value.iloc[0]
        rows.append([f"`{name}`", preset.mix, preset.config.layer, preset.config.hidden_channels, size])
        settings = table(["Part", "Setting", "Value"], [map(plain, row) for row in shown.values])
        parts.append(dropdown(name, settings))
    summary = table(["Preset", "For", "Layer", "Width", "Parameters"], rows)
    return "\n".join([*parts[:3], summary, "## All settings\n", *parts[3:]])
