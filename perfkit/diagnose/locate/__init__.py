"""Where the first bad value, NaN or infinity, arises: in a function, a workload or a record."""
