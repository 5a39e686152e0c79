"""Splits, ranking metrics, significance: how good lists are, on rows the model did not see."""
