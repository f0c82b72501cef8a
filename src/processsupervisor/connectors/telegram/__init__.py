"""Telegram, over aiogram's client and types. aiogram is imported by client, convert, calls and sending alone, and these by `make`."""
