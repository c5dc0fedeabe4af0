"""WHERE it runs: places for the workers of a shared study, and a plan as job arrays of Slurm."""
