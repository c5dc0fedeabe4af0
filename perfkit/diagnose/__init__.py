"""WHY IT IS WRONG: locating the first NaN, stability, known answers, remedies."""
