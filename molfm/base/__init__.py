"""The ground floor: files written whole, pointers into flat arrays, and how a name is resolved.

Imports nothing else of molfm.
"""
