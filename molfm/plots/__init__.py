"""Plotly figures: tables in, figures out. Imports nothing of molfm except `base`.

The `figure` methods of results call these functions.
"""
