"""Jobs, machines, packing and the plan."""
