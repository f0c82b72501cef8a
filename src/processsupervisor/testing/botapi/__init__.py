"""A double of Telegram's Bot API on a loopback port, with the rules of the real one and faults on demand. Needs aiohttp."""
