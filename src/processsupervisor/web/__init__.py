"""The web process: one port with the fleet's page, its JSON and every bot's chat; holds no messages and may be killed at any time."""
