"""Instances side by side: trials that run at the same time, and what they predict per hour."""
