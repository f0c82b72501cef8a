"""What processes use and may use: memory, CPU, cgroups."""
