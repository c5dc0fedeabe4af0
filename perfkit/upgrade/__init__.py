"""WHAT AN UPGRADE CHANGES: one model under two versions of jaxlib; where answers or times differ."""
