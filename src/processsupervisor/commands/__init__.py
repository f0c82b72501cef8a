"""Every operation once: dotted name, typed arguments, permission, handler written against a port. Standard library only."""
