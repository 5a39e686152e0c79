"""Posts: what is known of one when it appears, how far it will go, and who learns what from whom.

- `features`     what a post says and when, and its author's past: nothing that happened later, nothing of the post's own counts
- `design`       the features and the words as vectors for a linear model
- `levels`       expected counts against the author's own level: a linear model and a forest
- `online`       predictions that follow an author from post to post, with intervals that hold their coverage
- `engagement`   likes and comments with intervals
- `viral`        the chance to be among the top tenth
- `saved`        a trained model as a folder, and back
"""
