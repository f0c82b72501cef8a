"""Composition: the place above both wings where ports meet implementations. Nothing imports this room."""
