"""The evaluation protocol: how events are split, how lists are measured, which differences are chance."""
