"""The `seedlift` command: starts the programs, and talks to the API like anybody else."""
