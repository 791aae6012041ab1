"""Plotly figures: tables in, figures out. Imports nothing of molfm but `base`.

Results have a `figure` method that calls these.
"""
