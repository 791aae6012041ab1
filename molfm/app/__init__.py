"""What a user starts: the command line, what it prints, and the quickstart.

Each command is a thin wrapper over one function of a wing below.
"""
