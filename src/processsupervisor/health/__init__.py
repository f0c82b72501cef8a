"""Whether bots that run do their work: the monitor with its checks, and what a bot that hangs still tells."""
