"""The brain, psvd: what is desired against what runs, recovery, adoption, zygotes, and the sockets of people and bots."""
