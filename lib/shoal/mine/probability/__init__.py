"""From what models say to a probability, and how good it is.

- `linear_models`  ridge and logistic regression, on the driver where that is enough
- `stack`         members' words as one calibrated probability
- `quality`       ROC-AUC, average precision, Brier score
- `forests`       random forests: scikit-learn's on the driver where that is enough, else MLlib's; arrays either way
- `trees`         forests as arrays: predictions, contributions along paths, permutation importances
- `explain`       what features add to the log odds of a stack
- `paired`        whether a new model is better than the champion by more than chance
"""
