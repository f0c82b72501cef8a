"""A double of Telegram's Bot API on a loopback port, with the rules of the real one and faults on demand. Needs aiohttp."""

from importlib.util import find_spec

if find_spec("aiohttp") is None:
    raise ModuleNotFoundError("the double of the Bot API needs aiohttp: pip install 'processsupervisor[telegram]'", name="aiohttp")
