"""A plan against what happened: matching of jobs, errors of predictions, risks of the rest."""
