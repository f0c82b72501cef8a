"""Releases: immutable copies of the bots' own code in .psv/releases/N, made, verified and removed by the command line."""
