"""The command line, its terminal output, and the quickstart.

Each command is a thin wrapper over one function of another wing.
"""
