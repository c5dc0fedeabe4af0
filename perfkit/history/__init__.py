"""WHAT CHANGED: snapshots of records and of asv results, their comparison, and series over commits.

A comparison takes two snapshots. A series takes the asv results of many commits.
"""
