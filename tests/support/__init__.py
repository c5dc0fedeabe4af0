"""Programs, records and inputs that tests of several rooms share."""
