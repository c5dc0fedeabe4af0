"""The conditions of a trial: other load, disturbances, inherited variables and limits."""
