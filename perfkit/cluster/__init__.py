"""WHERE it runs: this machine, or Slurm."""
