"""What a bot's author tests with: no network, no supervisor, no waiting; shipped with the package."""
