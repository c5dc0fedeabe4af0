"""The denoiser and its sampler."""
