"""WHERE it runs: a plan as job arrays of Slurm."""
