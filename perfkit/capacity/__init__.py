"""HOW MUCH AND WHEN: scaling laws of a model, and the plan of a queue of jobs on machines."""
