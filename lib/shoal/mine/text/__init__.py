"""Texts to labels: terms, a linear classifier over them, and how well it does on texts it has not seen.

- `terms`       stages that turn a text into its words and pairs of words
- `split`       which rows are held out
- `metrics`     accuracy, F1 and log loss of a scored frame
- `classifier`  train and score
- `saved`       a trained classifier as a folder of files, and back
"""
