"""A bot's own SQLite file: inbox, outbox, drafts, reminders and values, written by one thread with group commit."""
