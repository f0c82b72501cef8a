"""One bot as a process: keeper, logd, launching, handles, lifecycle, exits."""
