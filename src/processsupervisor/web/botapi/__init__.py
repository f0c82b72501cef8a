"""A local Bot API in front of Telegram's for unmodified bots: durable updates, one owner per token, and no bot that knows its token."""
