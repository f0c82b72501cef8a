"""Ground floor: errors, states, clocks, files and identities. Standard library only; imports nothing of ours above it."""
