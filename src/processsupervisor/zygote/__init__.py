"""The preloaded parent: libraries imported once, one thread, forks a bot in milliseconds."""
