"""WHAT A LAB ASKS FOR: objectives, constraints, and what has to be measured for them."""
