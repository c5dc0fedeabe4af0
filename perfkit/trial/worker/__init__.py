"""The child process of a trial: runs the stages and follows the parent's commands."""
