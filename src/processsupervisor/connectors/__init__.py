"""One file per network: takes messages in, hands committed replies out. Knows storage records, never the bot above."""
