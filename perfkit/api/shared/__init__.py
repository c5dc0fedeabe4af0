"""Studies, sweeps and fits whose trials run on other machines, and the workers that take them."""
