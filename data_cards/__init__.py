"""The data cards, one Markdown file per dataset or mix, and the tables of MiniMix."""
