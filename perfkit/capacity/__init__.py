"""HOW MUCH AND WHEN: scaling laws, calibration, machine inventory, jobs, planner."""
