"""Five operator tasks, each done under psv and its peers by a script that counts what it does."""
