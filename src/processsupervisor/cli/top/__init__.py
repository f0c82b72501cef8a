"""`psv top`: the bots of a fleet on one screen, with what they cost, and keys to act on them. Textual is imported here only."""
