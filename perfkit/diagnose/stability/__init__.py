"""The stability report: one workload under several compiler settings, guarded and checked."""
