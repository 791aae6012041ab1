"""Makes pages of the site. Each module has a function `generate(pages)`, which writes pages and says in a word what it wrote."""
