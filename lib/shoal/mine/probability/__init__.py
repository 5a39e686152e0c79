"""From what models say to a probability, and how good it is.

- `linear_models`  ridge and logistic regression, on the driver where that is enough
- `stack`     members' words as one calibrated probability
- `quality`   ROC-AUC, average precision, Brier score
"""
