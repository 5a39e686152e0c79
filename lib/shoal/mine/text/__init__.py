"""What texts say: labels by a classifier that was trained, and sentiment, language, keywords and entities without training.

- `terms`        a text into its words, pairs of words and characters inside words
- `rules`        the patterns and marks of terms, as data
- `plain_terms`, `plain_classifier`, `lexicon_rules`, `spans`   the same on one text, without Spark
- `split`        which rows are held out
- `parts`        the rows to learn from, held out, and to choose settings on
- `term_matrix`  the terms of the training rows on the driver
- `linear`       a linear support vector classifier, calibrated
- `search`       penalty and weights of labels
- `classifier`   train and score
- `metrics`      accuracy, F1, log loss and calibration error of a scored frame
- `saved`        a trained classifier as a folder of files, and back
- `representation`, `sentence_network`, `wordpiece`   texts as vectors: learned from the lake's texts, or by a network
- `lexicon`      sentiment by a lexicon and rules
- `sentiment`    the lexicon's sentiment, a classifier's, and their blend
- `language`     the language of a text
- `keywords`     the phrases that say what a text is about
- `entities`     hashtags, mentions, links, names
"""
