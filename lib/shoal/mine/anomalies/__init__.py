"""What is unlike the rest: moments of a series, and rows of many columns.

- `seasonal`           one series on the driver or in a task: expected values, scores, and which are raised
- `series`             many series of a frame, each in one task
- `isolation_forest`   rows of many columns, at any size
"""
