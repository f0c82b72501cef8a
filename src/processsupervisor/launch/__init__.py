"""The steps between fork and program, the same for a bot forked by a zygote and a program executed by the keeper."""
