"""The notifier: a small process of its own that follows the fleet's events and tells people; durable, at least once."""
