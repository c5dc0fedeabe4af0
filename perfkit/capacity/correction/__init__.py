"""What finished jobs teach: predictive distributions, and the file that corrects a plan."""
