"""A bot's own database: who writes to it, what came in, what goes out, what is due and kept; written by one thread with group commit."""
