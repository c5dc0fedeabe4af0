"""WHY IT IS WRONG: locating the first bad value, stability, known answers, remedies, noise."""
