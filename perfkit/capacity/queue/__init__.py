"""The queue: jobs, machines, packing and the plan."""
