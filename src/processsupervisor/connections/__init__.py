"""Live links to networks that have limits: how fast one may be used, and by whom."""
