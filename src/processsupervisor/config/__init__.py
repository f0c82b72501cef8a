"""Configuration: fleet.toml read, checked, merged over its scopes and written down as the applied settings of every bot."""
