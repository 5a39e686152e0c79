"""From what models say to a probability, and how good it is.

- `stack`     members' words as one calibrated probability
- `quality`   ROC-AUC, average precision, Brier score
"""
