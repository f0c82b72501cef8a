"""Inside the bot's process: author API, message pump, control link, and the runner that the zygote's child calls."""
