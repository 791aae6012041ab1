"""The data cards, one Markdown file a dataset, and the tables of MiniMix."""
