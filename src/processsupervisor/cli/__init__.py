"""The `psv` command: click and the standard library; its argument tree is generated from commands/."""
