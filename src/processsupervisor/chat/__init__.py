"""Conversations: order, consent and disclosure, reminders, and answers out of documents."""
