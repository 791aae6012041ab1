"""Data cards and where their files come from: what a card says, how it is parsed, the shipped ones, downloads.

`molfm.card` and `molfm.cards` are the entrance.
"""
