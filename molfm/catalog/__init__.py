"""Data cards and the files they name: what a card contains, how it is parsed, the shipped cards, downloads.

`molfm.card` and `molfm.cards` are the entry points.
"""
